/*
 * A run is what was appended since the text last started anew: chunks that never move, so that what
 * a reader was given stays as it is while more is added behind it. A run that is over lives until
 * the last read of it has been answered, no longer: a reader need not be waited for.
 */
#include "fs/view/feed.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"

#define CHUNK_BYTES (UINT64_C(64) << 10)

struct feed_run {
    atomic_uint refs;
    uint64_t n_bytes; /* guarded by the feed's lock; what is below it is never written again */
    char *chunks[];   /* NULL: not needed yet */
};

struct feed {
    atomic_uint refs;
    uint64_t limit_bytes;
    pthread_mutex_t lock; /* guards what follows, and all readers; held to copy a line at most */
    struct feed_run *run;
    uint64_t number; /* of the run */
    struct feed_reader *readers;
};

static size_t n_chunks(const struct feed *feed)
{
    return feed->limit_bytes / CHUNK_BYTES;
}

static struct feed_run *run_open(const struct feed *feed)
{
    struct feed_run *run = calloc(1, sizeof(*run) + n_chunks(feed) * sizeof(char *));

    if (run)
        atomic_init(&run->refs, 1);
    return run;
}

static void run_put(struct feed_run *run)
{
    if (!run || atomic_fetch_sub_explicit(&run->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint64_t at = 0; at < run->n_bytes; at += CHUNK_BYTES)
        free(run->chunks[at / CHUNK_BYTES]);
    free(run);
}

struct feed *feed_open(uint64_t limit_bytes)
{
    struct feed *feed = calloc(1, sizeof(*feed));

    assert(limit_bytes % CHUNK_BYTES == 0 && limit_bytes >= CHUNK_BYTES);
    if (!feed)
        return NULL;
    atomic_init(&feed->refs, 1);
    feed->limit_bytes = limit_bytes;
    pthread_mutex_init(&feed->lock, NULL);
    feed->run = run_open(feed);
    if (feed->run)
        return feed;
    feed_put(feed);
    return NULL;
}

struct feed *feed_ref(struct feed *feed)
{
    atomic_fetch_add_explicit(&feed->refs, 1, memory_order_relaxed);
    return feed;
}

void feed_put(struct feed *feed)
{
    if (!feed || atomic_fetch_sub_explicit(&feed->refs, 1, memory_order_acq_rel) != 1)
        return;
    run_put(feed->run);
    pthread_mutex_destroy(&feed->lock);
    free(feed);
}

static bool all_have_read(const struct feed *feed)
{
    for (const struct feed_reader *reader = feed->readers; reader; reader = reader->next)
        if (reader->run == feed->number && reader->read_bytes < feed->run->n_bytes)
            return false;
    return true;
}

static bool is_over(const struct feed *feed, size_t n)
{
    uint64_t after = feed->run->n_bytes + n;

    return after > feed->limit_bytes || (after > feed->limit_bytes / 4 * 3 && all_have_read(feed));
}

static int start_anew(struct feed *feed)
{
    struct feed_run *run = run_open(feed);

    if (!run)
        return -ENOMEM;
    run_put(feed->run);
    feed->run = run;
    feed->number++;
    return 0;
}

/* What is appended lies in one chunk or two; a new one is begun where the bytes before end. */
static int make_room(struct feed_run *run, size_t n)
{
    char **last = &run->chunks[(run->n_bytes + n - 1) / CHUNK_BYTES];

    if (run->n_bytes % CHUNK_BYTES != 0 && last == &run->chunks[run->n_bytes / CHUNK_BYTES])
        return 0;
    *last = malloc(CHUNK_BYTES);
    return *last ? 0 : -ENOMEM;
}

static void copy_in(struct feed_run *run, const char *bytes, size_t n)
{
    while (n > 0) {
        uint64_t in_chunk = run->n_bytes % CHUNK_BYTES;
        size_t piece = CHUNK_BYTES - in_chunk < n ? CHUNK_BYTES - in_chunk : n;

        memcpy(run->chunks[run->n_bytes / CHUNK_BYTES] + in_chunk, bytes, piece);
        run->n_bytes += piece;
        bytes += piece;
        n -= piece;
    }
}

int feed_append(struct feed *feed, const char *bytes, size_t n)
{
    int r = 0;

    assert(n > 0 && n <= FEED_LINE_MAX);
    pthread_mutex_lock(&feed->lock);
    if (is_over(feed, n))
        r = start_anew(feed);
    if (r == 0)
        r = make_room(feed->run, n);
    if (r == 0)
        copy_in(feed->run, bytes, n);
    pthread_mutex_unlock(&feed->lock);
    return r;
}

uint64_t feed_bytes(struct feed *feed)
{
    uint64_t n_bytes;

    pthread_mutex_lock(&feed->lock);
    n_bytes = feed->run->n_bytes;
    pthread_mutex_unlock(&feed->lock);
    return n_bytes;
}

void feed_reader_init(struct feed_reader *reader, struct feed *feed)
{
    *reader = (struct feed_reader){.feed = feed_ref(feed)};
    pthread_mutex_lock(&feed->lock);
    reader->run = feed->number;
    reader->next = feed->readers;
    reader->pprev = &feed->readers;
    if (reader->next)
        reader->next->pprev = &reader->next;
    feed->readers = reader;
    pthread_mutex_unlock(&feed->lock);
}

void feed_reader_deinit(struct feed_reader *reader)
{
    struct feed *feed = take_ptr(reader->feed);

    if (!feed)
        return;
    pthread_mutex_lock(&feed->lock);
    *reader->pprev = reader->next;
    if (reader->next)
        reader->next->pprev = reader->pprev;
    pthread_mutex_unlock(&feed->lock);
    feed_put(feed);
}

/* Where in the run of now an offset of the reader is. */
static uint64_t place_of(struct feed_reader *reader, uint64_t offset)
{
    if (reader->run != reader->feed->number) { /* it goes on at the beginning */
        reader->run = reader->feed->number;
        reader->base_bytes = offset;
    }
    if (offset < reader->base_bytes ||
        offset == 0) /* it was sought back: it has seen the new size */
        reader->base_bytes = 0;
    return offset - reader->base_bytes;
}

static uint64_t add_piece(struct feed_part *part, uint64_t at, uint64_t n)
{
    uint64_t in_chunk = at % CHUNK_BYTES;
    uint64_t piece = CHUNK_BYTES - in_chunk < n ? CHUNK_BYTES - in_chunk : n;

    part->iov[part->n_iov++] =
        (struct iovec){part->run->chunks[at / CHUNK_BYTES] + in_chunk, piece};
    return piece;
}

void feed_read(struct feed_reader *reader, uint64_t offset, size_t n, struct feed_part *ret)
{
    struct feed *feed = reader->feed;
    struct feed_part part = {0};
    uint64_t at, end;

    pthread_mutex_lock(&feed->lock);
    part.run = feed->run;
    atomic_fetch_add_explicit(&part.run->refs, 1, memory_order_relaxed);
    at = place_of(reader, offset);
    end = at < part.run->n_bytes && n < part.run->n_bytes - at ? at + n : part.run->n_bytes;
    while (at < end && part.n_iov < (int)ARRAY_N(part.iov))
        at += add_piece(&part, at, end - at);
    reader->read_bytes = at;
    pthread_mutex_unlock(&feed->lock);
    *ret = part;
}

void feed_part_put(struct feed_part *part)
{
    run_put(take_ptr(part->run));
}
