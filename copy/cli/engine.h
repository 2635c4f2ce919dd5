/*
 * What the actions have in common when they use the engine.
 */
#pragma once

#include "copy/cli/cli.h"
#include "copy/endpoint/queue.h"
#include "copy/engine.h"

/* As the options have it. 0 or a negative errno, in words in ret. */
int cli_open_queue(struct cli *cli, struct queue **ret_queue, struct cli_result *ret);

/* The engine's failure becomes ours. Returns r. */
int cli_fail_engine(struct cli_result *ret, int r, const struct engine_result *result);
