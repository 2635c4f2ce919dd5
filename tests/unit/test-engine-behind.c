/* What is not read back after the copy: blocks that are read back behind it, and those that share
 * the source's storage. */
#include "copy/engine.h"

#include "tests/unit/copying.h"

#define FAST_DIR (pool_dirs[0].path)
#define FOR_EVER 1000000

/* A volume full of data, and a job that flushes every millisecond and reads back behind. */
static struct bench *bench_behind(uint64_t size_bytes)
{
    struct bench *bench = bench_open(FAST_DIR, size_bytes);
    uint64_t random = 3;

    volume_write(bench->source_fd, 0, size_bytes, 1, &random);
    bench->job.verify_behind = true;
    bench->job.checkpoint_ns = 0;
    bench->destination.gate_bytes = way.depth > 1 ? size_bytes / 4 * 3 : 0;
    return bench;
}

TEST_EACH_WAY(what_was_flushed_is_read_back_behind_the_copy_and_not_again_after_it)
{
    struct bench *bench = bench_behind(24 * MIB + 77);
    uint64_t n_blocks = 24 * MIB / way.block_bytes + 1, verified;
    unsigned n_reads;

    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench->n_checkpoints > 0);
    verified = digests_verified_bytes(bench->digests);
    CHECK(verified > 0);
    CHECK_EQ(bench->progress.verified_bytes, verified);
    n_reads = bench->destination.calls[OP_READ];
    CHECK(n_reads > 0 && n_reads <= n_blocks);
    CHECK_EQ(bench_verify(bench), 0);
    CHECK_EQ(bench->destination.calls[OP_READ], n_blocks);
    CHECK_EQ(bench->progress.verified_bytes, bench->size_bytes);
    CHECK_EQ(bench_verify(bench), 0);
    CHECK_EQ(bench->destination.calls[OP_READ], n_blocks);
    bench_close(bench);
}

static void spoil(void *arg)
{
    struct bench *bench = arg;

    volume_write(bench->destination_fd, 100, 1, 0xa5, NULL);
}

TEST_EACH_WAY(what_differs_behind_the_copy_is_found_and_written_again)
{
    struct bench *bench = bench_behind(24 * MIB);

    bench->destination.hook = spoil;
    bench->destination.hook_op = OP_FLUSH;
    bench->destination.hook_at = 1;
    bench->destination.hook_arg = bench;
    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench_equal(bench));
    CHECK(bench->destination.calls[OP_WRITE] > 24 * MIB / way.block_bytes);
    CHECK_EQ(bench_verify(bench), 0);
    bench_close(bench);
}

TEST_EACH_WAY(what_differs_again_behind_the_copy_ends_it_and_is_named)
{
    struct bench *bench = bench_behind(24 * MIB);

    bench->destination.flip_at = 5;
    bench->destination.n_flips = 1;
    CHECK_EQ(bench_copy(bench), 0);
    bench_renew(bench);
    bench->job.verify_behind = true;
    bench->job.checkpoint_ns = 0;
    bench->destination.flip_at = 5;
    bench->destination.n_flips = 2;
    CHECK_EQ(bench_copy(bench), -EILSEQ);
    CHECK_EQ(bench->result.bad_bytes, 5);
    bench_close(bench);
}

/* Every call fails once, or for good, while a byte of what is read back is wrong. */
static void sweep(enum faulty_op op, bool at_source, unsigned n_more, int error)
{
    bool reached = true;

    for (unsigned at = 1; reached && !check_failures; at += at < 8 ? 1 : 7) {
        struct bench *bench = bench_behind(7 * MIB + 100);
        struct faulty *faulty = at_source ? &bench->source : &bench->destination;
        int r;

        bench->destination.gate_bytes = 0;
        faulty->op = op;
        faulty->fail_at = at;
        faulty->n_more = n_more;
        faulty->error = error;
        bench->destination.flip_at = at * 1000;
        bench->destination.n_flips = 1;
        r = bench_copy(bench);
        if (r == 0)
            r = bench_verify(bench);
        reached = faulty->calls[op] >= at;
        CHECK(r == 0 || reached);
        CHECK(r < 0 || bench_equal(bench));
        if (check_failures)
            printf("# op %d of the %s, call %u: %d\n", op, at_source ? "source" : "destination", at,
                   r);
        bench_close(bench);
    }
}

TEST_HALF_THE_WAYS(a_lost_write_or_flush_is_never_a_success_behind_the_copy_either)
{
    sweep(OP_FLUSH, false, 0, EIO);
    sweep(OP_FLUSH, false, 0, ENOSPC);
    sweep(OP_FLUSH, false, FOR_EVER, EIO);
    sweep(OP_SYNC, false, 0, EIO);
    sweep(OP_WRITE, false, 0, EIO);
    sweep(OP_READ, false, 0, EIO);
    sweep(OP_READ, false, FOR_EVER, EIO);
    sweep(OP_DROP, false, FOR_EVER, EIO);
    sweep(OP_EXTENT, false, FOR_EVER, EIO);
    sweep(OP_CLAIM, true, FOR_EVER, ETXTBSY);
}

static void stop(void *arg)
{
    struct bench *bench = arg;

    atomic_store(&bench->stop, true);
}

TEST_EACH_WAY(a_stop_ends_what_is_read_back_too)
{
    struct bench *bench = bench_behind(24 * MIB);

    bench->destination.hook = stop;
    bench->destination.hook_op = OP_READ;
    bench->destination.hook_at = 2;
    bench->destination.hook_arg = bench;
    CHECK_EQ(bench_copy(bench), -ECANCELED);
    CHECK(digests_verified_bytes(bench->digests) < 24 * MIB);
    bench_close(bench);
}

static struct bench *bench_cloning(void)
{
    struct bench *bench = bench_open(FAST_DIR, 3 * MIB + 77);
    uint64_t random = 3;

    volume_scatter(bench->source_fd, bench->size_bytes, 10, &random);
    bench->job.clone = true;
    return bench;
}

TEST_EACH_WAY(what_shares_the_sources_storage_is_neither_read_nor_verified)
{
    struct bench *bench = bench_cloning();

    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench->result.cloned);
    CHECK(bench_equal(bench));
    CHECK_EQ(bench->source.calls[OP_READ], 0);
    CHECK_EQ(bench->destination.calls[OP_SYNC], 1);
    CHECK_EQ(bench->progress.cloned_bytes, bench->size_bytes);
    CHECK_EQ(bench->progress.copied_bytes, 0);
    CHECK_EQ(bench->progress.done_bytes, bench->size_bytes);
    CHECK_EQ(digests_verified_bytes(bench->digests), bench->size_bytes);
    CHECK_EQ(bench_verify(bench), 0);
    CHECK_EQ(bench->destination.calls[OP_READ], 0);
    bench_close(bench);
}

TEST_EACH_WAY(where_storage_cannot_be_shared_it_is_copied)
{
    struct bench *bench = bench_cloning();

    faulty_break(&bench->destination, OP_CLONE, EOPNOTSUPP);
    CHECK_EQ(bench_copy(bench), 0);
    CHECK(!bench->result.cloned);
    CHECK(bench_equal(bench));
    CHECK_EQ(bench->destination.calls[OP_CLONE], 1);
    CHECK_EQ(bench->progress.cloned_bytes, 0);
    CHECK_EQ(bench_verify(bench), 0);
    bench_close(bench);
}

TEST_EACH_WAY(what_could_not_be_shared_halfway_is_copied_and_verified)
{
    const uint64_t gib = UINT64_C(1) << 30;
    struct bench *bench = bench_open(FAST_DIR, 3 * gib);
    uint64_t random = 3;

    for (unsigned i = 0; i < 3; i++)
        volume_write(bench->source_fd, i * gib + 5000, MIB, 1, &random);
    bench->job.clone = bench->job.verify_behind = true;
    bench->destination.op = OP_CLONE;
    bench->destination.fail_at = 2;
    bench->destination.error = EOPNOTSUPP;
    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench->result.cloned);
    CHECK(bench_equal(bench));
    CHECK_EQ(bench->progress.cloned_bytes, gib);
    CHECK(digests_verified_bytes(bench->digests) >= gib);
    volume_write(bench->destination_fd, 2 * gib + 7000, 1, 7, &random);
    CHECK_EQ(bench_verify(bench), 0);
    CHECK(bench_equal(bench));
    bench_close(bench);
}

TEST_EACH_WAY(a_failure_to_share_that_copying_would_have_too_ends_the_copy)
{
    struct bench *bench = bench_open(FAST_DIR, 3 * MIB);

    bench->job.clone = true;
    faulty_break(&bench->destination, OP_CLONE, EIO);
    CHECK_EQ(bench_copy(bench), -EIO);
    CHECK_EQ(bench->result.bad_bytes, 0);
    bench_close(bench);
}

TEST_EACH_WAY(what_was_shared_and_lost_by_a_flush_is_shared_again)
{
    struct bench *bench = bench_open(FAST_DIR, 3 * MIB + 5);
    uint64_t random = 3;

    volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
    bench->job.clone = true;
    bench->destination.op = OP_SYNC;
    bench->destination.fail_at = 1;
    bench->destination.error = EIO;
    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench_equal(bench));
    CHECK_EQ(bench->destination.calls[OP_CLONE], 2);
    CHECK_EQ(bench->progress.cloned_bytes, bench->size_bytes);
    bench_close(bench);
}

int main(int argc, char **argv)
{
    pools_open();
    return check_main(argc, argv);
}
