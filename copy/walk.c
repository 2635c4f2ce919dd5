/*
 * One lock guards the journal, and lanes hold it for the time it takes to be handed a piece. Who is
 * in work is counted: the conductor may rewind or end only when nobody is, since a piece in work
 * writes.
 */
#include "copy/walk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define NS_PER_S   UINT64_C(1000000000)
#define LANE_BYTES ((size_t)WALK_BUFFERS * JOURNAL_CHUNK_BYTES)

/* With the lock. */
static bool is_over(struct walk *walk)
{
    if (walk->error < 0 || atomic_load(walk->stop))
        atomic_store(&walk->over, true);
    return atomic_load(&walk->over);
}

/* With the lock. Of several failures the lowest is told: those above it may not be the first bad
 * place. */
static void note_failure(struct walk *walk, int error, const struct transfer_error *where)
{
    if (error == -ECANCELED)
        return; /* the lane gave up because it was over already */
    if (walk->error == 0 || where->bad_bytes < walk->where.bad_bytes) {
        walk->error = error;
        walk->where = *where;
    }
    is_over(walk);
}

/* With the lock, which is let go meanwhile. */
static void work_piece(struct lane *lane, struct journal_piece piece)
{
    struct walk *walk = lane->walk;
    int r;

    walk->n_busy++;
    pthread_mutex_unlock(&walk->lock);
    r = walk->fn(lane, piece);
    pthread_mutex_lock(&walk->lock);
    walk->n_busy--;
    if (r < 0)
        note_failure(walk, r, &lane->error);
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    struct walk *walk = lane->walk;
    struct journal_piece piece;

    pthread_mutex_lock(&walk->lock);
    while (!walk->ending) {
        if (!walk->held && !is_over(walk) && journal_take(&walk->journal, lane->index, &piece)) {
            work_piece(lane, piece);
            continue;
        }
        if (walk->n_busy == 0)
            pthread_cond_signal(&walk->rest);
        pthread_cond_wait(&walk->work, &walk->lock);
    }
    pthread_mutex_unlock(&walk->lock);
    return NULL;
}

static int init_locks(struct walk *walk)
{
    pthread_condattr_t monotonic;
    int r = pthread_condattr_init(&monotonic);

    if (r == 0)
        r = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    if (r == 0)
        r = pthread_cond_init(&walk->rest, &monotonic);
    if (r == 0)
        r = pthread_cond_init(&walk->work, NULL);
    if (r == 0)
        r = pthread_mutex_init(&walk->lock, NULL);
    return -r;
}

/* Contiguous memory: direct I/O in few, large requests. */
static int init_lanes(struct walk *walk)
{
    walk->memory = aligned_alloc(LANE_BYTES, WALK_LANES * LANE_BYTES);
    if (!walk->memory)
        return -ENOMEM;
    madvise(walk->memory, WALK_LANES * LANE_BYTES, MADV_HUGEPAGE); /* a wish */
    for (unsigned i = 0; i < WALK_LANES; i++) {
        struct lane *lane = &walk->lanes[i];

        lane->walk = walk;
        lane->index = i;
        for (unsigned b = 0; b < WALK_BUFFERS; b++)
            lane->buf[b] = walk->memory + i * LANE_BYTES + (size_t)b * JOURNAL_CHUNK_BYTES;
    }
    return 0;
}

int walk_init(struct walk *walk, uint64_t size_bytes, uint64_t start_bytes, walk_fn *fn, void *arg,
              const atomic_bool *stop)
{
    int r;

    *walk = (struct walk){.fn = fn, .arg = arg, .stop = stop};
    static_assert(WALK_LANES <= JOURNAL_LANES, "the journal knows every lane");
    journal_begin(&walk->journal, size_bytes, start_bytes);
    r = init_locks(walk);
    if (r == 0)
        r = init_lanes(walk);
    for (unsigned i = 0; i < WALK_LANES && r == 0; i++) {
        r = -pthread_create(&walk->lanes[i].thread, NULL, lane_main, &walk->lanes[i]);
        if (r == 0)
            walk->n_lanes++;
    }
    return walk->n_lanes > 0 ? 0 : r; /* fewer are slower, no worse */
}

void walk_deinit(struct walk *walk)
{
    if (walk->n_lanes > 0) {
        pthread_mutex_lock(&walk->lock);
        walk->ending = true;
        pthread_cond_broadcast(&walk->work);
        pthread_mutex_unlock(&walk->lock);
    }
    for (unsigned i = 0; i < walk->n_lanes; i++)
        pthread_join(walk->lanes[i].thread, NULL);
    walk->n_lanes = 0;
    free(walk->memory);
    walk->memory = NULL;
}

/* With the lock. false: the time has come. */
static bool rest_until(struct walk *walk, uint64_t until_ns)
{
    struct timespec until = {(time_t)(until_ns / NS_PER_S), (long)(until_ns % NS_PER_S)};

    if (until_ns > INT64_MAX)
        return pthread_cond_wait(&walk->rest, &walk->lock) == 0;
    return pthread_cond_timedwait(&walk->rest, &walk->lock, &until) != ETIMEDOUT;
}

int walk_wait(struct walk *walk, uint64_t until_ns)
{
    int r = 1;

    pthread_mutex_lock(&walk->lock);
    for (bool in_time = true;;) {
        if (walk->n_busy == 0 && is_over(walk))
            r = walk->error < 0 ? walk->error : -ECANCELED;
        else if (walk->n_busy == 0 && walk->journal.next_bytes == walk->journal.size_bytes)
            r = 0;
        if (r != 1 || !in_time)
            break;
        in_time = rest_until(walk, until_ns);
    }
    pthread_mutex_unlock(&walk->lock);
    return r;
}

const struct transfer_error *walk_where(const struct walk *walk)
{
    return &walk->where;
}

uint64_t walk_low(struct walk *walk)
{
    uint64_t low;

    pthread_mutex_lock(&walk->lock);
    low = journal_low(&walk->journal);
    pthread_mutex_unlock(&walk->lock);
    return low;
}

uint64_t walk_flushed_bytes(struct walk *walk)
{
    uint64_t flushed;

    pthread_mutex_lock(&walk->lock);
    flushed = walk->journal.flushed_bytes;
    pthread_mutex_unlock(&walk->lock);
    return flushed;
}

void walk_flushed(struct walk *walk, uint64_t low)
{
    pthread_mutex_lock(&walk->lock);
    journal_flushed(&walk->journal, low);
    pthread_mutex_unlock(&walk->lock);
}

void walk_rewind(struct walk *walk)
{
    pthread_mutex_lock(&walk->lock);
    walk->held = true;
    while (walk->n_busy > 0)
        pthread_cond_wait(&walk->rest, &walk->lock);
    if (!is_over(walk))
        journal_rewind(&walk->journal);
    walk->held = false;
    pthread_cond_broadcast(&walk->work);
    pthread_mutex_unlock(&walk->lock);
}

uint64_t walk_settle(struct lane *lane)
{
    struct walk *walk = lane->walk;
    uint64_t fresh;

    pthread_mutex_lock(&walk->lock);
    fresh = journal_settle(&walk->journal, lane->index);
    pthread_mutex_unlock(&walk->lock);
    return fresh;
}

bool walk_take_until(struct lane *lane, uint64_t until_bytes, struct journal_piece *ret)
{
    struct walk *walk = lane->walk;
    bool taken;

    pthread_mutex_lock(&walk->lock);
    taken = !walk->held && !is_over(walk) &&
            journal_take_until(&walk->journal, lane->index, until_bytes, ret);
    pthread_mutex_unlock(&walk->lock);
    return taken;
}
