/* The terms of a job: how fast, how sparse, from where on, until when, with how much memory. */
#include "copy/engine.h"

#include <malloc.h>

#include "copy/base/io.h"
#include "copy/throttle.h"
#include "tests/unit/copying.h"

#define FAST_DIR (pool_dirs[0].path)

static struct bench *bench_full(uint64_t size_bytes)
{
    struct bench *bench = bench_open(FAST_DIR, size_bytes);
    uint64_t random = 3;

    volume_write(bench->source_fd, 0, size_bytes, 1, &random);
    return bench;
}

TEST_EACH_WAY(a_copy_goes_on_from_a_mark_and_leaves_alone_what_it_names)
{
    struct bench *bench = bench_full(70 * MIB + 5);
    struct journal_mark mark = {.low_bytes = 2 * way.block_bytes, .above = 0x8000000000000015};
    unsigned n_blocks = (unsigned)(70 * MIB / way.block_bytes + 1), n_done = 2 + 4;

    bench->job.start = mark;
    bench->job.digests = NULL;
    CHECK_EQ(bench_copy(bench), 0);
    CHECK_EQ(bench->result.mark.low_bytes, bench->size_bytes);
    CHECK_EQ(bench->source.calls[OP_READ], n_blocks - n_done);
    CHECK_EQ(bench->progress.skipped_bytes, n_done * way.block_bytes);
    CHECK_EQ(bench->progress.done_bytes, bench->size_bytes);
    CHECK_EQ(bench->progress.copied_bytes, bench->size_bytes - n_done * way.block_bytes);
    for (uint64_t at = 0; at < bench->size_bytes; at += way.block_bytes) {
        unsigned char a, b;

        REQUIRE(pread(bench->source_fd, &a, 1, (off_t)at) == 1);
        REQUIRE(pread(bench->destination_fd, &b, 1, (off_t)at) == 1);
        CHECK_EQ(b, mark_has(&mark, at) ? 0 : a);
    }
    bench_close(bench);
}

static void *let_go_after_a_checkpoint(void *arg)
{
    struct bench *bench = arg;
    bool flushed = false;

    while (!flushed) {
        sched_yield();
        pthread_mutex_lock(&bench->destination.lock);
        flushed = bench->destination.calls[OP_FLUSH] > 1;
        pthread_mutex_unlock(&bench->destination.lock);
    }
    atomic_store(&bench->stop, true);
    return NULL;
}

/* The write of the third block hangs until two checkpoints were made. */
static void hang(void *arg)
{
    let_go_after_a_checkpoint(arg);
}

TEST_EACH_WAY(what_is_settled_above_a_block_that_hangs_is_in_the_mark)
{
    struct bench *bench = bench_full(24 * MIB);
    uint64_t n_done;

    bench->job.checkpoint_ns = 0;
    bench->destination.hook = hang;
    bench->destination.hook_op = OP_WRITE;
    bench->destination.hook_at = 3;
    bench->destination.hook_arg = bench;
    if (way.depth > 1) {
        CHECK_EQ(bench_copy(bench), -ECANCELED);
        CHECK(bench->result.mark.above != 0);
        n_done = journal_mark_bytes(&bench->result.mark, bench->size_bytes, way.block_bytes);
        CHECK(n_done > bench->result.mark.low_bytes);
        CHECK(n_done <= bench->progress.done_bytes);
    }
    bench_close(bench);
}

TEST_EACH_WAY(zeroes_and_holes_are_written_where_nothing_shall_be_sparse)
{
    struct bench *bench = bench_open(FAST_DIR, 5 * MIB + 5000);
    uint64_t random = 3;
    struct stat st;

    volume_scatter(bench->source_fd, bench->size_bytes, 6, &random);
    bench->job.never_sparse = true;
    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench_equal(bench));
    CHECK_EQ(bench->progress.copied_bytes, bench->size_bytes);
    CHECK_EQ(bench->destination.calls[OP_ZERO], 0);
    REQUIRE(fstat(bench->destination_fd, &st) == 0);
    CHECK((uint64_t)st.st_blocks * 512 >= bench->size_bytes);
    CHECK_EQ(bench_verify(bench), 0);
    CHECK_EQ(bench->progress.verified_bytes, bench->size_bytes);
    bench_close(bench);
}

/* Two volumes that are the same, but not in where their holes are. */
static struct bench *bench_same(void)
{
    struct bench *bench = bench_open(FAST_DIR, 9 * MIB + 77);
    uint64_t random = 3;

    volume_scatter(bench->source_fd, bench->size_bytes, 12, &random);
    REQUIRE(bench_copy(bench) == 0);
    volume_write(bench->destination_fd,
                 next_data(bench->destination_fd, 0, bench->size_bytes) ? 0 : 8 * MIB, 1, 0, NULL);
    bench_renew(bench);
    bench->job.compare_source = bench->job.no_repair = true;
    return bench;
}

static void check_untouched(struct bench *bench)
{
    static const enum faulty_op ops[] = {OP_WRITE, OP_ZERO, OP_SYNC, OP_DROP};

    for (unsigned i = 0; i < ARRAY_N(ops); i++)
        CHECK_EQ(bench->destination.calls[ops[i]], 0);
}

TEST_EACH_WAY(a_comparison_believes_no_volume_that_was_written_or_has_lost_writes)
{
    static const struct {
        enum faulty_op op;
        int error;
    } faults[] = {{OP_CLAIM, ETXTBSY}, {OP_FLUSH, EIO}};

    for (unsigned i = 0; i < 2 * ARRAY_N(faults); i++) {
        struct bench *bench = bench_same();

        faulty_break(i % 2 ? &bench->source : &bench->destination, faults[i / 2].op,
                     faults[i / 2].error);
        CHECK_EQ(bench_verify(bench), -faults[i / 2].error);
        bench_close(bench);
    }
}

TEST_EACH_WAY(a_comparison_names_the_first_byte_that_differs_and_touches_nothing)
{
    struct bench *bench = bench_same();
    uint64_t random = 7;

    CHECK_EQ(bench_verify(bench), 0);
    check_untouched(bench);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t at = random_below(&random, bench->size_bytes), first;

        volume_write(bench->destination_fd, at, 1, 0xa5, NULL);
        first = volume_difference(bench->source_fd, bench->destination_fd, bench->size_bytes);
        if (first == bench->size_bytes)
            continue;
        bench->job.digests = i % 2 ? NULL : bench->digests;
        CHECK_EQ(bench_verify(bench), -EILSEQ);
        CHECK_EQ(bench->result.bad_bytes, first);
        check_untouched(bench);
    }
    bench_close(bench);
}

/* The second of the two blocks that differ has come to its end while the first one waits for its
 * speed: it is a hole of the source. */
TEST_EACH_WAY(a_comparison_under_a_limit_names_the_first_byte_that_differs)
{
    struct bench *bench = bench_open(FAST_DIR, 2 * way.block_bytes);
    const _Atomic uint64_t speed = 2 * way.block_bytes;
    uint64_t random = 5;

    volume_write(bench->source_fd, 0, way.block_bytes, 0x5a, &random);
    REQUIRE(bench_copy(bench) == 0);
    volume_write(bench->destination_fd, way.block_bytes - 1, 2, 0xa5, NULL);
    bench_renew(bench);
    bench->job.compare_source = bench->job.no_repair = true;
    bench->job.speed_bytes_per_s = &speed;
    CHECK_EQ(bench_verify(bench), -EILSEQ);
    CHECK_EQ(bench->result.bad_bytes,
             volume_difference(bench->source_fd, bench->destination_fd, bench->size_bytes));
    bench_close(bench);
}

TEST_EACH_WAY(a_comparison_that_cannot_read_says_where)
{
    struct bench *bench = bench_full(4 * MIB);

    REQUIRE(bench_copy(bench) == 0);
    bench->job.compare_source = bench->job.no_repair = true;
    bench->destination.bad_start = 2 * MIB + GRAIN;
    bench->destination.bad_end = bench->destination.bad_start + 1;
    bench->destination.n_bad = UINT_MAX;
    CHECK_EQ(bench_verify(bench), -EIO);
    CHECK_EQ(bench->result.bad_bytes, 2 * MIB + GRAIN);
    bench_close(bench);
}

TEST_EACH_WAY(the_speed_is_kept)
{
    struct bench *bench = bench_full(3 * MIB);
    const _Atomic uint64_t speed = 16 * MIB;
    uint64_t began_ns = io_now_ns();

    bench->job.speed_bytes_per_s = &speed;
    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench_equal(bench));
    CHECK(io_now_ns() - began_ns >= (3 * MIB - way.block_bytes) * 1000000000 / speed);
    bench_close(bench);
}

struct hurry {
    _Atomic uint64_t speed;
};

static void hurry(void *arg)
{
    struct hurry *this = arg;

    atomic_store(&this->speed, THROTTLE_NONE);
}

TEST_EACH_WAY(the_speed_may_change_while_the_copy_waits_for_it)
{
    struct bench *bench = bench_full(3 * MIB);
    struct hurry this = {1}; /* byte per second */

    bench->job.speed_bytes_per_s = &this.speed;
    bench->destination.hook = hurry;
    bench->destination.hook_op = OP_WRITE;
    bench->destination.hook_at = 1;
    bench->destination.hook_arg = &this;
    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench_equal(bench));
    bench_close(bench);
}

#define LIMIT_BYTES_PER_S  (4 * MIB)
#define LIMIT_STRIDE_BYTES (256u << 10)

/* For a while there is a limit; when, is counted in looks at the claim, of which each read has
 * one. */
struct while_limited {
    struct bench *bench;
    _Atomic uint64_t speed;
    unsigned from, until;
    _Atomic unsigned n_limited, n_others; /* reads, by their size */
};

static struct while_limited limited;

static void limit_or_lift(void *arg)
{
    struct while_limited *this = arg;
    struct faulty *source = &this->bench->source;
    bool begins = source->calls[OP_CLAIM] == this->from;

    atomic_store(&this->speed, begins ? LIMIT_BYTES_PER_S : THROTTLE_NONE);
    source->hook_at = begins ? this->until : 0;
}

static int count_reads(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    atomic_fetch_add(n == LIMIT_STRIDE_BYTES ? &limited.n_limited : &limited.n_others, 1);
    return faulty_ops.pread(ep, buf, n, offset, ret_n);
}

/* Reads `from` to `until`, without the first one of them, are those under the limit. */
static void limit_while(struct bench *bench, struct endpoint_ops *ops, unsigned from,
                        unsigned until)
{
    limited = (struct while_limited){bench, THROTTLE_NONE, from, until, 0, 0};
    *ops = faulty_ops;
    ops->pread = count_reads;
    bench->source.ep.ops = ops;
    bench->source.hook = limit_or_lift;
    bench->source.hook_op = OP_CLAIM;
    bench->source.hook_at = from;
    bench->source.hook_arg = &limited;
    bench->job.speed_bytes_per_s = &limited.speed;
}

TEST_EACH_WAY(a_limit_is_smooth_from_the_moment_it_is_set_and_no_longer)
{
    for (unsigned verify = 0; verify < 2; verify++) {
        struct bench *bench = bench_full(4 * MIB);
        struct endpoint_ops ops;

        if (way.block_bytes <= LIMIT_STRIDE_BYTES)
            return bench_close(bench);
        REQUIRE(!verify || bench_copy(bench) == 0);
        bench->source.calls[OP_CLAIM] = 0;
        bench->job.compare_source = verify;
        limit_while(bench, &ops, 2, 5);
        CHECK_EQ(verify ? bench_verify(bench) : bench_copy(bench), 0);
        CHECK(bench_equal(bench));
        CHECK(limited.n_limited >= 4 && limited.n_limited <= 6); /* with what three left */
        CHECK_EQ(limited.n_limited / 2 + limited.n_others, 8);
        bench_close(bench);
    }
}

/* Each of its blocks is in the middle when the first flush fails. */
TEST_EACH_WAY(a_flush_that_fails_while_a_block_waits_for_its_speed_loses_nothing)
{
    struct bench *bench = bench_full(3 * MIB);
    struct endpoint_ops ops;

    limit_while(bench, &ops, 2, 8);
    bench->job.checkpoint_ns = 0;
    bench->destination.op = OP_FLUSH;
    bench->destination.fail_at = 1;
    bench->destination.error = EIO;
    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench_equal(bench));
    CHECK(bench->destination.calls[OP_FLUSH] >= 1);
    CHECK_EQ(bench->progress.done_bytes, bench->size_bytes);
    bench_close(bench);
}

static void stop(void *arg)
{
    struct bench *bench = arg;

    atomic_store(&bench->stop, true);
}

TEST_EACH_WAY(a_copy_that_waits_for_its_speed_can_be_stopped)
{
    struct bench *bench = bench_full(3 * MIB);
    const _Atomic uint64_t speed = 1;

    bench->job.speed_bytes_per_s = &speed;
    bench->destination.hook = stop;
    bench->destination.hook_op = OP_WRITE;
    bench->destination.hook_at = 1;
    bench->destination.hook_arg = bench;
    CHECK_EQ(bench_copy(bench), -ECANCELED);
    bench_close(bench);
}

TEST_EACH_WAY(a_broken_claim_ends_the_job_before_the_next_block)
{
    for (unsigned verify = 0; verify < 2; verify++) {
        struct bench *bench = bench_full(24 * MIB);
        struct faulty *read = verify ? &bench->destination : &bench->source;

        REQUIRE(!verify || bench_copy(bench) == 0);
        bench->source.calls[OP_CLAIM] = 0;
        bench->source.op = OP_CLAIM;
        bench->source.fail_at = 4;
        bench->source.n_more = UINT_MAX / 2;
        bench->source.error = ETXTBSY;
        CHECK_EQ(verify ? bench_verify(bench) : bench_copy(bench), -ETXTBSY);
        CHECK_EQ(bench->result.bad_bytes, 3 * way.block_bytes);
        CHECK_EQ(read->calls[OP_READ], 3);
        bench_close(bench);
    }
}

/* A stop while as many requests are in flight as there can be: none of them goes on. */
static void stop_in_flight(enum faulty_op op, bool at_source)
{
    for (unsigned at = 1; at <= 2 * way.depth; at += 5) {
        struct bench *bench = bench_full(24 * MIB);
        struct faulty *faulty = at_source ? &bench->source : &bench->destination;
        unsigned n_reads, n_writes;

        faulty->hook = stop;
        faulty->hook_op = op;
        faulty->hook_at = at;
        faulty->hook_arg = bench;
        CHECK_EQ(bench_copy(bench), -ECANCELED);
        n_reads = bench->source.calls[OP_READ];
        n_writes = bench->destination.calls[OP_WRITE];
        CHECK(faulty->calls[op] < at + way.depth);
        CHECK(way.depth > 1 || n_writes == (at_source ? at - 1 : at));
        CHECK_EQ(bench->destination.calls[OP_SYNC], 0);
        queue_close(take_ptr(bench->queue)); /* nothing is in flight that would go on now */
        CHECK_EQ(bench->source.calls[OP_READ], n_reads);
        CHECK_EQ(bench->destination.calls[OP_WRITE], n_writes);
        bench_close(bench);
    }
}

TEST_EACH_WAY(a_stop_ends_the_copy_within_a_request)
{
    stop_in_flight(OP_READ, true);
    stop_in_flight(OP_WRITE, false);
}

TEST_EACH_WAY(a_stop_ends_the_zeroing_of_a_hole)
{
    struct bench *bench = bench_open(FAST_DIR, 64 * MIB);

    for (uint64_t at = 0; at < bench->size_bytes; at += MIB)
        volume_write(bench->destination_fd, at, 1, 0xff, NULL);
    bench->job.destination_zero = false;
    bench->destination.hook = stop;
    bench->destination.hook_op = OP_ZERO;
    bench->destination.hook_at = 3;
    bench->destination.hook_arg = bench;
    CHECK_EQ(bench_copy(bench), -ECANCELED);
    CHECK(bench->destination.calls[OP_ZERO] < 3 + way.depth);
    bench_close(bench);
}

static size_t used_bytes;

static void measure(void *arg)
{
    struct mallinfo2 info = mallinfo2();

    (void)arg;
    used_bytes = info.uordblks + info.hblkhd;
}

static size_t memory_of_a_copy(uint64_t size_bytes, bool verify)
{
    struct bench *bench = bench_open(FAST_DIR, size_bytes);
    struct faulty *faulty = verify ? &bench->destination : &bench->source;
    uint64_t random = 3;

    for (uint64_t at = 0; at < size_bytes; at += size_bytes / 8)
        volume_write(bench->source_fd, at, 16 * GRAIN, 1, &random);
    if (verify)
        REQUIRE(bench_copy(bench) == 0);
    bench->job.compare_source = verify;
    bench->job.digests = NULL;
    faulty->hook = measure;
    faulty->hook_op = OP_READ;
    faulty->hook_at = 8;
    CHECK_EQ(verify ? bench_verify(bench) : bench_copy(bench), 0);
    digests_close(take_ptr(bench->digests));
    bench_close(bench);
    return used_bytes;
}

TEST_EACH_WAY(memory_does_not_grow_with_the_size)
{
    for (unsigned verify = 0; verify < 2; verify++) {
        size_t small = memory_of_a_copy(64 * MIB, verify);
        size_t large = memory_of_a_copy(UINT64_C(1) << 40, verify);

        CHECK(large < small + (1 << 20));
    }
}

TEST_EACH_WAY(blocks_that_cannot_be_are_refused)
{
    static const uint64_t sizes[] = {1, 4096, (64 << 10) + 4096, 32 << 10, 8 << 20};
    struct bench *bench = bench_full(MIB);

    bench->job.digests = NULL;
    bench->job.compare_source = true;
    for (unsigned i = 0; i < ARRAY_N(sizes); i++) {
        bench->job.block_bytes = sizes[i];
        CHECK_EQ(bench_copy(bench), -EINVAL);
        CHECK_EQ(bench->result.bad_bytes, ENGINE_NO_PLACE);
        CHECK(bench->result.err.text[0] != '\0');
        CHECK_EQ(bench_verify(bench), -EINVAL);
    }
    bench->job.block_bytes = 0;
    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench_equal(bench));
    bench_close(bench);
}

int main(int argc, char **argv)
{
    pools_open();
    return check_main(argc, argv);
}
