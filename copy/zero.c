#include "copy/zero.h"

#include <string.h>

#include "copy/endpoint/endpoint.h"

#define HEAD_BYTES 32

bool zero_is(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    size_t n_head = n < HEAD_BYTES ? n : HEAD_BYTES;

    for (size_t i = 0; i < n_head; i++) {
        if (b[i])
            return false;
    }
    /* Each byte equals the one HEAD_BYTES before it, and the first ones are 0. libc's memcmp has
     * the widest vectors that this processor knows, and stops at the first difference. */
    return n == n_head || memcmp(b, b + HEAD_BYTES, n - HEAD_BYTES) == 0;
}

static size_t grain(size_t n_left)
{
    return n_left < ENDPOINT_GRAIN_BYTES ? n_left : ENDPOINT_GRAIN_BYTES;
}

size_t zero_run(const void *bytes, size_t n, bool *ret_zero)
{
    const unsigned char *b = bytes;
    bool zero = zero_is(b, grain(n));
    size_t run = grain(n);

    while (run < n && zero_is(b + run, grain(n - run)) == zero)
        run += grain(n - run);
    *ret_zero = zero;
    return run;
}
