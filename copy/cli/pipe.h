/*
 * Copies from and to a pipe: in order, each byte once.
 */
#pragma once

#include "copy/cli/place.h"
#include "copy/endpoint/queue.h"
#include "copy/throttle.h"

/* What reads one block after the other out of a pipe. */
struct cli_inlet {
    struct cli *cli;
    const struct place *source;
    uint64_t n_bytes; /* that came so far */
    struct throttle throttle;
    struct digests *digests; /* of the blocks that came; owned */
};

/* 0 or a negative errno, in words in ret. */
int cli_inlet_init(struct cli_inlet *inlet, struct cli *cli, const struct place *source,
                   size_t block_bytes, struct cli_result *ret);
void cli_inlet_deinit(struct cli_inlet *inlet);

/* A block of the wanted size into buf, less at the end only, no faster than the limit allows.
 * *ret_n: how much it is. 0 or a negative errno, in words in ret. */
int cli_inlet_read(struct cli_inlet *inlet, void *buf, size_t wanted, size_t *ret_n,
                   struct cli_result *ret);

/* All has come: the digests are those of a volume of that size. 0 or a negative errno, in words in
 * ret. */
int cli_inlet_conclude(struct cli_inlet *inlet, struct cli_result *ret);

/*
 * All that comes into a destination: zeroes are left out or zeroed, as ever; it gets its size as
 * the bytes come. Returns 0, everything was flushed; or a negative errno, in words in ret.
 */
int cli_pipe_in(struct cli_inlet *inlet, struct place *destination, struct queue *queue,
                struct cli_result *ret);

/* A source into a pipe, or into what else the shell has opened, which is flushed; holes are sent as
 * zeroes. 0 or a negative errno, in words in ret. */
int cli_pipe_out(struct cli *cli, const struct place *source, const struct place *destination,
                 struct queue *queue, struct cli_result *ret);
