/*
 * Several threads (lanes) that go through a volume from its start to its end, a piece each at a
 * time, and the thread that conducts them.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "copy/journal.h"
#include "copy/transfer.h"

#define WALK_LANES   4
#define WALK_BUFFERS 2 /* of a chunk's size, in each lane */

struct walk;

struct lane {
    struct walk *walk;
    unsigned index;
    unsigned char *buf[WALK_BUFFERS];
    struct transfer_error error; /* where a piece failed; the walk_fn's to write */
    pthread_t thread;
};

/*
 * Deal with the piece and say walk_settle when it is done. Runs in the lane's thread. Returns 0, or
 * a negative errno with lane->error filled in: that ends the walk.
 */
typedef int walk_fn(struct lane *lane, struct journal_piece piece);

struct walk {
    walk_fn *fn;
    void *arg;
    const atomic_bool *stop; /* set by anybody at any time: end within a piece */
    atomic_bool over;        /* stopped or failed, for those who look in the middle of a piece */
    unsigned char *memory;
    struct lane lanes[WALK_LANES];
    unsigned n_lanes;
    pthread_mutex_t lock; /* guards what follows; not held across I/O */
    pthread_cond_t work;  /* there may be something for a lane to do */
    pthread_cond_t rest;  /* a lane has come to rest */
    struct journal journal;
    unsigned n_busy;
    bool held;   /* nothing is handed out */
    bool ending; /* the lanes shall end */
    int error;   /* the first one, or the one at the lowest place */
    struct transfer_error where;
};

/*
 * Start the lanes. *stop may be set by any thread and must outlive the walk.
 * Returns 0, -ENOMEM, or the errno of pthread_create(3) where not even one could be started.
 */
int walk_init(struct walk *walk, uint64_t size_bytes, uint64_t start_bytes, walk_fn *fn, void *arg,
              const atomic_bool *stop);
/* Let go; waits for pieces in work. Also after walk_init failed. */
void walk_deinit(struct walk *walk);

/*
 * Wait until all is settled (0), until_ns has come (1; CLOCK_MONOTONIC, UINT64_MAX: never), or the
 * walk is over and every lane at rest (negative errno; -ECANCELED: stopped).
 */
int walk_wait(struct walk *walk, uint64_t until_ns);

/* Where it went wrong, once walk_wait said so. */
const struct transfer_error *walk_where(const struct walk *walk);

/* journal_low and journal_flushed, any thread. */
uint64_t walk_low(struct walk *walk);
uint64_t walk_flushed_bytes(struct walk *walk);
void walk_flushed(struct walk *walk, uint64_t low);

/* Bring the lanes to rest and do everything again that is not flushed. */
void walk_rewind(struct walk *walk);

/* For a walk_fn: the piece is settled; what journal_settle returns. */
uint64_t walk_settle(struct lane *lane);
/* For a walk_fn whose piece is settled: more, up to until_bytes; false: others have it already. */
bool walk_take_until(struct lane *lane, uint64_t until_bytes, struct journal_piece *ret);
