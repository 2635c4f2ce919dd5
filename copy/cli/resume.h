/*
 * A copy under way, and its map, from which a later run goes on.
 *
 * A map keeps what is settled, and its destination is accepted again as it is. For more certainty
 * than a name some of what counts as settled is compared first: a disk that has got another's name
 * fails there.
 */
#pragma once

#include "copy/cli/place.h"
#include "copy/endpoint/queue.h"
#include "copy/map.h"

struct cli_job {
    struct cli *cli;
    struct cli_result *ret;
    struct place source, destination;
    struct queue *queue;
    struct digests *digests;
    struct map *map;
    char map_name[CLI_NAME_BYTES]; /* for messages */
    struct map_key key;
    struct journal_mark mark; /* of an earlier run */
    bool verify;
    bool touched; /* the destination was written, or may have been */
    bool resumed;
    bool map_failed; /* that was said once */
};

/* Is it the source or the destination? 0 or a negative errno, in words in copy->ret. */
int cli_map_refuse(struct cli_job *copy, const struct place *place);
/* Open or make the map that the options name. 0 or a negative errno, in words in copy->ret. */
int cli_map_open(struct cli_job *copy);
/* Does the destination hold what the map says? 0 or a negative errno, in words in copy->ret. */
int cli_map_check(struct cli_job *copy);
/* As engine_job has it; arg: a struct cli_job. */
void cli_map_checkpoint(void *arg, const struct journal_mark *mark);
/* At the end. Where a place failed, not ENGINE_NO_PLACE, the map trusts nothing from there on: it
 * may have been found wrong. */
void cli_map_keep(struct cli_job *copy, const struct journal_mark *mark, uint64_t bad_bytes);
