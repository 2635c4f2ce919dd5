/*
 * What the actions have in common when they use the engine.
 */
#pragma once

#include "copy/cli/cli.h"
#include "copy/cli/place.h"
#include "copy/endpoint/queue.h"
#include "copy/engine.h"

/* As the options have it. 0 or a negative errno, in words in ret. */
int cli_open_queue(struct cli *cli, struct queue **ret_queue, struct cli_result *ret);

/* The engine's failure becomes ours. Returns r. */
int cli_fail_engine(struct cli_result *ret, int r, const struct engine_result *result);

/* A sequence of that place has failed, at offset. r: negative. Returns r. */
int cli_fail_read(struct cli_result *ret, int r, const struct place *place, uint64_t offset);
/* All of it was read: engine_check_read. 0 or a negative errno, in words in ret. */
int cli_check_read(const struct place *place, struct cli_result *ret);
