/*
 * The main thread while an action works: signals, the rate that --control tells, progress.
 *
 * SIGINT, SIGTERM and SIGHUP stop the work, a second one ends the process; SIGUSR1 reads the
 * control file and shows where the work is.
 */
#pragma once

#include "copy/cli/cli.h"

/* Run it, or say in result why it cannot be begun. Before any other thread is started. *ret_signal:
 * what stopped it, or 0. */
void cli_watch(struct cli *cli, cli_run_fn *run, struct cli_result *result, int *ret_signal);
