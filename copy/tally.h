/*
 * What a job has done, shown in the progress that its starter reads. A second job of the same
 * process goes on showing what was shown, until it is beyond it. One thread.
 */
#pragma once

#include "copy/wire.h"

struct tally {
    struct progress *progress;
    uint64_t done_bytes;
    uint64_t verified_bytes;
};

/* A piece that was settled. fresh: how much of it for the first time in this job; holes, zeroes and
 * what is shared count only then. */
struct tally_step {
    uint64_t fresh, hole, zero, cloned, copied;
};

/* start_bytes: settled by an earlier run. */
void tally_begin(struct tally *tally, struct progress *progress, uint64_t start_bytes);
void tally_settled(struct tally *tally, struct tally_step step);
/* Something was read, or nothing is in flight: whatever it waits for, it is no disk. */
void tally_beat(struct tally *tally);
void tally_verified(struct tally *tally, uint64_t n_bytes);
