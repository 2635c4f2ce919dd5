/*
 * Reading the configuration again while the service runs: all or nothing.
 *
 * A setting that it gives another value than when it was last read, and that may change, is handed
 * to the owner as if it were written to its file; so what was written there meanwhile stays, an
 * emergency brake above all, unless the configuration itself was changed. Where anything else has
 * changed, or is wrong, nothing does.
 */
#pragma once

#include "fs/options.h"

struct reload;

/* options: what the process was started with, and how; they outlive it. NULL: no memory. */
struct reload *reload_open(const struct options *options);
void reload_close(struct reload *reload); /* NULL is allowed */

/* 0 or a negative errno, and why in e. */
int reload_again(struct reload *reload, struct service *service, struct err *e);
