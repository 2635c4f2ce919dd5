/*
 * One piece of a volume into memory and out of it. Any thread; a piece begins at a multiple of a
 * grain, and the buffer is aligned to one.
 */
#pragma once

#include <stdatomic.h>

#include "copy/extent.h"

/* How a transfer ended: where it failed, in words too. */
struct transfer_error {
    uint64_t bad_bytes;
    struct err err;
};

/*
 * Read n bytes at offset; holes are not read but made. A failed read is tried three times more in
 * single grains. Nothing is ever made up for bytes that cannot be read.
 *
 * map: of the endpoint; NULL reads the holes as well. over: gives up between grains when it is
 * true. *ret_hole_bytes: how much of it was not read. Returns 0; -EIO it cannot be read, at
 * bad_bytes; -ESTALE it ends early; -ECANCELED over; or why its extents cannot be told.
 */
int transfer_read(struct endpoint *ep, struct extent_map *map, void *buf, size_t n, uint64_t offset,
                  const atomic_bool *over, size_t *ret_hole_bytes,
                  struct transfer_error *ret_error);

/*
 * Write n bytes at offset, a write a run of grains that are not zero.
 *
 * zero_known: it reads zero there already, so zero grains are left out; else they are zeroed.
 * *ret_zero_bytes: how many were zero. Returns 0 or a negative errno.
 */
int transfer_write(struct endpoint *ep, const void *buf, size_t n, uint64_t offset, bool zero_known,
                   size_t *ret_zero_bytes, struct transfer_error *ret_error);
