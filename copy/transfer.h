/*
 * Transfers that block, for what is out of the ordinary: a read that failed, a block that is
 * written again. On a thread of the queue's; offsets are multiples of a grain, and so is the
 * alignment of buffers.
 */
#pragma once

#include <stdatomic.h>

#include "copy/endpoint/endpoint.h"

/* How a transfer ended: where it failed, in words too. */
struct transfer_error {
    uint64_t bad_bytes;
    struct err err;
};

/* "WHAT: why", or "WHAT at byte OFFSET: why". r: negative. Return r. */
int transfer_fail(struct transfer_error *error, int r, uint64_t offset, const char *what);
int transfer_fail_at(struct transfer_error *error, int r, uint64_t offset, const char *what);

/*
 * Read n bytes at offset, where a read has failed, in single grains, each of them three times at
 * most. Nothing is ever made up for bytes that cannot be read.
 *
 * stop: gives up between grains when it is true. Returns 0; -EIO it cannot be read, at bad_bytes;
 * -ESTALE it ends early; -ECANCELED stopped.
 */
int transfer_read_in_grains(struct endpoint *ep, void *buf, size_t n, uint64_t offset,
                            const atomic_bool *stop, struct transfer_error *ret_error);

/* In one go, and, if that fails, in grains. */
int transfer_read(struct endpoint *ep, void *buf, size_t n, uint64_t offset,
                  const atomic_bool *stop, struct transfer_error *ret_error);

/* Write n bytes at offset, whatever was there: a write a run of grains that are not zero, and the
 * others zeroed; never_sparse: written all of them. Returns 0 or a negative errno. */
int transfer_write(struct endpoint *ep, const void *buf, size_t n, uint64_t offset,
                   bool never_sparse, struct transfer_error *ret_error);
