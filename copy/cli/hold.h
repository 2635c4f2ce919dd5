/*
 * A block device that is a source is read-only as long as it is read (copy/endpoint/block.c). What
 * ends at once leaves it so, unless this puts it right.
 */
#pragma once

#include "copy/cli/options.h"

struct cli_hold {
    int fds[2]; /* of what could be written when it was looked at; -1: none */
};

/* Look at the sources, before they are opened. */
void cli_hold_look(struct cli_hold *hold, const struct cli_options *options);
/* They may be written again. */
void cli_hold_release(const struct cli_hold *hold);
void cli_hold_end(struct cli_hold *hold);
