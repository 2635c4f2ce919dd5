/*
 * The bytes of an endpoint in order, from its start to its end, read ahead of whoever takes them.
 * One thread.
 */
#pragma once

#include <stdatomic.h>

#include "copy/endpoint/queue.h"
#include "copy/throttle.h"

struct sequence_terms {
    struct queue *queue; /* nothing in flight; the sequence's alone */
    struct endpoint *ep;
    uint64_t size_bytes;
    uint64_t block_bytes;    /* of a request: a power of 2 */
    bool whole_blocks;       /* pieces are blocks, and a hole is one or more of them */
    const atomic_bool *stop; /* give up within a request */
    const _Atomic uint64_t *speed_bytes_per_s; /* of what is read; NULL: no limit */
};

struct sequence_piece {
    uint64_t offset;
    uint64_t n_bytes; /* of data: at most a block, and no further than to its end */
    const void *data; /* NULL: a hole, which may be long. Valid until the next call */
};

struct sequence;

/* 0 or -ENOMEM. */
int sequence_open(const struct sequence_terms *terms, struct sequence **ret);
/* Waits for what is in flight. NULL is allowed. */
void sequence_close(struct sequence *sequence);
static inline void owned_sequence(struct sequence **sequence)
{
    sequence_close(*sequence);
}

/*
 * Returns 1 with the next piece; 0 at the end; -ECANCELED stopped; -ETXTBSY the claim was broken;
 * or why it cannot be read, with ret->offset the first grain that cannot.
 */
int sequence_next(struct sequence *sequence, struct sequence_piece *ret);
