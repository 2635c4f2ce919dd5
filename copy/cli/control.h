/*
 * The control file of a copy: one line, a rate as --speed takes it. It is read at the start and
 * whenever it was written or another file took its name. What is no rate is said and changes
 * nothing; a file that is not there, or is empty, changes nothing.
 */
#pragma once

#include "copy/base/loop.h"
#include "copy/cli/cli.h"
#include "copy/cli/name.h"

struct cli_control {
    struct cli *cli;
    const char *path, *name; /* the name in its directory */
    char shown[CLI_NAME_BYTES];
    int fd; /* inotify; -1: none */
    struct loop_source *source;
};

/* Begin to watch, and read it. path NULL: nothing to watch. 0 or a negative errno, in words in e;
 * cli_control_end is for both. */
int cli_control_begin(struct cli_control *control, struct cli *cli, struct loop *loop,
                      const char *path, struct err *e);
void cli_control_end(struct cli_control *control);
/* Read it now. */
void cli_control_read(struct cli_control *control);
