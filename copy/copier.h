/*
 * Inside the engine: copying blocks, a block in a slot. Who flushes, and when, is not its affair.
 */
#pragma once

#include "copy/fetch.h"
#include "copy/tally.h"

struct copier {
    const struct engine_job *job;
    struct slots *slots;
    uint64_t block_bytes;
    struct journal journal;
    struct plan *plan; /* of the source */
    /* Of the destination, used above what was handed out, where nobody writes. NULL: what is there
     * is not told, or not believed any more. */
    struct plan *there;
    struct tally tally;
    struct pace pace;
    bool zero_known; /* where nothing is told, and this copy has not written, it reads zero */
    _Atomic uint64_t zero_step_bytes; /* as fast as zeroing is; the threads that do it */
    bool cloning; /* nobody has said yet that it does not work; one piece at a time */
    bool clone_busy;
    bool cloned;              /* something was */
    uint64_t unflushed_bytes; /* written since the caller last set it to 0 */
};

/* 0 or -ENOMEM. */
int copier_init(struct copier *copier, const struct engine_job *job, struct slots *slots,
                uint64_t block_bytes);
void copier_deinit(struct copier *copier);

/* Begin whatever can be begun. */
void copier_step(struct copier *copier);
/* Only go on with the blocks that have begun: a flush failed, or it is over. */
void copier_end_blocks(struct copier *copier);

/* A flush failed: what it may have lost is copied again. No block has begun. */
void copier_rewind(struct copier *copier);
