#include "copy/engine.h"

#include <endian.h>

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "tests/unit/copying.h"

#define FAST_DIR (pool_dirs[0].path)
#define FOR_EVER 1000000

/* A copied volume, and a job that verifies it. */
static struct bench *copied(const char *dir, uint64_t size_bytes, uint64_t seed)
{
    struct bench *bench = bench_open(dir, size_bytes);

    volume_scatter(bench->source_fd, size_bytes, 20, &seed);
    REQUIRE(bench_copy(bench) == 0);
    memset(bench->destination.calls, 0, sizeof(bench->destination.calls));
    memset(bench->source.calls, 0, sizeof(bench->source.calls));
    return bench;
}

/* Another copy: what was proved once is not looked at again with the same digests. */
static void copy_anew(struct bench *bench)
{
    bench_renew(bench);
    CHECK_EQ(bench_copy(bench), 0);
}

/* What digests_total promises, worked out the plain way. */
static struct digest plain_digest(int fd, uint64_t size_bytes)
{
    uint64_t n_blocks = (size_bytes + way.block_bytes - 1) / way.block_bytes, number;
    unsigned char *all = malloc((n_blocks + 1) * (sizeof(number) + DIGEST_BYTES)), *end = all;
    static unsigned char block[MIB];
    struct digest digest;

    for (uint64_t i = 0; i < n_blocks; i++) {
        uint64_t at = i * way.block_bytes, left = size_bytes - at;
        uint64_t n = left < way.block_bytes ? left : way.block_bytes;

        REQUIRE(pread(fd, block, n, (off_t)at) == (ssize_t)n);
        if (grain_is_zero(block, n))
            continue;
        number = htobe64(at);
        digest_of(block, n, &digest);
        end = mempcpy(mempcpy(end, &number, sizeof(number)), digest.bytes, DIGEST_BYTES);
    }
    number = htobe64(size_bytes);
    end = mempcpy(end, &number, sizeof(number));
    digest_of(all, (size_t)(end - all), &digest);
    free(all);
    return digest;
}

TEST_HALF_THE_WAYS(both_ways_to_verify_come_to_the_digest_of_the_content)
{
    static const uint64_t sizes[] = {0, 1, 4096, MIB - 1, MIB, MIB + 1, 5 * MIB, 17 * MIB + 12345};

    for (unsigned i = 0; i < n_pool_dirs * ARRAY_N(sizes); i++) {
        uint64_t size_bytes = sizes[i % ARRAY_N(sizes)];
        struct bench *bench = copied(pool_dirs[i / ARRAY_N(sizes)].path, size_bytes, 100 + i);
        struct digest sum = plain_digest(bench->source_fd, size_bytes);

        CHECK_EQ(bench_verify(bench), 0);
        CHECK(digest_same(&bench->result.digest, &sum));
        CHECK_EQ(bench->progress.verified_bytes, size_bytes);
        bench_renew(bench);
        bench->job.compare_source = true;
        CHECK_EQ(bench_verify(bench), 0);
        CHECK(digest_same(&bench->result.digest, &sum));
        CHECK_EQ(bench->progress.verified_bytes, size_bytes);
        CHECK_EQ(bench->destination.calls[OP_WRITE], 0);
        bench_close(bench);
    }
}

static void check_order(void *arg)
{
    struct bench *bench = arg;

    CHECK(bench->destination.calls[OP_SYNC] == 1);
    CHECK(bench->destination.calls[OP_DROP] == 1);
}

TEST_EACH_WAY(the_destination_is_flushed_and_dropped_before_it_is_read)
{
    struct bench *bench = copied(FAST_DIR, 4 * MIB, 7);

    bench->destination.hook = check_order;
    bench->destination.hook_op = OP_READ;
    bench->destination.hook_at = 1;
    bench->destination.hook_arg = bench;
    CHECK_EQ(bench_verify(bench), 0);
    CHECK(bench->destination.calls[OP_READ] > 0);
    bench_close(bench);
}

/* Bytes that are not the source's, somewhere: found, written again, and as sparse as before. */
static void spoil_one(const struct pool_dir *dir, bool compare, bool punch, uint64_t seed)
{
    uint64_t size_bytes = 9 * MIB + 77, random = seed;
    struct bench *bench = copied(dir->path, size_bytes, seed);
    uint64_t at = random_below(&random, size_bytes - 5000);

    if (punch)
        REQUIRE(fallocate(bench->destination_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                          5 * MIB) == 0);
    else
        volume_write(bench->destination_fd, at, 1 + random_below(&random, 5000), 0xa5, &random);
    if (compare)
        bench_renew(bench);
    bench->job.compare_source = compare;
    CHECK_EQ(bench_verify(bench), 0);
    CHECK(bench_equal(bench));
    CHECK_EQ(volume_waste(bench->destination_fd, size_bytes), size_bytes);
    CHECK_EQ(bench->destination.calls[OP_SYNC], 2);
    CHECK(bench->destination.calls[OP_FLUSH] > 0);
    bench_close(bench);
}

TEST_HALF_THE_WAYS(whatever_differs_is_found_and_written_again)
{
    for (unsigned i = 0; i < 16 * n_pool_dirs; i++)
        spoil_one(&pool_dirs[i % n_pool_dirs], i % 2, i % 5 < 2, 200 + i);
}

TEST_EACH_WAY(a_block_that_differs_again_ends_the_job_and_is_named)
{
    for (unsigned compare = 0; compare < 2; compare++) {
        struct bench *bench = bench_open(FAST_DIR, 6 * MIB);
        uint64_t random = 3;

        volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
        CHECK_EQ(bench_copy(bench), 0);
        bench->job.compare_source = compare;
        bench->destination.flip_at = 3 * MIB + 9 * GRAIN + 1;
        bench->destination.n_flips = 1;
        CHECK_EQ(bench_verify(bench), 0);
        copy_anew(bench);
        bench->job.compare_source = compare;
        bench->destination.flip_at = 3 * MIB + 9 * GRAIN + 1;
        bench->destination.n_flips = 2;
        CHECK_EQ(bench_verify(bench), -EILSEQ);
        CHECK_EQ(bench->result.bad_bytes, 3 * MIB + 9 * GRAIN + 1);
        CHECK(bench_equal(bench));
        bench_close(bench);
    }
}

TEST_EACH_WAY(a_source_that_does_not_read_the_same_twice_is_not_believed)
{
    struct bench *bench = bench_open(FAST_DIR, 3 * MIB);
    uint64_t random = 3;

    volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
    bench->source.flip_at = MIB + 5;
    bench->source.n_flips = 1; /* so the copy is wrong, and its digest with it */
    CHECK_EQ(bench_copy(bench), 0);
    CHECK_EQ(bench_verify(bench),
             0); /* which is why an interrupted claim compares with the source */
    bench->job.compare_source = true;
    CHECK_EQ(bench_verify(bench), 0);
    CHECK(bench_equal(bench));
    bench->source.n_flips = 1; /* in the digest alone */
    CHECK_EQ(bench_verify(bench), -EILSEQ);
    bench_close(bench);
}

TEST_EACH_WAY(a_destination_that_cannot_be_read_is_written_once_more)
{
    struct bench *bench = bench_open(FAST_DIR, 4 * MIB);
    uint64_t random = 3;

    volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
    CHECK_EQ(bench_copy(bench), 0);
    bench->destination.bad_start = 2 * MIB + GRAIN;
    bench->destination.bad_end = bench->destination.bad_start + 1;
    bench->destination.n_bad = 4; /* the block, and its grain three times */
    CHECK_EQ(bench_verify(bench), 0);
    CHECK_EQ(bench->destination.n_bad, 0);
    copy_anew(bench);
    bench->destination.bad_start = 2 * MIB + GRAIN;
    bench->destination.bad_end = bench->destination.bad_start + 1;
    bench->destination.n_bad = UINT_MAX;
    CHECK_EQ(bench_verify(bench), -EIO);
    CHECK_EQ(bench->result.bad_bytes, 2 * MIB + GRAIN);
    bench_close(bench);
}

/* Fails the N-th call of one operation for good, for every N: no success that is none. */
static void sweep(enum faulty_op op, bool at_source, bool compare, int error)
{
    bool reached = true;

    for (unsigned at = 1; reached && !check_failures; at++) {
        struct bench *bench = copied(FAST_DIR, 6 * MIB + 1000, 55);
        struct faulty *faulty = at_source ? &bench->source : &bench->destination;
        uint64_t random = at;
        int r;

        volume_write(bench->destination_fd, random_below(&random, 6 * MIB), 999, 0xa5, &random);
        bench->job.compare_source = compare;
        faulty->op = op;
        faulty->fail_at = at;
        faulty->n_more = FOR_EVER;
        faulty->error = error;
        r = bench_verify(bench);
        reached = faulty->calls[op] >= at;
        if (op == OP_EXTENT && !at_source) /* a block may be read whole instead, after a repair */
            CHECK(reached || r == 0);
        else
            CHECK(reached ? r < 0 : r == 0);
        CHECK(r < 0 || bench_equal(bench));
        if (check_failures)
            printf("# op %d of the %s, call %u: %d\n", op, at_source ? "source" : "destination", at,
                   r);
        bench_close(bench);
    }
}

TEST_HALF_THE_WAYS(a_call_that_fails_for_good_is_never_a_success)
{
    for (unsigned compare = 0; compare < 2; compare++) {
        for (unsigned op = 0; op < OP_N; op++)
            sweep(op, false, compare, EIO);
        sweep(OP_SIZE, true, compare, EIO);
        sweep(OP_EXTENT, true, compare, EIO);
        sweep(OP_READ, true, compare, EIO);
        sweep(OP_CLAIM, true, compare, ETXTBSY);
    }
}

static void stop(void *arg)
{
    struct bench *bench = arg;

    atomic_store(&bench->stop, true);
}

TEST_EACH_WAY(a_stop_ends_it_within_a_request)
{
    for (unsigned at = 1; at <= 3; at++) {
        struct bench *bench = bench_open(FAST_DIR, 64 * MIB);
        uint64_t random = 3;

        volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
        CHECK_EQ(bench_copy(bench), 0);
        bench->destination.calls[OP_READ] = 0;
        bench->destination.hook = stop;
        bench->destination.hook_op = OP_READ;
        bench->destination.hook_at = at;
        bench->destination.hook_arg = bench;
        CHECK_EQ(bench_verify(bench), -ECANCELED);
        CHECK(bench->destination.calls[OP_READ] < at + way.depth);
        bench_close(bench);
    }
}

TEST_HALF_THE_WAYS(holes_of_both_are_not_read)
{
    const uint64_t size_bytes = (UINT64_C(1) << 40) + 1;

    for (unsigned i = 0; i < 2 * n_pool_dirs; i++) {
        struct bench *bench = bench_open(pool_dirs[i / 2].path, size_bytes);
        uint64_t random = 5;

        volume_write(bench->source_fd, random_below(&random, size_bytes - MIB), 70000, 1, &random);
        CHECK_EQ(bench_copy(bench), 0);
        if (i % 2)
            bench_renew(bench);
        bench->job.compare_source = i % 2;
        CHECK_EQ(bench_verify(bench), 0);
        CHECK(bench->destination.calls[OP_READ] < 10);
        copy_anew(bench);
        bench->job.compare_source = i % 2;
        volume_write(bench->destination_fd, size_bytes / 2, 1, 7, &random);
        CHECK_EQ(bench_verify(bench), 0);
        CHECK(bench_equal(bench));
        bench_close(bench);
    }
}

static const char *image_below(const struct pool_dir *dir, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s.image", dir->path);
    return path;
}

/* Where on its disk a file keeps this byte. */
static uint64_t disk_place(int fd, uint64_t offset)
{
    union {
        struct fiemap map;
        unsigned char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
    } u = {.map = {.fm_start = offset, .fm_length = 1, .fm_flags = FIEMAP_FLAG_SYNC}};
    const struct fiemap_extent *extent = u.map.fm_extents;

    u.map.fm_extent_count = 1;
    REQUIRE(ioctl(fd, FS_IOC_FIEMAP, &u.map) == 0 && u.map.fm_mapped_extents == 1);
    return extent->fe_physical + offset - extent->fe_logical;
}

static void spoil_on_disk(const struct pool_dir *dir, uint64_t at)
{
    struct bench *bench = bench_open(dir->path, 3 * MIB + 600);
    unsigned char byte, other;
    uint64_t random = 3, place;
    char path[PATH_MAX];
    int image;

    volume_write(bench->source_fd, 0, bench->size_bytes, 1, &random);
    CHECK_EQ(bench_copy(bench), 0);
    place = disk_place(bench->destination_fd, at);
    CHECK(bench_equal(bench)); /* and so it is in the page cache */
    image = open(image_below(dir, path), O_RDWR | O_CLOEXEC);
    REQUIRE(image >= 0 && pread(image, &byte, 1, (off_t)place) == 1);
    other = byte ^ 1;
    REQUIRE(pwrite(image, &other, 1, (off_t)place) == 1 && fsync(image) == 0);
    CHECK(bench_equal(bench));
    bench->destination.calls[OP_WRITE] = 0;
    CHECK_EQ(bench_verify(bench), 0);
    CHECK_EQ(bench->destination.calls[OP_WRITE], 1);
    REQUIRE(pread(image, &other, 1, (off_t)disk_place(bench->destination_fd, at)) == 1);
    CHECK_EQ(other, byte);
    close(image);
    bench_close(bench);
}

TEST_EACH_WAY(what_is_right_in_the_page_cache_alone_is_found)
{
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        char path[PATH_MAX];

        if (access(image_below(&pool_dirs[i], path), R_OK) != 0)
            continue;
        spoil_on_disk(&pool_dirs[i], 2 * MIB + 5);
        spoil_on_disk(&pool_dirs[i], 3 * MIB + 599); /* the tail, which is not read directly */
    }
}

int main(int argc, char **argv)
{
    pools_open();
    return check_main(argc, argv);
}
