/*
 * --progress=json: a line an object. ferrycopy(1) tells the keys, which only ever grow in number.
 */
#pragma once

#include <stdio.h>

#include "copy/cli/cli.h"

/* How far the work is, beside what cli->progress has. */
struct cli_state {
    int phase;           /* enum cli_phase */
    bool verifying;      /* what is done will be read back too */
    uint64_t size_bytes; /* CLI_SIZE_UNKNOWN: nobody knows */
    uint64_t done_bytes; /* in this phase */
    double elapsed_s;
    double rate;     /* bytes a second, lately */
    double eta_s;    /* below 0: nobody knows */
    double fraction; /* of all the work; below 0: nobody knows */
};

void cli_json_progress(FILE *out, struct cli *cli, const struct cli_state *state);
void cli_json_end(FILE *out, struct cli *cli, const struct cli_state *state,
                  const struct cli_result *result);
