#include "copy/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "copy/zero.h"

#define TRIES 3

int transfer_fail(struct transfer_error *error, int r, uint64_t offset, const char *what)
{
    error->bad_bytes = offset;
    return err_set(&error->err, -r, "%s: %s", what, strerror(-r));
}

int transfer_fail_at(struct transfer_error *error, int r, uint64_t offset, const char *what)
{
    error->bad_bytes = offset;
    return err_set(&error->err, -r, "%s at byte %" PRIu64 ": %s", what, offset, strerror(-r));
}

static int read_grain(struct endpoint *ep, void *buf, size_t n, uint64_t offset)
{
    int r = -EIO;

    for (int i = 0; i < TRIES && r < 0; i++) {
        size_t got;

        r = endpoint_read(ep, buf, n, offset, &got);
    }
    return r;
}

int transfer_read_in_grains(struct endpoint *ep, void *buf, size_t n, uint64_t offset,
                            const atomic_bool *stop, struct transfer_error *ret_error)
{
    for (size_t at = 0; at < n; at += ENDPOINT_GRAIN_BYTES) {
        size_t n_grain = n - at < ENDPOINT_GRAIN_BYTES ? n - at : ENDPOINT_GRAIN_BYTES;
        int r;

        if (atomic_load(stop))
            return -ECANCELED;
        r = read_grain(ep, (char *)buf + at, n_grain, offset + at);
        if (r == -ESTALE)
            return transfer_fail_at(ret_error, r, offset + at, "ends early");
        if (r < 0) {
            transfer_fail_at(ret_error, r, offset + at, "cannot read");
            return -EIO; /* whatever the device calls it: ENODATA, EILSEQ, EREMOTEIO */
        }
    }
    return 0;
}

int transfer_read(struct endpoint *ep, void *buf, size_t n, uint64_t offset,
                  const atomic_bool *stop, struct transfer_error *ret_error)
{
    size_t got;
    int r = endpoint_read(ep, buf, n, offset, &got);

    if (r == 0)
        return 0;
    if (r == -ESTALE)
        return transfer_fail_at(ret_error, r, offset + got, "ends early");
    return transfer_read_in_grains(ep, buf, n, offset, stop, ret_error);
}

int transfer_write(struct endpoint *ep, const void *buf, size_t n, uint64_t offset,
                   bool never_sparse, struct transfer_error *ret_error)
{
    for (size_t at = 0; at < n;) {
        bool zero = false;
        size_t run = n, put = 0;
        int r;

        if (!never_sparse)
            run = zero_run((const char *)buf + at, n - at, &zero);
        if (zero)
            r = endpoint_zero(ep, offset + at, run);
        else
            r = endpoint_write(ep, (const char *)buf + at, run, offset + at, &put);
        if (r < 0)
            return transfer_fail_at(ret_error, r, offset + at + put,
                                    zero ? "cannot zero" : "cannot write");
        at += run;
    }
    return 0;
}
