#include "copy/cli/window.h"

#include <stdlib.h>

struct window {
    struct endpoint ep;
    struct endpoint *file;
    uint64_t size_bytes;
};

static struct endpoint *file_of(const struct endpoint *ep)
{
    return ((const struct window *)ep)->file;
}

static int window_close(struct endpoint *ep)
{
    int r = endpoint_close(file_of(ep));

    free(ep);
    return r;
}

static int window_size(struct endpoint *ep, uint64_t *ret_bytes)
{
    const struct window *window = (const struct window *)ep;
    int r = file_of(ep)->ops->size(file_of(ep), ret_bytes);

    if (r == 0 && *ret_bytes > window->size_bytes)
        *ret_bytes = window->size_bytes;
    return r;
}

static int window_extent(struct endpoint *ep, uint64_t offset, uint64_t *ret_end, bool *ret_hole)
{
    return endpoint_extent(file_of(ep), offset, ((struct window *)ep)->size_bytes, ret_end,
                           ret_hole);
}

static int window_pread(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    return file_of(ep)->ops->pread(file_of(ep), buf, n, offset, ret_n);
}

static int window_pwrite(struct endpoint *ep, const void *buf, size_t n, uint64_t offset,
                         size_t *ret_n)
{
    return file_of(ep)->ops->pwrite(file_of(ep), buf, n, offset, ret_n);
}

static int window_zero(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    return file_of(ep)->ops->zero(file_of(ep), offset, n_bytes);
}

static int window_flush(struct endpoint *ep)
{
    return file_of(ep)->ops->flush(file_of(ep));
}

static int window_sync(struct endpoint *ep)
{
    return file_of(ep)->ops->sync(file_of(ep));
}

static int window_drop(struct endpoint *ep)
{
    return endpoint_drop(file_of(ep));
}

static int window_fd(struct endpoint *ep, bool read, const void *buf, size_t n, uint64_t offset)
{
    return file_of(ep)->ops->fd(file_of(ep), read, buf, n, offset);
}

static int window_clone(struct endpoint *ep, struct endpoint *source, uint64_t offset,
                        uint64_t n_bytes)
{
    return file_of(ep)->ops->clone(file_of(ep), source, offset, n_bytes);
}

static const struct endpoint_ops window_endpoint = {
    .scheme = "window",
    .close = window_close,
    .size = window_size,
    .extent = window_extent,
    .pread = window_pread,
    .pwrite = window_pwrite,
    .zero = window_zero,
    .flush = window_flush,
    .sync = window_sync,
    .drop = window_drop,
    .fd = window_fd,
    .clone = window_clone,
};

int cli_window_put(struct endpoint **ep, uint64_t size_bytes)
{
    struct window *window = malloc(sizeof(*window));

    if (!window)
        return -ENOMEM;
    *window = (struct window){.ep = {.ops = &window_endpoint, .mode = (*ep)->mode},
                              .file = *ep,
                              .size_bytes = size_bytes};
    *ep = &window->ep;
    return 0;
}
