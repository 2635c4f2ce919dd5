#include "copy/engine.h"

#include <sched.h>

#include "tests/unit/copying.h"

static const uint64_t sizes[] = {
    0,       1,   511,     512,         4095,           4096,     4097,
    MIB - 1, MIB, MIB + 1, 3 * MIB + 7, 9 * MIB + 4096, 12345679, 33 * MIB + 511,
};

#define FAST_DIR (pool_dirs[0].path)

static void check_whole(struct bench *bench)
{
    const struct progress *progress = &bench->progress;

    CHECK_EQ(volume_difference(bench->source_fd, bench->destination_fd, bench->size_bytes),
             bench->size_bytes);
    CHECK_EQ(volume_waste(bench->destination_fd, bench->size_bytes), bench->size_bytes);
    CHECK_EQ(progress->done_bytes, bench->size_bytes);
    CHECK_EQ(bench->result.mark.low_bytes, bench->size_bytes);
}

/* A volume of this size and layout to a destination that is new, or full of something else. */
static void copy_one(const struct pool_dir *dir, uint64_t size_bytes, unsigned variant,
                     uint64_t *random)
{
    struct bench *bench = bench_open(dir->path, size_bytes);
    struct progress *progress = &bench->progress;

    volume_scatter(bench->source_fd, size_bytes, 1 + (unsigned)random_below(random, 24), random);
    if (variant > 0)
        volume_scatter(bench->destination_fd, size_bytes, 12, random);
    bench->job.destination_zero = variant != 1; /* 2: promised, and not true */
    bench->job.checkpoint_ns = variant * 1000000;
    bench->source.by_kernel = random_below(random, 2) > 0;
    bench->destination.by_kernel = random_below(random, 2) > 0;
    CHECK_EQ(bench_copy(bench), 0);
    check_whole(bench);
    CHECK_EQ(progress->copied_bytes + progress->zero_bytes + progress->hole_bytes, size_bytes);
    CHECK_EQ(progress->skipped_bytes, 0);
    if (check_failures)
        printf("# %s, %" PRIu64 " bytes, variant %u\n", dir->kind, size_bytes, variant);
    bench_close(bench);
}

TEST_HALF_THE_WAYS(any_layout_of_any_size_is_copied_to_the_byte_and_takes_no_grain_too_many)
{
    uint64_t random = 42;

    for (unsigned i = 0; i < n_pool_dirs; i++) {
        for (unsigned s = 0; s < ARRAY_N(sizes); s++) {
            for (unsigned variant = 0; variant < 3; variant++)
                copy_one(&pool_dirs[i], sizes[s], variant, &random);
        }
    }
}

TEST_HALF_THE_WAYS(a_terabyte_with_little_in_it_costs_what_is_in_it)
{
    const uint64_t size_bytes = (UINT64_C(1) << 40) + 513;

    for (unsigned i = 0; i < n_pool_dirs; i++) {
        struct bench *bench = bench_open(pool_dirs[i].path, size_bytes);
        uint64_t random = 5;

        for (unsigned n = 0; n < 5; n++)
            volume_write(bench->source_fd, random_below(&random, size_bytes - MIB), 70000, 1,
                         &random);
        volume_write(bench->source_fd, size_bytes - 1, 1, 7, &random);
        for (unsigned n = 0; n < 3; n++)
            volume_write(bench->destination_fd, random_below(&random, size_bytes - MIB), 70000, 1,
                         &random);
        bench->job.destination_zero = false;
        CHECK_EQ(bench_copy(bench), 0);
        check_whole(bench);
        CHECK(bench->source.calls[OP_EXTENT] < 100);
        CHECK(bench->source.calls[OP_READ] < 100);
        CHECK(bench->destination.calls[OP_ZERO] < 100);
        bench_close(bench);
    }
}

static void check_requests(struct bench *bench, uint64_t n_wanted)
{
    CHECK_EQ(bench_copy(bench), 0);
    check_whole(bench);
    CHECK_EQ(bench->source.calls[OP_READ], n_wanted);
    CHECK_EQ(bench->destination.calls[OP_WRITE], n_wanted);
}

TEST_EACH_WAY(a_block_of_data_is_read_and_written_at_once_and_a_run_within_a_block_too)
{
    const uint64_t n_blocks = 16;
    struct bench *bench = bench_open(FAST_DIR, n_blocks * way.block_bytes);
    uint64_t random = 6;

    volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
    check_requests(bench, n_blocks);
    for (uint64_t at = 0; at < bench->size_bytes; at += way.block_bytes)
        volume_write(bench->source_fd, at, way.block_bytes / 4, 0, NULL);
    bench_renew(bench);
    check_requests(bench, n_blocks);
    bench_close(bench);
}

TEST_EACH_WAY(data_that_nobody_has_flushed_yet_is_copied_as_it_is)
{
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        struct bench *bench = bench_open(pool_dirs[i].path, 6 * MIB);
        uint64_t random = 3;

        volume_write(bench->source_fd, 0, 6 * MIB, 1, &random);
        CHECK_EQ(fdatasync(bench->source_fd), 0);
        volume_write(bench->source_fd, MIB, 3 * MIB, 0x55, &random); /* dirty, over old data */
        bench_renew(bench);
        CHECK_EQ(bench_copy(bench), 0);
        check_whole(bench);
        bench_close(bench);
    }
}

TEST_EACH_WAY(short_reads_and_writes_are_continued)
{
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        struct bench *bench = bench_open(pool_dirs[i].path, 3 * MIB + 1234);
        uint64_t random = 9;

        volume_scatter(bench->source_fd, bench->size_bytes, 10, &random);
        bench->source.short_transfers = bench->destination.short_transfers = true;
        CHECK_EQ(bench_copy(bench), 0);
        check_whole(bench);
        bench_close(bench);
    }
}

TEST_HALF_THE_WAYS(extents_that_are_told_in_parts_and_end_anywhere_come_to_the_same)
{
    for (unsigned i = 0; i < 20; i++) {
        struct bench *bench = bench_open(FAST_DIR, 3 * MIB + 1234);
        uint64_t random = 100 + i;

        volume_scatter(bench->source_fd, bench->size_bytes, 10, &random);
        bench->source.odd_extents = true;
        CHECK_EQ(bench_copy(bench), 0);
        check_whole(bench);
        bench_close(bench);
    }
}

/* Are the blocks that the mark names as they should be? */
static bool mark_is_true(struct bench *bench)
{
    static unsigned char a[1 << 20], b[1 << 20];
    const struct journal_mark *mark = &bench->result.mark;
    uint64_t low = mark->low_bytes;

    for (uint64_t at = low; at < bench->size_bytes && at <= low + 65 * way.block_bytes;
         at += way.block_bytes) {
        size_t n = way.block_bytes < bench->size_bytes - at ? way.block_bytes
                                                            : (size_t)(bench->size_bytes - at);

        if (!mark_has(mark, at))
            continue;
        REQUIRE(pread(bench->source_fd, a, n, (off_t)at) == (ssize_t)n);
        REQUIRE(pread(bench->destination_fd, b, n, (off_t)at) == (ssize_t)n);
        if (memcmp(a, b, n) != 0)
            return false;
    }
    return volume_difference(bench->source_fd, bench->destination_fd, low) == low;
}

/* Fails the N-th call of one operation (and n_more after it), for every N until it is not reached.
 */
static void sweep(enum faulty_op op, bool at_source, unsigned n_more, int error, int wanted)
{
    struct bench *bench = bench_open(FAST_DIR, 7 * MIB + 100);
    bool reached = true;
    unsigned at;

    uint64_t random = 11;

    volume_scatter(bench->source_fd, bench->size_bytes, 14, &random);
    for (at = 1; reached; at++) {
        struct faulty *faulty = at_source ? &bench->source : &bench->destination;
        int r;

        bench_empty_destination(bench);
        volume_scatter(bench->destination_fd, bench->size_bytes, 5, &random);
        bench_renew(bench);
        faulty->op = op;
        faulty->fail_at = at;
        faulty->n_more = n_more;
        faulty->error = error;
        faulty->gate_bytes = op == OP_FLUSH && way.depth > 1 ? 4 * MIB : 0;
        bench->job.checkpoint_ns = 0;
        bench->job.destination_zero = false;
        r = bench_copy(bench);
        reached = faulty->calls[op] >= at;
        if (op == OP_FLUSH && wanted < 0)
            CHECK(r == wanted || r == 0); /* it may come to its end without a second flush */
        else
            CHECK_EQ(r, reached ? wanted : 0);
        if (r == 0 && op != OP_ZERO)
            check_whole(bench);
        if (r == 0)
            CHECK(bench_equal(bench));
        CHECK(mark_is_true(bench));
        if (check_failures) {
            printf("# op %d of the %s, call %u\n", op, at_source ? "source" : "destination", at);
            break;
        }
    }
    CHECK(at > 2);
    bench_close(bench);
}

TEST_HALF_THE_WAYS(a_call_that_fails_for_good_ends_the_copy_wherever_it_is)
{
    const unsigned for_ever = 1000000;

    sweep(OP_READ, true, for_ever, EIO, -EIO);
    sweep(OP_READ, true, for_ever, ENODATA, -EIO);
    sweep(OP_EXTENT, true, for_ever, EIO, -EIO);
    sweep(OP_SIZE, true, for_ever, EIO, -EIO);
    sweep(OP_CLAIM, true, for_ever, ETXTBSY, -ETXTBSY);
    sweep(OP_SIZE, false, for_ever, EIO, -EIO);
    sweep(OP_WRITE, false, for_ever, EIO, -EIO);
    sweep(OP_WRITE, false, for_ever, EDQUOT, -EDQUOT);
    sweep(OP_ZERO, false, for_ever, EIO, -EIO);
    sweep(OP_FLUSH, false, for_ever, EIO, -EIO);
    sweep(OP_SYNC, false, for_ever, EIO, -EIO);
    sweep(OP_SYNC, false, for_ever, ENOSPC, -ENOSPC);
}

TEST_HALF_THE_WAYS(a_lost_write_is_never_a_success)
{
    sweep(OP_WRITE, false, 0, EIO, -EIO);
    sweep(OP_WRITE, false, 0, ENOSPC, -ENOSPC);
    sweep(OP_ZERO, false, 0, EIO, -EIO);
    sweep(OP_SYNC, false, 0, ENOSPC, -ENOSPC);
    /* What a file system of somebody's answers is not our own stop. */
    sweep(OP_WRITE, false, 0, ECANCELED, -EIO);
    sweep(OP_ZERO, false, 0, ECANCELED, -EIO);
}

TEST_HALF_THE_WAYS(what_fails_once_and_can_be_repeated_is_repeated)
{
    sweep(OP_READ, true, 0, EIO, 0);
    sweep(OP_READ, true, 0, EINTR, 0);
    sweep(OP_WRITE, false, 0, EINTR, 0);
    sweep(OP_ZERO, false, 0, EOPNOTSUPP, 0); /* then by writing */
}

TEST_HALF_THE_WAYS(what_a_failed_flush_has_lost_is_written_again_once)
{
    sweep(OP_SYNC, false, 0, EIO, 0);
    sweep(OP_FLUSH, false, 0, EIO, 0);
    sweep(OP_SYNC, false, 1, EIO, -EIO);
}

static void zero_source(void *arg)
{
    struct bench *bench = arg;

    volume_write(bench->source_fd, MIB / 2, 2 * MIB, 0, NULL);
}

TEST_EACH_WAY(what_is_written_again_hides_the_first_time_even_if_the_source_is_zero_by_now)
{
    struct bench *bench = bench_open(FAST_DIR, 4 * MIB);
    uint64_t random = 3;

    volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
    bench->destination.hook = zero_source;
    bench->destination.hook_op = bench->destination.op = OP_SYNC;
    bench->destination.hook_at = bench->destination.fail_at = 1;
    bench->destination.hook_arg = bench;
    bench->destination.error = EIO;
    CHECK_EQ(bench_copy(bench), 0);
    check_whole(bench);
    bench_close(bench);
}

TEST_EACH_WAY(where_a_hole_cannot_be_punched_zeroes_are_written)
{
    struct bench *bench = bench_open(FAST_DIR, 5 * MIB + 5000);
    uint64_t random = 13;

    volume_scatter(bench->source_fd, bench->size_bytes, 4, &random);
    volume_write(bench->destination_fd, 0, bench->size_bytes, 0xff, &random);
    bench->job.destination_zero = false;
    bench->destination.op = OP_ZERO;
    bench->destination.fail_at = 1;
    bench->destination.n_more = 1000000;
    bench->destination.error = EOPNOTSUPP;
    CHECK_EQ(bench_copy(bench), 0);
    CHECK(bench_equal(bench));
    bench_close(bench);
}

/* One byte of the source cannot be read. */
static int copy_with_bad_grain(struct bench *bench, unsigned n_failures)
{
    uint64_t random = 17;

    volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
    bench->source.bad_start = 2 * MIB + 5 * GRAIN + 77;
    bench->source.bad_end = bench->source.bad_start + 1;
    bench->source.n_bad = n_failures;
    return bench_copy(bench);
}

TEST_EACH_WAY(a_bad_grain_is_tried_three_times_more_and_named)
{
    struct bench *bench = bench_open(FAST_DIR, 4 * MIB);

    CHECK_EQ(copy_with_bad_grain(bench, 4), -EIO);
    CHECK_EQ(bench->result.bad_bytes, 2 * MIB + 5 * GRAIN);
    CHECK(strstr(bench->result.err.text, "2117632") != NULL);
    bench_close(bench);

    bench = bench_open(FAST_DIR, 4 * MIB);
    CHECK_EQ(copy_with_bad_grain(bench, 3), 0);
    check_whole(bench);
    bench_close(bench);
}

TEST_EACH_WAY(the_lowest_of_several_bad_places_is_named)
{
    struct bench *bench = bench_open(FAST_DIR, 4 * MIB);
    uint64_t random = 19;

    volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
    bench->source.bad_start = MIB - 1;
    bench->source.bad_end = 4 * MIB;
    bench->source.n_bad = UINT_MAX;
    CHECK_EQ(bench_copy(bench), -EIO);
    CHECK(bench->result.bad_bytes >= MIB - GRAIN && bench->result.bad_bytes % GRAIN == 0);
    bench_close(bench);
}

static void shrink(void *arg)
{
    struct bench *bench = arg;

    REQUIRE(ftruncate(bench->source_fd, 3 * MIB) == 0);
}

TEST_EACH_WAY(a_source_that_shrinks_is_stale_and_not_taken_for_a_hole)
{
    for (unsigned at = 1; at <= 8; at++) {
        struct bench *bench = bench_open(FAST_DIR, 8 * MIB);
        uint64_t random = 23;

        volume_write(bench->source_fd, 0, 2 * MIB, 1, &random);
        volume_write(bench->source_fd, 5 * MIB, MIB, 1, &random);
        bench->source.hook = shrink;
        bench->source.hook_op = at % 2 ? OP_READ : OP_EXTENT;
        bench->source.hook_at = (at + 1) / 2;
        bench->source.hook_arg = bench;
        if (at == 7)
            bench->source.hook_op = OP_CLAIM, bench->source.hook_at = 5;
        CHECK_EQ(bench_copy(bench),
                 bench->source.calls[bench->source.hook_op] < bench->source.hook_at ? 0 : -ESTALE);
        bench_close(bench);
    }
}

/* Happens when the only chunk was read. */
static int copy_one_chunk_and(void (*hook)(void *arg), uint64_t size_bytes)
{
    struct bench *bench = bench_open(FAST_DIR, size_bytes);
    uint64_t random = 1;
    int r;

    volume_write(bench->source_fd, 0, size_bytes, 1, &random);
    bench->destination.hook = hook;
    bench->destination.hook_op = OP_WRITE;
    bench->destination.hook_at = 1;
    bench->destination.hook_arg = bench;
    r = bench_copy(bench);
    CHECK_EQ(bench->destination.calls[OP_SYNC], 0);
    bench_close(bench);
    return r;
}

static void break_claim(void *arg)
{
    struct bench *bench = arg;

    faulty_break(&bench->source, OP_CLAIM, ETXTBSY);
}

static void grow(void *arg)
{
    struct bench *bench = arg;

    REQUIRE(ftruncate(bench->source_fd, (off_t)bench->size_bytes + 1) == 0);
}

static void lose_source_writes(void *arg)
{
    struct bench *bench = arg;

    faulty_break(&bench->source, OP_FLUSH, EIO);
}

TEST_EACH_WAY(a_source_that_changes_after_its_last_chunk_was_read_fails_the_copy)
{
    struct bench *bench = bench_open(FAST_DIR, MIB);

    CHECK_EQ(copy_one_chunk_and(break_claim, MIB), -ETXTBSY);
    CHECK_EQ(copy_one_chunk_and(grow, 1000), -ESTALE);
    CHECK_EQ(copy_one_chunk_and(lose_source_writes, MIB), -EIO);
    bench_close(bench);
}

TEST_EACH_WAY(another_size_than_agreed_is_refused_before_anything_is_written)
{
    struct bench *bench = bench_open(FAST_DIR, 2 * MIB);

    bench->job.size_bytes = 2 * MIB - 1;
    CHECK_EQ(bench_copy(bench), -ESTALE);
    CHECK_EQ(bench_verify(bench), -ESTALE);
    bench->job.size_bytes = 2 * MIB;
    REQUIRE(ftruncate(bench->destination_fd, 3 * MIB) == 0);
    CHECK_EQ(bench_copy(bench), -ESTALE);
    CHECK_EQ(bench->destination.calls[OP_WRITE], 0);
    bench->job.start.low_bytes = 2 * MIB + 1;
    CHECK_EQ(bench_copy(bench), -EINVAL);
    bench_close(bench);
}

static void stop(void *arg)
{
    struct bench *bench = arg;

    atomic_store(&bench->stop, true);
}

static void spoil_unmarked(struct bench *bench, const struct journal_mark *mark, uint64_t *random)
{
    for (uint64_t at = mark->low_bytes; at < bench->size_bytes; at += way.block_bytes) {
        uint64_t left = bench->size_bytes - at;

        if (!mark_has(mark, at))
            volume_write(bench->destination_fd, at, left < way.block_bytes ? left : way.block_bytes,
                         0xdd, random);
    }
}

/* Stops at the N-th write, spoils all that is not flushed, and goes on from there. */
static void stop_and_resume(const struct pool_dir *dir, unsigned at, uint64_t *random)
{
    struct bench *bench = bench_open(dir->path, 9 * MIB + 321);
    struct journal_mark mark;
    int r;

    volume_scatter(bench->source_fd, bench->size_bytes, 12, random);
    bench->job.checkpoint_ns = 0;
    bench->destination.hook = stop;
    bench->destination.hook_op = OP_WRITE;
    bench->destination.hook_at = at;
    bench->destination.hook_arg = bench;
    r = bench_copy(bench);
    CHECK(r == -ECANCELED || bench->destination.calls[OP_WRITE] < at || r == 0);
    mark = bench->result.mark;
    CHECK(mark_is_true(bench));
    CHECK(mark.low_bytes == bench->size_bytes || mark.low_bytes % way.block_bytes == 0);
    spoil_unmarked(bench, &mark, random);
    bench_renew(bench);
    bench->job.start = mark;
    bench->job.digests = NULL;
    CHECK_EQ(bench_copy(bench), 0);
    check_whole(bench);
    CHECK_EQ(bench->progress.skipped_bytes,
             journal_mark_bytes(&mark, bench->size_bytes, way.block_bytes));
    bench_close(bench);
}

TEST_HALF_THE_WAYS(a_stopped_copy_goes_on_from_its_last_checkpoint_whatever_came_after_it)
{
    uint64_t random = 29;

    for (unsigned i = 0; i < n_pool_dirs; i++) {
        for (unsigned at = 1; at < 30; at += i == 0 ? 1 : 6)
            stop_and_resume(&pool_dirs[i], at, &random);
    }
}

/* When it is told, no write in it may be one that no flush has covered. */
static void check_checkpoint(void *arg, const struct journal_mark *mark)
{
    struct bench *bench = arg;
    struct faulty *faulty = &bench->destination;

    if (bench->n_checkpoints > 0)
        CHECK(journal_mark_bytes(mark, bench->size_bytes, way.block_bytes) >
              journal_mark_bytes(&bench->last_mark, bench->size_bytes, way.block_bytes));
    bench_note_checkpoint(bench, mark);
    pthread_mutex_lock(&faulty->lock);
    for (unsigned i = 0; i < faulty->n_dirty; i++)
        CHECK(!mark_has(mark, faulty->dirty[i].offset));
    pthread_mutex_unlock(&faulty->lock);
}

TEST_EACH_WAY(a_checkpoint_names_only_what_was_settled_before_its_flush_began)
{
    struct bench *bench = bench_open(FAST_DIR, 64 * MIB);
    uint64_t random = 31;

    volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
    bench->job.checkpoint_ns = 0;
    bench->job.checkpoint = check_checkpoint;
    bench->destination.flush_lingers = true;
    CHECK_EQ(bench_copy(bench), 0);
    check_whole(bench);
    CHECK(bench->n_checkpoints > 0);
    bench_close(bench);
}

TEST_EACH_WAY(no_space_keeps_and_flushes_what_is_settled)
{
    struct bench *bench = bench_open(FAST_DIR, 32 * MIB);
    uint64_t random = 37;

    volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
    bench->destination.full_bytes = 20 * MIB;
    CHECK_EQ(bench_copy(bench), -ENOSPC);
    CHECK_EQ(bench->result.mark.low_bytes, 20 * MIB);
    CHECK_EQ(bench->result.bad_bytes, 20 * MIB);
    CHECK_EQ(bench->destination.calls[OP_FLUSH], 1);
    CHECK(mark_is_true(bench));
    bench->destination.full_bytes = 0; /* room again, in the same process */
    bench->job.start = bench->result.mark;
    bench->job.digests = NULL;
    CHECK_EQ(bench_copy(bench), 0);
    check_whole(bench);
    bench_close(bench);
}

/* A bench whose destination lies in another folder. */
static struct bench *bench_to(const char *dir, uint64_t size_bytes)
{
    struct bench *bench = bench_open(FAST_DIR, size_bytes);
    uint64_t random = 41;

    volume_write(bench->source_fd, 0, size_bytes, 1, &random);
    close(bench->destination_fd);
    bench->destination_fd = volume_make(dir, "destination", size_bytes);
    bench_renew(bench);
    return bench;
}

static bool may_not_make(const char *path)
{
    return mkdir(path, 0700) < 0 && errno != EEXIST;
}

TEST_EACH_WAY(a_full_disk_ends_the_copy_which_goes_on_when_there_is_room)
{
    char path[128];
    struct bench *bench;
    struct journal_mark mark;

    snprintf(path, sizeof(path), "%s/small", pools_top);
    if (may_not_make(path) || mount("small", path, "tmpfs", 0, "size=8M") < 0) {
        printf("# may not mount\n");
        return;
    }
    bench = bench_to(path, 24 * MIB);
    bench->job.checkpoint_ns = 0;
    CHECK_EQ(bench_copy(bench), -ENOSPC);
    mark = bench->result.mark;
    CHECK(mark_is_true(bench));
    CHECK_EQ(mount("small", path, "tmpfs", MS_REMOUNT, "size=64M"), 0);
    bench_renew(bench);
    bench->job.start = mark;
    bench->job.digests = NULL;
    CHECK_EQ(bench_copy(bench), 0);
    check_whole(bench);
    bench_close(bench);
    CHECK_EQ(umount2(path, MNT_DETACH), 0);
}

/* Its image lies on a file system that is full: writes reach the loop device and fail there. */
TEST_HALF_THE_WAYS(a_disk_that_fails_to_write_is_never_a_success)
{
    char below[96], path[128];
    struct bench *bench;

    snprintf(below, sizeof(below), "%s/below", pools_top);
    snprintf(path, sizeof(path), "%s/broken", pools_top);
    if (may_not_make(below) || may_not_make(path) ||
        pools_run("mount -t tmpfs -o size=40M ferryfs-test $A && truncate -s 400M $A/image && "
                  "mkfs.ext4 -q -E lazy_itable_init=1 $A/image && mount -o loop $A/image $B",
                  below, path) != 0) {
        printf("# may not mount\n");
        return;
    }
    bench = bench_to(path, 128 * MIB);
    bench->job.checkpoint_ns = 0;
    CHECK(bench_copy(bench) < 0);
    printf("# %s\n", bench->result.err.text);
    bench_close(bench);
    CHECK_EQ(umount2(path, MNT_DETACH), 0);
    CHECK_EQ(umount2(below, MNT_DETACH), 0);
}

int main(int argc, char **argv)
{
    pools_open();
    return check_main(argc, argv);
}
