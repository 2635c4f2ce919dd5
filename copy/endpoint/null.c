#include "copy/endpoint/null.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/text.h"
#include "copy/endpoint/queue.h"

struct null {
    struct endpoint ep;
    uint64_t size_bytes, room_bytes;
};

static struct null *null_of(struct endpoint *ep)
{
    return (struct null *)ep;
}

static int null_open(const char *address, enum endpoint_mode mode, struct endpoint **ret,
                     struct err *e)
{
    uint64_t size_bytes = UINT64_MAX;
    struct null *null;

    if (*address == '\0' && mode == ENDPOINT_READ)
        return err_set(e, EINVAL, "null: has no size to read; name one, as in null:1G");
    if (*address != '\0' && text_parse_size(address, &size_bytes) < 0)
        return err_set(e, EINVAL, "null:%s: not a size", address);
    null = malloc(sizeof(*null));
    if (!null)
        return err_set(e, ENOMEM, "no memory");
    null->ep = (struct endpoint){&null_endpoint, mode};
    null->size_bytes = null->room_bytes = size_bytes;
    *ret = &null->ep;
    return 0;
}

static int null_close(struct endpoint *ep)
{
    free(ep);
    return 0;
}

static int null_size(struct endpoint *ep, uint64_t *ret_bytes)
{
    *ret_bytes = null_of(ep)->size_bytes;
    return 0;
}

static int null_resize(struct endpoint *ep, uint64_t size_bytes)
{
    if (size_bytes > null_of(ep)->room_bytes)
        return -ENOSPC;
    null_of(ep)->size_bytes = size_bytes;
    return 0;
}

static int null_extent(struct endpoint *ep, uint64_t offset, uint64_t *ret_end, bool *ret_hole)
{
    uint64_t size_bytes = null_of(ep)->size_bytes;

    if (offset >= size_bytes)
        return -ESTALE;
    *ret_end = size_bytes;
    *ret_hole = true;
    return 0;
}

static int null_pread(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    uint64_t size_bytes = null_of(ep)->size_bytes;
    uint64_t left_bytes = offset < size_bytes ? size_bytes - offset : 0;

    if (ep->mode == ENDPOINT_WRITE)
        return -EOPNOTSUPP;
    *ret_n = n < left_bytes ? n : (size_t)left_bytes;
    memset(buf, 0, *ret_n);
    return 0;
}

static int null_pwrite(struct endpoint *ep, const void *buf, size_t n, uint64_t offset,
                       size_t *ret_n)
{
    (void)ep;
    (void)buf;
    (void)offset;
    *ret_n = n;
    return 0;
}

static int null_zero(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    (void)ep;
    (void)offset;
    (void)n_bytes;
    return 0;
}

static int null_flush(struct endpoint *ep)
{
    (void)ep;
    return 0;
}

static void null_submit(struct endpoint *ep, struct request *request)
{
    int r;

    if (request->kind == REQUEST_READ)
        r = endpoint_read(ep, request->buf, request->n_bytes, request->offset, &request->n_done);
    else
        r = endpoint_write(ep, request->buf, request->n_bytes, request->offset, &request->n_done);
    request_complete(request, r);
}

const struct endpoint_ops null_endpoint = {
    .scheme = "null",
    .open = null_open,
    .close = null_close,
    .size = null_size,
    .resize = null_resize,
    .extent = null_extent,
    .pread = null_pread,
    .pwrite = null_pwrite,
    .zero = null_zero,
    .flush = null_flush,
    .sync = null_flush,
    .submit = null_submit,
};
