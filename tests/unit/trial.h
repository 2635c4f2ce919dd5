/*
 * A copy of a random volume in random circumstances, all of it made from one number, over endpoints
 * that fail on demand (copying.h). What goes wrong is told with that number.
 *
 * PROPERTY_SEED: where the numbers begin; PROPERTY_RUNS: how many times more of them than usual.
 */
#pragma once

#include <stddef.h>

#include "copy/endpoint/queue.h"
#include "copy/throttle.h"
#include "tests/unit/copying.h"

#define KIB         UINT64_C(1024)
#define LARGE_BYTES (64 * MIB)
#define HUGE_BYTES  (MIB << 24) /* zeroing all of it takes too long */

struct trial {
    uint64_t seed, random;
    const struct pool_dir *dir;
    uint64_t size_bytes;
    bool zeroes_by_writing; /* the destination knows no other way */
    int source_fd, destination_fd;
    struct faulty source, destination;
    struct endpoint_ops source_ops, destination_ops;
    struct progress progress;
    atomic_bool stop;
    _Atomic uint64_t speed;
    unsigned n_turns; /* of the speed, that there still are */
    struct engine_job job;
    struct engine_result result;
    struct journal_mark told; /* of the last checkpoint */
};

static uint64_t trial_seed = 1, trial_runs = 1;

static inline uint64_t trial_number(const char *name, uint64_t preset)
{
    const char *value = getenv(name);

    return value && *value ? strtoull(value, NULL, 0) : preset;
}

/* Before any test. */
static inline void trials_open(void)
{
    trial_seed = trial_number("PROPERTY_SEED", 1);
    trial_runs = trial_number("PROPERTY_RUNS", 1);
    printf("# PROPERTY_SEED=%" PRIu64 " PROPERTY_RUNS=%" PRIu64 "\n", trial_seed, trial_runs);
    pools_in_memory = true;
    pools_open();
    if (n_pool_dirs > 1) {
        pools_add("xfs-no-reflink",
                  "truncate -s 1G $A && mkfs.xfs -q -m reflink=0 $A && mount -o loop $A $B");
        pools_add("btrfs", "truncate -s 1G $A && mkfs.btrfs -q $A >$A.log && mount -o loop $A $B");
    }
}

static inline bool one_in(struct trial *trial, uint64_t n)
{
    return random_below(&trial->random, n) == 0;
}

/* A transfer that is to fail, or to come short, must come through pread and pwrite; the others go
 * the way that the queue likes best. */
static inline int trial_fd(struct endpoint *ep, bool read, const void *buf, size_t n,
                           uint64_t offset)
{
    struct faulty *faulty = faulty_of(ep);
    enum faulty_op op = read ? OP_READ : OP_WRITE;
    bool blocks;

    pthread_mutex_lock(&faulty->lock);
    blocks = faulty->short_transfers || (faulty->fail_at > 0 && faulty->op == op) ||
             faulty->hook_op == op || faulty->n_bad > 0 || faulty->n_flips > 0 ||
             faulty->full_bytes > 0 || !faulty->inner->ops->fd;
    pthread_mutex_unlock(&faulty->lock);
    if (blocks)
        return -1;
    if (!read)
        faulty_note(faulty, offset, n);
    return faulty->inner->ops->fd(faulty->inner, read, buf, n, offset);
}

/* At the first reads there is a limit, or none, or another one. On the thread that copies. */
static inline int trial_turn_speed(struct endpoint *ep)
{
    static const uint64_t speeds[] = {THROTTLE_NONE, THROTTLE_NONE, 2 * MIB, MIB / 2};
    struct trial *trial = (struct trial *)((char *)ep - offsetof(struct trial, source));
    int r = faulty_check_claim(ep);

    if (trial->n_turns > 0 && --trial->n_turns > 0)
        atomic_store(&trial->speed, speeds[random_below(&trial->random, ARRAY_N(speeds))]);
    else
        atomic_store(&trial->speed, THROTTLE_NONE);
    return r;
}

/* A real endpoint that can less. Of a large volume every extent has to be told, and not in parts:
 * it would take for ever. */
static inline void trial_lame(struct trial *trial)
{
    struct endpoint_ops *source = &trial->source_ops, *destination = &trial->destination_ops;

    if (one_in(trial, 2))
        source->fd = destination->fd = trial_fd;
    source->check_claim = trial_turn_speed;
    trial->source.short_transfers = one_in(trial, 4);
    trial->destination.short_transfers = one_in(trial, 4);
    if (trial->size_bytes > LARGE_BYTES)
        return;
    if (one_in(trial, 8))
        source->extent = NULL;
    if (one_in(trial, 8))
        destination->extent = NULL;
    if (trial->zeroes_by_writing)
        destination->zero = NULL;
    trial->source.odd_extents = one_in(trial, 4);
    trial->destination.odd_extents = one_in(trial, 8);
}

/* Grains of data, zeroes and holes in any order, and some that are not whole. */
static inline void scatter_grains(int fd, uint64_t size_bytes, uint64_t *random)
{
    uint64_t at = random_below(random, size_bytes);

    at -= at % GRAIN;
    for (unsigned i = 0; i < 64 && at + GRAIN <= size_bytes; i++, at += GRAIN) {
        uint64_t what = random_below(random, 4);

        if (what < 2)
            volume_write(fd, at, GRAIN, what == 0 ? 0 : 1, random);
        else if (what == 2)
            volume_write(fd, at + random_below(random, GRAIN), 1, 7, random);
    }
}

/* What is at the edges of blocks and of the volume. */
static inline void scatter_edges(int fd, uint64_t size_bytes, uint64_t block_bytes,
                                 uint64_t *random)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t edge = random_below(random, size_bytes / block_bytes + 1) * block_bytes;
        uint64_t n = 1 + random_below(random, 3 * GRAIN);

        edge = edge > n && random_below(random, 2) ? edge - n / 2 : edge;
        if (edge < size_bytes)
            volume_write(fd, edge, n < size_bytes - edge ? n : size_bytes - edge, 1, random);
    }
    if (random_below(random, 2))
        volume_write(fd, size_bytes - 1, 1, 9, random);
}

static inline void trial_fill(struct trial *trial, int fd, unsigned n_pieces)
{
    uint64_t size = trial->size_bytes, *random = &trial->random;

    if (size == 0)
        return;
    if (size <= LARGE_BYTES)
        volume_scatter(fd, size, (unsigned)random_below(random, n_pieces), random);
    for (uint64_t i = random_below(random, 3); i > 0; i--)
        scatter_grains(fd, size, random);
    if (random_below(random, 2))
        scatter_edges(fd, size, trial->job.block_bytes, random);
}

static inline uint64_t trial_size(struct trial *trial)
{
    static const uint64_t sizes[] = {
        0,       1,   511,     512,         4095,    4096,         4097,     64 * KIB,
        MIB - 1, MIB, MIB + 1, 3 * MIB + 7, 5 * MIB, 17 * MIB + 1, 12345679, (MIB << 20) + 513};
    uint64_t i = random_below(&trial->random, 2 * ARRAY_N(sizes));

    return i < ARRAY_N(sizes) ? sizes[i] : random_below(&trial->random, 9 * MIB);
}

static inline void trial_note_checkpoint(void *arg, const struct journal_mark *mark)
{
    struct trial *trial = arg;

    trial->told = *mark;
}

/* The volumes stay; what was planned, counted and found out is forgotten. */
static inline void trial_renew(struct trial *trial)
{
    struct faulty *source = &trial->source, *destination = &trial->destination;

    endpoint_close(source->inner);
    endpoint_close(destination->inner);
    faulty_init(source, trial->source_fd, ENDPOINT_READ);
    faulty_init(destination, trial->destination_fd, ENDPOINT_WRITE);
    source->random = destination->random = trial->seed | 1;
    trial->source_ops = trial->destination_ops = faulty_ops;
    source->ep.ops = &trial->source_ops;
    destination->ep.ops = &trial->destination_ops;
    trial_lame(trial);
    memset(&trial->progress, 0, sizeof(trial->progress));
    atomic_store(&trial->stop, false);
    trial->job.source = &source->ep;
    trial->job.destination = &destination->ep;
}

static inline void trial_plan(struct trial *trial)
{
    struct engine_job *job = &trial->job;
    uint64_t *random = &trial->random;

    job->block_bytes = ENGINE_BLOCK_MIN_BYTES << random_below(random, 7);
    job->size_bytes = trial->size_bytes;
    job->stop = &trial->stop;
    job->progress = &trial->progress;
    job->checkpoint_ns = one_in(trial, 2) ? 0 : UINT64_MAX;
    trial->zeroes_by_writing = trial->size_bytes <= LARGE_BYTES && one_in(trial, 8);
    job->destination_zero = one_in(trial, 2) || trial->size_bytes > HUGE_BYTES;
    job->verify_behind = one_in(trial, 2);
    job->speed_bytes_per_s = &trial->speed;
    trial->n_turns = one_in(trial, 4) ? 12 : 0;
    atomic_store(&trial->speed, THROTTLE_NONE);
    job->checkpoint = trial_note_checkpoint;
    job->checkpoint_arg = trial;
    REQUIRE(queue_open(1 + (unsigned)random_below(random, 16),
                       one_in(trial, 2) ? QUEUE_THREADS : QUEUE_AUTO, &job->queue) == 0);
}

/* size_bytes: UINT64_MAX: a random one. NULL: there is no file of that size here. */
static inline struct trial *trial_open(uint64_t seed, uint64_t size_bytes)
{
    struct trial *trial = calloc(1, sizeof(*trial));

    REQUIRE(trial);
    trial->seed = trial->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    trial->seed = seed;
    trial->dir = &pool_dirs[random_below(&trial->random, n_pool_dirs)];
    trial->size_bytes = size_bytes == UINT64_MAX ? trial_size(trial) : size_bytes;
    trial->source_fd = volume_make(trial->dir->path, "source", 0);
    trial->destination_fd = volume_make(trial->dir->path, "destination", 0);
    if (ftruncate(trial->source_fd, (off_t)trial->size_bytes) < 0 ||
        ftruncate(trial->destination_fd, (off_t)trial->size_bytes) < 0) {
        close(trial->source_fd);
        close(trial->destination_fd);
        free(trial);
        return NULL;
    }
    trial_plan(trial);
    trial_renew(trial);
    trial_fill(trial, trial->source_fd, 24);
    if (trial->size_bytes <= HUGE_BYTES && one_in(trial, 2)) {
        trial_fill(trial, trial->destination_fd, 16);
        /* promised where it is not true, too: it is told by the extents */
        trial->job.destination_zero &= trial->destination_ops.extent != NULL;
    }
    if (trial->size_bytes <= HUGE_BYTES && random_below(&trial->random, 3))
        REQUIRE(digests_open(trial->size_bytes, trial->job.block_bytes, &trial->job.digests) == 0);
    return trial;
}

static inline void trial_close(struct trial *trial)
{
    if (check_failures)
        printf("# PROPERTY_SEED=%" PRIu64 ": %s, %" PRIu64 " bytes, blocks of %" PRIu64
               ", %u by %s%s: %s\n",
               trial->seed, trial->dir->kind, trial->size_bytes, trial->job.block_bytes,
               queue_depth(trial->job.queue), queue_name(trial->job.queue),
               trial->job.destination_zero ? ", empty" : "", trial->result.err.text);
    queue_close(trial->job.queue);
    endpoint_close(trial->source.inner);
    endpoint_close(trial->destination.inner);
    digests_close(trial->job.digests);
    close(trial->source_fd);
    close(trial->destination_fd);
    free(trial);
}

static inline int trial_copy(struct trial *trial)
{
    trial->told = trial->job.start;
    return engine_copy(&trial->job, &trial->result);
}

static inline bool trial_equal(struct trial *trial)
{
    return volume_difference(trial->source_fd, trial->destination_fd, trial->size_bytes) ==
           trial->size_bytes;
}

/* Grains that are not all zero. */
static inline uint64_t n_grains_of_data(int fd, uint64_t size_bytes)
{
    uint64_t n_grains = 0;

    for (uint64_t at = next_data(fd, 0, size_bytes); at < size_bytes;) {
        unsigned char grain[GRAIN];
        uint64_t n;

        at -= at % GRAIN;
        n = size_bytes - at < GRAIN ? size_bytes - at : GRAIN;
        REQUIRE(pread(fd, grain, n, (off_t)at) == (ssize_t)n);
        n_grains += grain_is_zero(grain, n) ? 0 : 1;
        at = at + n < size_bytes ? next_data(fd, at + n, size_bytes) : size_bytes;
    }
    return n_grains;
}

/* No grain too many: as the file system tells its data, and where that is all it allocates, by the
 * number of blocks too. */
static inline bool trial_minimal(struct trial *trial)
{
    uint64_t size = trial->size_bytes;
    struct stat st;

    if (trial->zeroes_by_writing)
        return true;
    if (volume_waste(trial->destination_fd, size) != size)
        return false;
    if (strcmp(trial->dir->kind, "tmpfs") != 0)
        return true;
    REQUIRE(fstat(trial->destination_fd, &st) == 0);
    return (uint64_t)st.st_blocks * 512 == n_grains_of_data(trial->source_fd, size) * GRAIN;
}

/* Is everything that the mark says is done really so? */
static inline bool mark_is_true(struct trial *trial, const struct journal_mark *mark)
{
    uint64_t size = trial->size_bytes, block = trial->job.block_bytes;

    if (volume_difference(trial->source_fd, trial->destination_fd, mark->low_bytes) !=
        mark->low_bytes)
        return false;
    for (unsigned i = 0; i < JOURNAL_WINDOW && mark->low_bytes < size; i++) {
        static unsigned char a[ENGINE_BLOCK_MAX_BYTES], b[ENGINE_BLOCK_MAX_BYTES];
        uint64_t at = mark->low_bytes + (i + 1) * block;
        size_t n;

        if (!(mark->above >> i & 1) || at >= size)
            continue;
        n = size - at < block ? (size_t)(size - at) : (size_t)block;
        REQUIRE(pread(trial->source_fd, a, n, (off_t)at) == (ssize_t)n);
        REQUIRE(pread(trial->destination_fd, b, n, (off_t)at) == (ssize_t)n);
        if (memcmp(a, b, n) != 0)
            return false;
    }
    return true;
}
