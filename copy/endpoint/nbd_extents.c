#include "copy/endpoint/nbd_extents.h"

static uint64_t told_up_to(const struct nbd_extents *extents)
{
    return extents->n > 0 ? extents->run[extents->n - 1].end_bytes : extents->start_bytes;
}

bool extents_add(struct nbd_extents *extents, uint64_t n_bytes, bool zero)
{
    uint64_t end = told_up_to(extents) + n_bytes;

    if (extents->n == 0 || extents->run[extents->n - 1].zero != zero) {
        if (extents->n == NBD_EXTENTS_N)
            return false;
        extents->run[extents->n++].zero = zero;
    }
    extents->run[extents->n - 1].end_bytes = end;
    return true;
}

bool extents_find(const struct nbd_extents *extents, uint64_t offset, uint64_t *ret_end,
                  bool *ret_zero)
{
    size_t low = 0, high = extents->n;

    if (offset < extents->start_bytes || offset >= told_up_to(extents))
        return false;
    while (low < high) { /* the first run that ends above offset is in [low, high] */
        size_t middle = low + (high - low) / 2;

        if (extents->run[middle].end_bytes > offset)
            high = middle;
        else
            low = middle + 1;
    }
    *ret_end = extents->run[low].end_bytes;
    *ret_zero = extents->run[low].zero;
    return true;
}
