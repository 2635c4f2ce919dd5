#include "copy/endpoint/nbd_facts.h"

#include <errno.h>

#include "copy/endpoint/nbd_library.h"

/* What every server takes, and the largest minimum that it may ask for. Source: the NBD protocol,
 * doc/proto.md, "Block size constraints". */
#define MAX_BYTES      (UINT64_C(32) << 20)
#define UNIT_MAX_BYTES (UINT64_C(64) << 10)

static uint64_t block_size(struct nbd_handle *handle, int which, uint64_t preset)
{
    int64_t said = libnbd.get_block_size(handle, which);

    return said > 0 ? (uint64_t)said : preset;
}

int facts_ask(struct nbd_handle *handle, struct nbd_facts *ret)
{
    int64_t size_bytes = libnbd.get_size(handle);
    uint64_t unit = block_size(handle, LIBNBD_SIZE_MINIMUM, 1);
    uint64_t max = block_size(handle, LIBNBD_SIZE_MAXIMUM, MAX_BYTES);

    if (size_bytes < 0 || unit > UNIT_MAX_BYTES || (unit & (unit - 1)) != 0 || max < unit)
        return -EPROTO;
    max = max < MAX_BYTES ? max : MAX_BYTES;
    *ret = (struct nbd_facts){
        .size_bytes = (uint64_t)size_bytes,
        .unit_bytes = unit,
        .max_bytes = max - max % unit,
        .read_only = libnbd.is_read_only(handle) > 0,
        .can_flush = libnbd.can_flush(handle) > 0,
        .can_write_through = libnbd.can_fua(handle) > 0,
        .can_zero = libnbd.can_zero(handle) > 0,
        .can_tell_extents = libnbd.can_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0,
        .can_share = libnbd.can_multi_conn(handle) > 0,
    };
    return 0;
}

bool facts_alike(const struct nbd_facts *a, const struct nbd_facts *b)
{
    return a->size_bytes == b->size_bytes && a->unit_bytes == b->unit_bytes &&
           a->max_bytes == b->max_bytes && a->read_only == b->read_only &&
           a->can_flush == b->can_flush && a->can_write_through == b->can_write_through &&
           a->can_zero == b->can_zero && a->can_tell_extents == b->can_tell_extents;
}
