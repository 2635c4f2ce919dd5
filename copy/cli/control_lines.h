/*
 * --control-fd: lines, each a rate as --speed takes it, read from a descriptor as they come. What
 * is no rate, or too long to be one, is said and changes nothing; after the end the speed stays.
 */
#pragma once

#include "copy/base/loop.h"
#include "copy/cli/cli.h"

#define CLI_CONTROL_LINE_MAX 64 /* more than a rate is long */

struct cli_control_lines {
    struct cli *cli;
    int fd; /* the caller's; -1: none */
    struct loop_source *source;
    char line[CLI_CONTROL_LINE_MAX + 1];
    size_t n;      /* bytes of a line that has no end yet */
    bool too_long; /* what comes up to its end is ignored */
};

/* fd -1: nothing to read. 0 or a negative errno, in words in e; cli_control_lines_end is for both.
 */
int cli_control_lines_begin(struct cli_control_lines *lines, struct cli *cli, struct loop *loop,
                            int fd, struct err *e);
void cli_control_lines_end(struct cli_control_lines *lines);
