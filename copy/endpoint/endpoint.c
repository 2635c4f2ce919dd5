#include "copy/endpoint/endpoint.h"

#include <errno.h>

#define ZEROES_BYTES ((size_t)256 * 1024)
static const unsigned char zeroes[ZEROES_BYTES] __attribute__((aligned(ENDPOINT_GRAIN_BYTES)));

int endpoint_close(struct endpoint *ep)
{
    return ep ? ep->ops->close(ep) : 0;
}

int endpoint_read(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    size_t done = 0;
    int r = 0;

    while (done < n) {
        size_t got = 0;

        r = ep->ops->pread(ep, (char *)buf + done, n - done, offset + done, &got);
        if (r == -EINTR)
            continue;
        if (r == 0 && got == 0)
            r = -ESTALE;
        if (r < 0)
            break;
        done += got;
    }
    *ret_n = done;
    return r;
}

int endpoint_write(struct endpoint *ep, const void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    size_t done = 0;
    int r = 0;

    while (done < n) {
        size_t put = 0;

        r = ep->ops->pwrite(ep, (const char *)buf + done, n - done, offset + done, &put);
        if (r == -EINTR)
            continue;
        if (r == 0 && put == 0)
            r = -EIO;
        if (r < 0)
            break;
        done += put;
    }
    *ret_n = done;
    return r;
}

static int write_zeroes(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    int r = 0;

    while (r == 0 && n_bytes > 0) {
        size_t n = n_bytes < ZEROES_BYTES ? (size_t)n_bytes : ZEROES_BYTES;

        r = endpoint_write(ep, zeroes, n, offset, &n);
        offset += n;
        n_bytes -= n;
    }
    return r;
}

int endpoint_zero(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    uint64_t unit = ep->ops->zero_unit ? ep->ops->zero_unit(ep) : 1, end = offset + n_bytes;
    uint64_t start = offset + (unit - offset % unit) % unit;
    int r = -EOPNOTSUPP;

    end -= end % unit;
    if (ep->ops->zero && start < end)
        r = ep->ops->zero(ep, start, end - start);
    if (r == -EOPNOTSUPP)
        return write_zeroes(ep, offset, n_bytes);
    if (r == 0)
        r = write_zeroes(ep, offset, start - offset);
    return r < 0 ? r : write_zeroes(ep, end, offset + n_bytes - end);
}

int endpoint_extent(struct endpoint *ep, uint64_t offset, uint64_t size_bytes,
                    uint64_t *ret_end_bytes, bool *ret_hole)
{
    uint64_t end = size_bytes;
    bool hole = false;
    int r;

    if (ep->ops->extent) {
        r = ep->ops->extent(ep, offset, &end, &hole);
        if (r < 0)
            return r;
        if (end <= offset)
            return -EPROTO;
    }
    *ret_end_bytes = end < size_bytes ? end : size_bytes;
    *ret_hole = hole;
    return 0;
}

int endpoint_resize(struct endpoint *ep, uint64_t size_bytes)
{
    return ep->ops->resize ? ep->ops->resize(ep, size_bytes) : -EOPNOTSUPP;
}

int endpoint_set_connections(struct endpoint *ep, unsigned n)
{
    if (n < 1 || n > ENDPOINT_CONNECTIONS_MAX)
        return -EINVAL;
    return ep->ops->set_connections ? ep->ops->set_connections(ep, n) : 0;
}

int endpoint_drop(struct endpoint *ep)
{
    return ep->ops->drop ? ep->ops->drop(ep) : 0;
}

int endpoint_check_claim(struct endpoint *ep)
{
    return ep->ops->check_claim ? ep->ops->check_claim(ep) : 0;
}

int endpoint_check_size(struct endpoint *ep, uint64_t size_bytes)
{
    uint64_t now_bytes;
    int r = ep->ops->size(ep, &now_bytes);

    if (r < 0)
        return r;
    return now_bytes == size_bytes ? 0 : -ESTALE;
}
