/*
 * Inside the engine: reading blocks of the destination back and comparing them, a block in a slot;
 * after the copy, or behind it.
 *
 * Bytes in the page cache prove nothing about the disk: the caller has flushed what lies below the
 * limit, and dropped what is cached of it. Where the destination has a hole and zeroes are
 * expected, the file system's word is taken.
 */
#pragma once

#include "copy/fetch.h"
#include "copy/tally.h"

struct verifier {
    const struct engine_job *job;
    struct slots *slots;
    uint64_t block_bytes;
    struct journal journal;
    struct plan *plan, *source_plan; /* the second one: when the source is compared */
    struct tally *tally;
    struct pace pace; /* of the source */
    uint64_t limit_bytes;
    unsigned n_busy; /* slots */
    /* A flush tells once what was lost. So a repair's and the copy's are never under way at a time:
     * one would hear of the other's. */
    unsigned n_repairs;
    bool held;               /* the copy's is */
    struct slot *unsound;    /* what is to be repaired, and waits */
    atomic_bool repaired;    /* by any of the threads that do it */
    _Atomic int flush_error; /* of such a repair */
};

/* tally: has begun. behind: a copy that is under way. 0 or -ENOMEM. */
int verifier_init(struct verifier *verifier, const struct engine_job *job, struct slots *slots,
                  uint64_t block_bytes, struct tally *tally, bool behind);
void verifier_deinit(struct verifier *verifier);

/* Only goes up. */
void verifier_set_limit(struct verifier *verifier, uint64_t limit_bytes);

/* A flush failed: what was passed above it, as it needed no proof, will be copied again. Nothing is
 * in flight. */
void verifier_rewind(struct verifier *verifier, uint64_t below_bytes);

/* Begin whatever can be begun in n_slots_max slots, below the limit. */
void verifier_step(struct verifier *verifier, unsigned n_slots_max);

/* Only go on with the blocks that have begun: it is over. */
void verifier_end_blocks(struct verifier *verifier);

/* The copy's flush begins: only where n_repairs is 0. And has ended. */
void verifier_hold(struct verifier *verifier);
void verifier_go_on(struct verifier *verifier);
