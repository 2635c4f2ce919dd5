/*
 * What has happened since the daemon began: counts of the owner, which only grow, published with
 * every view.
 */
#pragma once

#include <stdint.h>

#include "copy/wire.h"
#include "fs/catalog/volume.h"

#define TOTALS_BOUNDS 9

struct totals {
    uint64_t began_at_s; /* unix time: when all else here was 0 */
    uint64_t n_accepted; /* migrations */
    uint64_t n_refused;  /* requests */
    uint64_t n_ended[RESULT_N];
    uint64_t n_checkpoints, n_resumes;
    uint64_t copied_bytes, zero_bytes, verified_bytes; /* by workers, of jobs that failed too */
    /* How long the migrations took that succeeded, in the whole seconds of the history: */
    uint64_t n_within[TOTALS_BOUNDS]; /* ... totals_bounds_s, each; the longer ones are in none */
    uint64_t sum_s;
};

extern const uint64_t totals_bounds_s[TOTALS_BOUNDS]; /* ascending */

/* How much of a worker's counters is in the totals; zeroed when a worker begins. */
struct counted {
    uint64_t copied_bytes, zero_bytes, verified_bytes;
};

/* Add what a worker has done since. NULL: none runs. */
void totals_add_moved(struct totals *totals, struct counted *counted,
                      const struct progress *progress);
/* Add a migration that has ended. stat: with the time when it did. */
void totals_add_ended(struct totals *totals, enum result result, const struct job_stat *stat);

/* Seconds from its start, or else from its acceptance, to its end. */
uint64_t totals_duration_s(const struct job_stat *stat);
