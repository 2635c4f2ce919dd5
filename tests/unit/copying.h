/*
 * For tests of the copy: an endpoint that passes a real one on and fails, comes short or loses data
 * on demand.
 */
#pragma once

#include <pthread.h>

#include "copy/endpoint/file.h"
#include "copy/engine.h"
#include "tests/unit/volumes.h"

enum faulty_op {
    OP_SIZE,
    OP_EXTENT,
    OP_READ,
    OP_WRITE,
    OP_ZERO,
    OP_FLUSH,
    OP_SYNC,
    OP_DROP,
    OP_CLAIM,
    OP_CLONE,
    OP_N,
};

#define FAULTY_RANGES 32768

struct faulty {
    struct endpoint ep;
    struct endpoint *inner;
    pthread_mutex_t lock; /* guards everything below */
    unsigned calls[OP_N];
    enum faulty_op op; /* the call that fails: its N-th, and n_more after it */
    unsigned fail_at, n_more;
    int error;                   /* positive */
    uint64_t bad_start, bad_end; /* reads that touch it fail with EIO */
    unsigned n_bad;              /* so many times */
    uint64_t flip_at;            /* a byte that is read wrong */
    unsigned n_flips;
    bool short_transfers;
    bool flush_lingers;
    bool odd_extents;    /* told in parts that end anywhere */
    bool by_kernel;      /* what the kernel can do, it does: nothing of the above happens then */
    uint64_t full_bytes; /* a write from there on fails with ENOSPC; 0: none does */
    uint64_t gate_bytes; /* a write above it waits for the first flush; 0: none does */
    uint64_t random;
    void (*hook)(void *arg); /* before the call hook_at of op hook_op */
    enum faulty_op hook_op;
    unsigned hook_at;
    void *hook_arg;
    struct {
        uint64_t offset, n;
    } dirty[FAULTY_RANGES]; /* written since the last flush: lost when it fails */
    unsigned n_dirty;
};

static inline struct faulty *faulty_of(struct endpoint *ep)
{
    return (struct faulty *)ep;
}

/* Count a call; the error that it shall have. */
static inline int faulty_call(struct faulty *faulty, enum faulty_op op)
{
    void (*hook)(void *arg) = NULL;
    unsigned n;
    int r = 0;

    pthread_mutex_lock(&faulty->lock);
    n = ++faulty->calls[op];
    if (op == faulty->op && faulty->fail_at > 0 && n >= faulty->fail_at &&
        n - faulty->fail_at <= faulty->n_more)
        r = -faulty->error;
    if (op == faulty->hook_op && n == faulty->hook_at)
        hook = faulty->hook;
    pthread_mutex_unlock(&faulty->lock);
    if (hook)
        hook(faulty->hook_arg);
    return r;
}

static inline size_t faulty_part(struct faulty *faulty, size_t n)
{
    pthread_mutex_lock(&faulty->lock);
    if (faulty->short_transfers && n > 1 && random_below(&faulty->random, 4) > 0)
        n = 1 + random_below(&faulty->random, n);
    pthread_mutex_unlock(&faulty->lock);
    return n;
}

static inline int faulty_size(struct endpoint *ep, uint64_t *ret_bytes)
{
    struct faulty *faulty = faulty_of(ep);
    int r = faulty_call(faulty, OP_SIZE);

    return r < 0 ? r : faulty->inner->ops->size(faulty->inner, ret_bytes);
}

static inline int faulty_extent(struct endpoint *ep, uint64_t offset, uint64_t *ret_end,
                                bool *ret_hole)
{
    struct faulty *faulty = faulty_of(ep);
    int r = faulty_call(faulty, OP_EXTENT);

    if (r == 0)
        r = faulty->inner->ops->extent(faulty->inner, offset, ret_end, ret_hole);
    if (r == 0 && faulty->odd_extents) {
        uint64_t end;

        pthread_mutex_lock(&faulty->lock);
        end = offset + 1 + random_below(&faulty->random, 4 * GRAIN);
        pthread_mutex_unlock(&faulty->lock);
        *ret_end = end < *ret_end ? end : *ret_end;
    }
    return r;
}

static inline bool faulty_take(struct faulty *faulty, unsigned *n, bool touched)
{
    bool taken;

    pthread_mutex_lock(&faulty->lock);
    taken = touched && *n > 0;
    *n -= taken ? 1 : 0;
    pthread_mutex_unlock(&faulty->lock);
    return taken;
}

static inline int faulty_pread(struct endpoint *ep, void *buf, size_t n, uint64_t offset,
                               size_t *ret_n)
{
    struct faulty *faulty = faulty_of(ep);
    int r = faulty_call(faulty, OP_READ);

    n = faulty_part(faulty, n);
    if (r == 0 && faulty_take(faulty, &faulty->n_bad,
                              offset < faulty->bad_end && offset + n > faulty->bad_start))
        r = -EIO;
    if (r == 0)
        r = faulty->inner->ops->pread(faulty->inner, buf, n, offset, ret_n);
    if (r == 0 && faulty_take(faulty, &faulty->n_flips,
                              faulty->flip_at >= offset && faulty->flip_at < offset + *ret_n))
        ((unsigned char *)buf)[faulty->flip_at - offset] ^= 1;
    return r;
}

static inline void faulty_note(struct faulty *faulty, uint64_t offset, uint64_t n)
{
    pthread_mutex_lock(&faulty->lock);
    REQUIRE(faulty->n_dirty < FAULTY_RANGES);
    faulty->dirty[faulty->n_dirty].offset = offset;
    faulty->dirty[faulty->n_dirty++].n = n;
    pthread_mutex_unlock(&faulty->lock);
}

/* Something below the gate gets settled meanwhile. */
static inline void faulty_wait_at_gate(struct faulty *faulty, uint64_t offset)
{
    bool flushed = faulty->gate_bytes == 0 || offset < faulty->gate_bytes;

    for (unsigned i = 0; i < 1000000 && !flushed; i++) {
        sched_yield();
        pthread_mutex_lock(&faulty->lock);
        flushed = faulty->calls[OP_FLUSH] > 0;
        pthread_mutex_unlock(&faulty->lock);
    }
}

static inline int faulty_pwrite(struct endpoint *ep, const void *buf, size_t n, uint64_t offset,
                                size_t *ret_n)
{
    struct faulty *faulty = faulty_of(ep);
    int r;

    faulty_wait_at_gate(faulty, offset);
    r = faulty_call(faulty, OP_WRITE);
    if (r == 0 && faulty->full_bytes > 0 && offset >= faulty->full_bytes)
        r = -ENOSPC;
    if (r == 0)
        r = faulty->inner->ops->pwrite(faulty->inner, buf, faulty_part(faulty, n), offset, ret_n);
    if (r == 0)
        faulty_note(faulty, offset, *ret_n);
    return r;
}

static inline int faulty_zero(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    struct faulty *faulty = faulty_of(ep);
    int r = faulty_call(faulty, OP_ZERO);

    if (r == 0)
        r = faulty->inner->ops->zero(faulty->inner, offset, n_bytes);
    if (r == 0)
        faulty_note(faulty, offset, n_bytes);
    return r;
}

/* Give the other threads time to write more, while a flush is under way. */
static inline void faulty_linger(struct faulty *faulty)
{
    unsigned first = 0, now = 0;

    for (unsigned i = 0; faulty->flush_lingers && i < 20000 && now < first + 3; i++) {
        sched_yield();
        pthread_mutex_lock(&faulty->lock);
        now = faulty->calls[OP_WRITE];
        pthread_mutex_unlock(&faulty->lock);
        first = i == 0 ? now : first;
    }
}

/* Make it plain to see that a flush that failed has lost what was written since the last one. */
static inline void faulty_lose(struct faulty *faulty, unsigned n_dirty)
{
    uint64_t random = 7;

    for (unsigned i = 0; i < n_dirty; i++) {
        uint64_t offset = faulty->dirty[i].offset, n = faulty->dirty[i].n;
        unsigned char junk[GRAIN];
        size_t got, part = n < GRAIN ? (size_t)n : GRAIN;

        memset(junk, 0xee, sizeof(junk));
        offset += (n - part) ? random_below(&random, n - part) : 0;
        REQUIRE(endpoint_write(faulty->inner, junk, part, offset, &got) == 0);
    }
}

/* It covers what was written before it began. */
static inline int faulty_flush_by(struct faulty *faulty, int r, int (*flush)(struct endpoint *ep))
{
    unsigned n_before;

    pthread_mutex_lock(&faulty->lock);
    n_before = faulty->n_dirty;
    if (r < 0)
        faulty_lose(faulty, n_before);
    pthread_mutex_unlock(&faulty->lock);
    faulty_linger(faulty);
    if (r == 0)
        r = flush(faulty->inner);
    pthread_mutex_lock(&faulty->lock);
    if (n_before > faulty->n_dirty) /* another thread flushed as well */
        n_before = faulty->n_dirty;
    faulty->n_dirty -= n_before;
    memmove(faulty->dirty, faulty->dirty + n_before, faulty->n_dirty * sizeof(faulty->dirty[0]));
    pthread_mutex_unlock(&faulty->lock);
    return r;
}

static inline int faulty_flush(struct endpoint *ep)
{
    struct faulty *faulty = faulty_of(ep);

    return faulty_flush_by(faulty, faulty_call(faulty, OP_FLUSH), faulty->inner->ops->flush);
}

static inline int faulty_sync(struct endpoint *ep)
{
    struct faulty *faulty = faulty_of(ep);

    return faulty_flush_by(faulty, faulty_call(faulty, OP_SYNC), faulty->inner->ops->sync);
}

static inline int faulty_drop(struct endpoint *ep)
{
    struct faulty *faulty = faulty_of(ep);
    int r = faulty_call(faulty, OP_DROP);

    return r < 0 ? r : faulty->inner->ops->drop(faulty->inner);
}

static inline int faulty_check_claim(struct endpoint *ep)
{
    struct faulty *faulty = faulty_of(ep);
    int r = faulty_call(faulty, OP_CLAIM);

    return r < 0 ? r : faulty->inner->ops->check_claim(faulty->inner);
}

/* Nothing shares its storage here; but the destination has the bytes, and nobody has read them. */
static inline int faulty_clone(struct endpoint *ep, struct endpoint *source, uint64_t offset,
                               uint64_t n_bytes)
{
    struct faulty *faulty = faulty_of(ep);
    int r = faulty_call(faulty, OP_CLONE);

    for (uint64_t end = offset + n_bytes; r == 0 && offset < end;) {
        struct endpoint *from = faulty_of(source)->inner;
        unsigned char grain[GRAIN];
        size_t n = end - offset < GRAIN ? (size_t)(end - offset) : GRAIN, got;
        uint64_t extent_end;
        bool hole;

        r = endpoint_extent(from, offset, end, &extent_end, &hole);
        if (r == 0 && hole && extent_end >= offset + n) {
            offset = extent_end == end ? end : extent_end - extent_end % GRAIN;
            continue;
        }
        if (r == 0)
            r = endpoint_read(from, grain, n, offset, &got);
        if (r == 0)
            r = endpoint_write(faulty->inner, grain, n, offset, &got);
        faulty_note(faulty, offset, n);
        offset += n;
    }
    return r;
}

static inline int faulty_fd(struct endpoint *ep, bool read, const void *buf, size_t n,
                            uint64_t offset)
{
    struct faulty *faulty = faulty_of(ep);

    if (!faulty->by_kernel)
        return -1;
    return faulty->inner->ops->fd(faulty->inner, read, buf, n, offset);
}

static const struct endpoint_ops faulty_ops = {
    .scheme = "faulty",
    .size = faulty_size,
    .extent = faulty_extent,
    .pread = faulty_pread,
    .pwrite = faulty_pwrite,
    .zero = faulty_zero,
    .flush = faulty_flush,
    .sync = faulty_sync,
    .drop = faulty_drop,
    .fd = faulty_fd,
    .clone = faulty_clone,
    .check_claim = faulty_check_claim,
};

/* How the transfers are made. */
struct way {
    enum queue_way queue;
    unsigned depth;
    uint64_t block_bytes;
};

/* The first half of them has every value of each member with every value of each other. */
static const struct way all_ways[] = {
    {QUEUE_THREADS, 16, 512 << 10}, {QUEUE_URING, 1, 512 << 10},  {QUEUE_URING, 16, 64 << 10},
    {QUEUE_THREADS, 1, 64 << 10},   {QUEUE_URING, 16, 512 << 10}, {QUEUE_THREADS, 1, 512 << 10},
    {QUEUE_THREADS, 16, 64 << 10},  {QUEUE_URING, 1, 64 << 10},
};

/* Of the test that runs. */
static struct way way = {QUEUE_THREADS, 16, 512 << 10};

static inline bool way_can_be_had(const struct way *wanted)
{
    struct queue *queue = NULL;
    bool had = queue_open(wanted->depth, wanted->queue, &queue) == 0;

    queue_close(queue);
    return had;
}

/* The first n of them; half as many unless EVERY=1 (tests/nightly). */
static inline void run_ways(unsigned n, void (*run)(void))
{
    const char *every = getenv("EVERY");

    if (!every || strcmp(every, "1") != 0)
        n = (n + 1) / 2;
    for (unsigned i = 0; i < n && !check_failures; i++) {
        way = all_ways[i];
        if (!way_can_be_had(&way)) {
            printf("# no io_uring here\n");
            continue;
        }
        run();
        if (check_failures)
            printf("# by %s, %u at a time, blocks of %" PRIu64 " bytes\n",
                   way.queue == QUEUE_URING ? "io_uring" : "threads", way.depth, way.block_bytes);
    }
}

#define TEST_WAYS(name_, n_)                                                                       \
    static void name_##_one_way(void);                                                             \
    TEST(name_)                                                                                    \
    {                                                                                              \
        run_ways(n_, name_##_one_way);                                                             \
    }                                                                                              \
    static void name_##_one_way(void)

/* A TEST that is true whatever the way; the second one is for those that take long. */
#define TEST_EACH_WAY(name_)      TEST_WAYS(name_, ARRAY_N(all_ways))
#define TEST_HALF_THE_WAYS(name_) TEST_WAYS(name_, ARRAY_N(all_ways) / 2)

/* Two volumes and a job that copies one to the other. */
struct bench {
    struct queue *queue;
    int source_fd, destination_fd;
    uint64_t size_bytes;
    struct faulty source, destination;
    struct progress progress;
    atomic_bool stop;
    struct digests *digests;
    struct engine_job job;
    struct engine_result result;
    struct journal_mark last_mark; /* as it was told */
    unsigned n_checkpoints;
};

static inline void bench_note_checkpoint(void *arg, const struct journal_mark *mark)
{
    struct bench *bench = arg;

    bench->last_mark = *mark;
    bench->n_checkpoints++;
}

/* Is the block that the offset lies in done, by this mark? */
static inline bool mark_has(const struct journal_mark *mark, uint64_t offset)
{
    uint64_t i;

    if (offset < mark->low_bytes + way.block_bytes)
        return offset < mark->low_bytes;
    i = (offset - mark->low_bytes) / way.block_bytes - 1;
    return i < 64 && (mark->above >> i & 1);
}

static inline void faulty_init(struct faulty *faulty, int fd, enum endpoint_mode mode)
{
    *faulty = (struct faulty){.ep = {&faulty_ops, mode}, .random = 1};
    pthread_mutex_init(&faulty->lock, NULL);
    REQUIRE(file_endpoint_wrap(fd, mode, &faulty->inner) == 0);
}

/* Forget what was planned and counted, and the digests; the volumes stay. */
static inline void bench_renew(struct bench *bench)
{
    endpoint_close(bench->source.inner);
    endpoint_close(bench->destination.inner);
    digests_close(bench->digests);
    bench->digests = NULL;
    faulty_init(&bench->source, bench->source_fd, ENDPOINT_READ);
    faulty_init(&bench->destination, bench->destination_fd, ENDPOINT_WRITE);
    REQUIRE(digests_open(bench->size_bytes, way.block_bytes, &bench->digests) == 0);
    memset(&bench->progress, 0, sizeof(bench->progress));
    atomic_store(&bench->stop, false);
    bench->n_checkpoints = 0;
    bench->job = (struct engine_job){
        .queue = bench->queue,
        .block_bytes = way.block_bytes,
        .source = &bench->source.ep,
        .destination = &bench->destination.ep,
        .size_bytes = bench->size_bytes,
        .stop = &bench->stop,
        .progress = &bench->progress,
        .digests = bench->digests,
        .checkpoint_ns = UINT64_MAX,
        .destination_zero = true,
        .checkpoint = bench_note_checkpoint,
        .checkpoint_arg = bench,
    };
}

/* The source is open for writing too: tests fill it. */
static inline struct bench *bench_open(const char *dir, uint64_t size_bytes)
{
    struct bench *bench = calloc(1, sizeof(*bench));

    REQUIRE(bench);
    REQUIRE(queue_open(way.depth, way.queue, &bench->queue) == 0);
    bench->size_bytes = size_bytes;
    bench->source_fd = volume_make(dir, "source", size_bytes);
    bench->destination_fd = volume_make(dir, "destination", size_bytes);
    bench_renew(bench);
    return bench;
}

static inline void bench_close(struct bench *bench)
{
    queue_close(bench->queue);
    endpoint_close(bench->source.inner);
    endpoint_close(bench->destination.inner);
    digests_close(bench->digests);
    close(bench->source_fd);
    close(bench->destination_fd);
    free(bench);
}

static inline int bench_copy(struct bench *bench)
{
    return engine_copy(&bench->job, &bench->result);
}

static inline int bench_verify(struct bench *bench)
{
    return engine_verify(&bench->job, &bench->result);
}

static inline bool bench_equal(struct bench *bench)
{
    return volume_difference(bench->source_fd, bench->destination_fd, bench->size_bytes) ==
           bench->size_bytes;
}

/* From now on every call of this operation fails. */
static inline void faulty_break(struct faulty *faulty, enum faulty_op op, int error)
{
    pthread_mutex_lock(&faulty->lock);
    faulty->op = op;
    faulty->fail_at = 1;
    faulty->n_more = UINT_MAX / 2;
    faulty->error = error;
    pthread_mutex_unlock(&faulty->lock);
}

/* The destination becomes a new file that reads as zeroes. */
static inline void bench_empty_destination(struct bench *bench)
{
    REQUIRE(ftruncate(bench->destination_fd, 0) == 0);
    REQUIRE(ftruncate(bench->destination_fd, (off_t)bench->size_bytes) == 0);
}
