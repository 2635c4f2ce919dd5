#include "copy/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "copy/zero.h"

#define RETRIES 3

static int fail(struct transfer_error *error, int r, const char *what, uint64_t offset)
{
    error->bad_bytes = offset;
    return err_set(&error->err, -r, "%s at byte %" PRIu64 ": %s", what, offset, strerror(-r));
}

static int read_grain(struct endpoint *ep, void *buf, size_t n, uint64_t offset)
{
    int r = -EIO;

    for (int i = 0; i < RETRIES && r < 0; i++) {
        size_t got;

        r = endpoint_read(ep, buf, n, offset, &got);
    }
    return r;
}

/* A whole read failed: get what can be got in pieces, and learn where the bad one is. */
static int read_in_grains(struct endpoint *ep, char *buf, size_t n, uint64_t offset,
                          const atomic_bool *over, struct transfer_error *error)
{
    for (size_t at = 0; at < n; at += ENDPOINT_GRAIN_BYTES) {
        size_t n_grain = n - at < ENDPOINT_GRAIN_BYTES ? n - at : ENDPOINT_GRAIN_BYTES;
        int r;

        if (atomic_load(over))
            return -ECANCELED;
        r = read_grain(ep, buf + at, n_grain, offset + at);
        if (r == -ESTALE)
            return fail(error, r, "ends early", offset + at);
        if (r < 0) {
            fail(error, r, "cannot read", offset + at);
            return -EIO; /* whatever the device calls it: ENODATA, EILSEQ, EREMOTEIO */
        }
    }
    return 0;
}

static int read_data(struct endpoint *ep, void *buf, size_t n, uint64_t offset,
                     const atomic_bool *over, struct transfer_error *error)
{
    size_t got;
    int r = endpoint_read(ep, buf, n, offset, &got);

    if (r == 0)
        return 0;
    if (r == -ESTALE)
        return fail(error, r, "ends early", offset + got);
    return read_in_grains(ep, buf, n, offset, over, error);
}

int transfer_read(struct endpoint *ep, struct extent_map *map, void *buf, size_t n, uint64_t offset,
                  const atomic_bool *over, size_t *ret_hole_bytes, struct transfer_error *ret_error)
{
    size_t hole_bytes = 0;

    for (size_t at = 0; at < n;) {
        uint64_t end = offset + n;
        bool hole = false;
        size_t part;
        int r = 0;

        if (map)
            r = extent_map_at(map, offset + at, &end, &hole);
        if (r < 0)
            return fail(ret_error, r, "cannot find data", offset + at);
        part = end - offset < n ? (size_t)(end - offset) - at : n - at;
        if (hole)
            memset((char *)buf + at, 0, part);
        else
            r = read_data(ep, (char *)buf + at, part, offset + at, over, ret_error);
        if (r < 0)
            return r;
        hole_bytes += hole ? part : 0;
        at += part;
    }
    *ret_hole_bytes = hole_bytes;
    return 0;
}

int transfer_write(struct endpoint *ep, const void *buf, size_t n, uint64_t offset, bool zero_known,
                   size_t *ret_zero_bytes, struct transfer_error *ret_error)
{
    size_t zero_bytes = 0;

    for (size_t at = 0; at < n;) {
        bool zero;
        size_t run = zero_run((const char *)buf + at, n - at, &zero), put = 0;
        int r = 0;

        if (!zero)
            r = endpoint_write(ep, (const char *)buf + at, run, offset + at, &put);
        else if (!zero_known)
            r = endpoint_zero(ep, offset + at, run);
        if (r < 0)
            return fail(ret_error, r, zero ? "cannot zero" : "cannot write", offset + at + put);
        zero_bytes += zero ? run : 0;
        at += run;
    }
    *ret_zero_bytes = zero_bytes;
    return 0;
}
