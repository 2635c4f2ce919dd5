/*
 * Telling how far the work is: a bar on a terminal, a line now and then elsewhere, or lines of
 * JSON. What is told is what has reached the destination. The main thread's.
 */
#pragma once

#include <stdio.h>

#include "copy/cli/cli.h"

#define CLI_SAMPLES 64 /* twice a second: 30 s */

struct cli_sample {
    uint64_t at_ns;
    uint64_t done_bytes;
    uint64_t run_bytes;   /* of that, done by this run */
    uint64_t moved_bytes; /* and that took time */
    uint64_t verified_bytes;
};

struct cli_progress {
    struct cli *cli;
    enum cli_show show;
    FILE *out;
    bool terminal;
    uint64_t began_ns, n_ticks;
    struct cli_sample samples[CLI_SAMPLES]; /* a ring */
    unsigned n_samples;                     /* ever taken */
};

void cli_progress_begin(struct cli_progress *progress, struct cli *cli);
/* Show what there is to show. Returns when to come again, in ns from now. */
uint64_t cli_progress_tick(struct cli_progress *progress);
/* One line now, asked for or not. */
void cli_progress_line(struct cli_progress *progress);
/* The last line. */
void cli_progress_end(struct cli_progress *progress, const struct cli_result *result);
/* A half-drawn bar gives way to a message. Any thread. */
void cli_progress_clear(void);
