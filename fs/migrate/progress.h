/*
 * From counters to percent, rate and time left.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "copy/wire.h"
#include "fs/catalog/volume.h"
#include "fs/view/view.h"

#define RATE_SAMPLES 21 /* half a second apart: the last 10 s */

/* What of it a job has to do to every byte. */
enum progress_work { PROGRESS_COPY = 1, PROGRESS_VERIFY = 2 };

struct rate_sample {
    uint64_t at_ns, copied_bytes, compared_bytes; /* of data */
};

struct meter_rate {
    struct rate_sample samples[RATE_SAMPLES];
    unsigned n, next;
};

/*
 * Take the worker's counters (NULL: none runs) on top of those it began with (base) into the job's,
 * and show them. moves: it may. work: of enum progress_work. data_bytes: about how much of the
 * volume is no hole, which is what takes time. Returns whether what is shown changed.
 */
bool progress_sample(struct meter_rate *rate, struct job_stat *stat, const struct job_stat *base,
                     unsigned work, uint64_t data_bytes, const struct progress *progress,
                     bool moves, struct meter *meter, uint64_t now_ns);
