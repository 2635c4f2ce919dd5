/*
 * Inside the engine: looking at a job's two ends, and saying why it ends. Blocks.
 */
#pragma once

#include "copy/engine.h"

/* The job's, or the preset; 0: it may not be had. */
uint64_t engine_block_bytes(const struct engine_job *job);

/* No single place is to blame. r: negative. Returns r. */
int engine_refuse(struct engine_result *ret, int r, const char *what);

/* Have both the size that was agreed? */
int engine_check_sizes(const struct engine_job *job, struct engine_result *ret);

/* After its last read: was the source what it was all along, on its disk too? */
int engine_check_source(const struct engine_job *job, struct engine_result *ret);
