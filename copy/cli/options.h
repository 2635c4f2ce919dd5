/*
 * The command line of ferrycopy: a table of options, from which --help is made too.
 */
#pragma once

#include <stdbool.h>

#include "copy/base/err.h"
#include "copy/base/text.h"
#include "copy/endpoint/queue.h"

enum cli_action { CLI_COPY, CLI_COMPARE, CLI_MAP, CLI_DIGEST, CLI_HELP, CLI_VERSION, CLI_ACTION_N };

enum cli_show { CLI_SHOW_NOTHING, CLI_SHOW_BAR, CLI_SHOW_JSON };

struct cli_options {
    enum cli_action action;
    const char *source, *destination; /* NULL where the action takes none */
    const char *control, *map;        /* NULL: none */
    int control_fd;                   /* -1: none */
    uint64_t speed_bytes_per_s;       /* THROTTLE_NONE or above 0 */
    uint64_t block_bytes, queue_depth;
    uint64_t n_connections; /* 0: as the endpoint likes */
    uint64_t given;         /* a bit for each row of the table that was there */
    enum queue_way way;
    enum cli_show show;
    bool verify, sparse, reflink, create, force;
};

/* Of the program's arguments, to which it keeps pointers. Returns 0; -EINVAL wrong usage. */
int cli_options_parse(struct cli_options *options, int argc, char **argv, struct err *e);

/* Was it said on the command line? name: as in the table. */
bool cli_options_given(const struct cli_options *options, const char *name);

/* A rate in words: bytes with K, M, G or T, or "max". Returns 0 or -EINVAL, in words in e. */
int cli_options_rate(const char *value, uint64_t *ret, struct err *e);

/* What --help prints. */
void cli_options_help(struct text *out);
