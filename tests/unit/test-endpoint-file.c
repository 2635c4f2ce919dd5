#include "copy/endpoint/file.h"

#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "copy/base/io.h"
#include "copy/endpoint/cached.h"
#include "copy/endpoint/null.h"
#include "copy/endpoint/pair.h"
#include "tests/unit/intercept-fallocate.h"
#include "tests/unit/volumes.h"

#define BLOCK ((size_t)(64 * GRAIN))

/* Where nothing passes the page cache by: with what that fails, and how often it was tried. */
static struct {
    int direct_error;
    unsigned n_direct;
} lacks;

static ssize_t do_transfer(long call, int fd, void *buf, size_t n, off_t offset)
{
    if (lacks.direct_error && (fcntl(fd, F_GETFL) & O_DIRECT)) {
        lacks.n_direct++;
        errno = lacks.direct_error;
        return -1;
    }
    return syscall(call, fd, buf, n, offset);
}

#define TRANSFER(name)                                                                             \
    ssize_t my_##name(int fd, void *buf, size_t n, off_t offset) __asm__(#name);                   \
    ssize_t my_##name(int fd, void *buf, size_t n, off_t offset)

TRANSFER(pwrite)
{
    return do_transfer(SYS_pwrite64, fd, buf, n, offset);
}
TRANSFER(pwrite64)
{
    return do_transfer(SYS_pwrite64, fd, buf, n, offset);
}
TRANSFER(pread)
{
    return do_transfer(SYS_pread64, fd, buf, n, offset);
}
TRANSFER(pread64)
{
    return do_transfer(SYS_pread64, fd, buf, n, offset);
}

static bool finds_no_end; /* lseek(2) with SEEK_HOLE, as of btrfs at the end of the largest file */

off_t my_lseek(int fd, off_t offset, int whence) __asm__("lseek64");
off_t my_lseek(int fd, off_t offset, int whence)
{
    if (finds_no_end && whence == SEEK_HOLE) {
        errno = ENXIO;
        return -1;
    }
    return syscall(SYS_lseek, fd, offset, whence);
}

/* Two volumes of one size, the first full of data. */
struct two {
    int fds[2];
    struct endpoint *source, *destination;
    uint64_t size_bytes;
    unsigned char *buf;
};

static struct two two_open(const char *source_dir, const char *destination_dir, uint64_t size_bytes)
{
    struct two two = {.size_bytes = size_bytes, .buf = aligned_alloc(GRAIN, BLOCK)};
    uint64_t random = 9;

    REQUIRE(two.buf);
    two.fds[0] = volume_make(source_dir, "source", size_bytes);
    two.fds[1] = volume_make(destination_dir, "destination", size_bytes);
    volume_write(two.fds[0], 0, size_bytes, 1, &random);
    REQUIRE(io_sync(two.fds[0]) == 0);
    REQUIRE(file_endpoint_wrap(two.fds[0], ENDPOINT_READ, &two.source) == 0);
    REQUIRE(file_endpoint_wrap(two.fds[1], ENDPOINT_WRITE, &two.destination) == 0);
    return two;
}

static void two_close(struct two *two)
{
    endpoint_close(two->source);
    endpoint_close(two->destination);
    close(two->fds[0]);
    close(two->fds[1]);
    free(two->buf);
}

static int fd_of(struct endpoint *ep, bool read, const void *buf, size_t n, uint64_t offset)
{
    return ep->ops->fd(ep, read, buf, n, offset);
}

static bool is_direct_fd(int fd)
{
    return fd >= 0 && (fcntl(fd, F_GETFL) & O_DIRECT);
}

/* The pages of a range that are in the cache, as mincore tells. */
static unsigned n_cached(int fd, uint64_t offset, size_t n)
{
    unsigned char there[BLOCK / GRAIN];
    void *map = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, (off_t)offset);
    unsigned n_there = 0;

    REQUIRE(map != MAP_FAILED && n <= BLOCK && sysconf(_SC_PAGESIZE) == GRAIN);
    REQUIRE(mincore(map, n, there) == 0);
    munmap(map, n);
    for (size_t i = 0; i < n / GRAIN; i++)
        n_there += there[i] & 1;
    return n_there;
}

TEST(data_without_an_end_go_up_to_the_end_of_the_file)
{
    struct two two = two_open("/tmp", "/tmp", BLOCK + 700);
    uint64_t end = 0;
    bool hole = true;

    finds_no_end = true;
    CHECK_EQ(two.source->ops->extent(two.source, GRAIN, &end, &hole), 0);
    CHECK_EQ(end, two.size_bytes);
    CHECK(!hole);
    CHECK_EQ(two.source->ops->extent(two.source, two.size_bytes + GRAIN, &end, &hole), -ESTALE);
    finds_no_end = false;
    two_close(&two);
}

/* Empty the source's cache. false: it has none of its own (full), or nothing can pass it by. */
static bool empty_cache(struct two *two)
{
    REQUIRE(posix_fadvise(two->fds[0], 0, 0, POSIX_FADV_DONTNEED) == 0);
    return n_cached(two->fds[0], 0, BLOCK) == 0 && pair_is_direct(two->source);
}

static void choose(const char *dir)
{
    struct two two = two_open(dir, dir, 4 * BLOCK + 700);
    bool direct = empty_cache(&two), written = pair_is_direct(two.destination);

    CHECK_EQ(is_direct_fd(fd_of(two.source, true, two.buf, BLOCK, 0)), direct);
    CHECK_EQ(is_direct_fd(fd_of(two.source, true, two.buf, BLOCK, 3 * BLOCK)), direct);
    /* Asking brings nothing into the cache. */
    CHECK_EQ(is_direct_fd(fd_of(two.source, true, two.buf, BLOCK, 0)), direct);
    REQUIRE(posix_fadvise(two.fds[0], 0, 0, POSIX_FADV_RANDOM) == 0);
    REQUIRE(io_pread(two.fds[0], two.buf, BLOCK, BLOCK, NULL) == 0);
    CHECK_EQ(fd_of(two.source, true, two.buf, BLOCK, BLOCK), two.fds[0]);
    CHECK_EQ(is_direct_fd(fd_of(two.source, true, two.buf, BLOCK, 3 * BLOCK)), direct);
    /* Partly there is not there. */
    CHECK_EQ(is_direct_fd(fd_of(two.source, true, two.buf, BLOCK, BLOCK + 8 * GRAIN)), direct);
    /* What direct I/O does not take a thread does, in two parts. */
    CHECK_EQ(fd_of(two.source, true, two.buf, 700, 4 * BLOCK), direct ? -1 : two.fds[0]);
    CHECK_EQ(fd_of(two.source, true, two.buf + 512, BLOCK / 2, 3 * BLOCK),
             direct ? -1 : two.fds[0]);
    /* A destination is read back past the cache, whatever is in it. */
    volume_write(two.fds[1], 0, two.size_bytes, 7, NULL);
    CHECK_EQ(is_direct_fd(fd_of(two.destination, true, two.buf, BLOCK, 0)), written);
    CHECK_EQ(is_direct_fd(fd_of(two.destination, false, two.buf, BLOCK, 0)), written);
    CHECK_EQ(fd_of(two.destination, false, two.buf, BLOCK + 1, 0), written ? -1 : two.fds[1]);
    two_close(&two);
}

TEST(a_source_is_read_from_the_cache_where_that_holds_all_of_a_range)
{
    for (unsigned i = 0; i < n_pool_dirs; i++)
        choose(pool_dirs[i].path);
}

TEST(what_is_not_cached_does_not_get_into_the_cache)
{
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        struct two two = two_open(pool_dirs[i].path, pool_dirs[i].path, 4 * BLOCK);
        size_t n;

        if (empty_cache(&two)) {
            CHECK_EQ(endpoint_read(two.source, two.buf, BLOCK, BLOCK, &n), 0);
            CHECK_EQ(n_cached(two.fds[0], BLOCK, BLOCK), 0);
            CHECK_EQ(n_cached(two.fds[0], 0, BLOCK), 0);
        }
        two_close(&two);
    }
}

/* Run in a child that has given up its rights to the file. */
static void ask_as_nobody(struct cached *cached, bool expected)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        bool held;

        REQUIRE(setresuid(65534, 65534, 65534) == 0);
        held = cached_holds(cached, 0, BLOCK);
        _exit(held == expected && cached_holds(cached, 3 * BLOCK, BLOCK) == expected ? 0 : 1);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK_EQ(status, 0);
}

TEST(who_may_not_ask_goes_by_how_it_was_in_the_beginning)
{
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        struct two two = two_open(pool_dirs[i].path, pool_dirs[i].path, 4 * BLOCK);
        struct cached cached;

        cached_init(&cached, two.fds[0]);
        CHECK(cached.mostly);
        if (empty_cache(&two)) {
            atomic_store(&cached.way, 2);
            CHECK(cached_holds(&cached, 0, BLOCK));
            cached_init(&cached, two.fds[0]);
            CHECK(!cached.mostly);
            if (geteuid() == 0)
                ask_as_nobody(&cached, false);
            atomic_store(&cached.way, 1);
            if (geteuid() == 0)
                ask_as_nobody(&cached, false);
        }
        two_close(&two);
    }
}

TEST(both_ways_to_ask_agree)
{
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        struct two two = two_open(pool_dirs[i].path, pool_dirs[i].path, 4 * BLOCK + 1);
        bool full = !empty_cache(&two);
        struct cached cached;

        if (!full) {
            REQUIRE(posix_fadvise(two.fds[0], 0, 0, POSIX_FADV_RANDOM) == 0);
            REQUIRE(io_pread(two.fds[0], two.buf, BLOCK, BLOCK, NULL) == 0);
            REQUIRE(io_pread(two.fds[0], two.buf, 1, 4 * BLOCK, NULL) == 0);
        }
        cached_init(&cached, two.fds[0]);
        for (unsigned way = 0; way < 2; way++) {
            atomic_store(&cached.way, way);
            CHECK_EQ(cached_holds(&cached, 0, BLOCK), full);
            CHECK(cached_holds(&cached, BLOCK, BLOCK));
            CHECK(cached_holds(&cached, BLOCK + 5, GRAIN));
            CHECK(cached_holds(&cached, 4 * BLOCK, 1));
            CHECK_EQ(cached_holds(&cached, BLOCK - 1, 2), full);
            CHECK_EQ(cached_holds(&cached, 0, 4 * BLOCK), full);
            CHECK(!cached_holds(&cached, UINT64_MAX - 5, 100));
        }
        two_close(&two);
    }
}

/* refused: modes of fallocate(2). calls: how many of those two grains take. */
static void zero_without(const char *dir, int refused, unsigned calls)
{
    struct two two = two_open(dir, dir, BLOCK);
    unsigned char zeroes[GRAIN] = {0};
    int r;

    volume_write(two.fds[1], 0, BLOCK, 3, NULL);
    fallocations.refused = refused;
    fallocations.n_calls = 0;
    for (uint64_t at = 0; at < 4 * GRAIN; at += 2 * GRAIN) {
        r = endpoint_zero(two.destination, at, GRAIN);
        CHECK(r == 0 || r == -EOPNOTSUPP);
        REQUIRE(io_pread(two.fds[1], two.buf, GRAIN, at, NULL) == 0);
        CHECK_EQ(memcmp(two.buf, zeroes, GRAIN) == 0, r == 0);
        CHECK(r == 0 || two.buf[0] == 3);
        REQUIRE(io_pread(two.fds[1], two.buf, GRAIN, at + GRAIN, NULL) == 0);
        CHECK_EQ(two.buf[0], 3);
    }
    CHECK_EQ(fallocations.n_calls, calls);
    fallocations.refused = 0;
    two_close(&two);
}

TEST(how_a_file_system_cannot_zero_is_tried_once)
{
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        const char *dir = pool_dirs[i].path;
        bool has_zero_range = strcmp(pool_dirs[i].kind, "tmpfs") != 0;

        zero_without(dir, 0, 2);
        zero_without(dir, FALLOC_FL_PUNCH_HOLE, has_zero_range ? 3 : 2);
        zero_without(dir, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE, 2);
    }
}

static int put(struct two *two, uint64_t offset)
{
    size_t n = 0;
    int r = endpoint_write(two->destination, two->buf, BLOCK, offset, &n);

    return r < 0 ? r : (int)(n / GRAIN);
}

TEST(where_nothing_passes_the_page_cache_by_it_is_tried_once)
{
    static const int refusals[] = {EINVAL, EOPNOTSUPP};

    for (unsigned i = 0; i < 2 * n_pool_dirs; i++) {
        const char *dir = pool_dirs[i / 2].path;
        struct two two = two_open(dir, dir, 2 * BLOCK);

        if (pair_is_direct(two.destination)) {
            REQUIRE(io_pread(two.fds[0], two.buf, BLOCK, 0, NULL) == 0);
            memset(&lacks, 0, sizeof(lacks));
            lacks.direct_error = refusals[i % 2];
            CHECK_EQ(put(&two, 0), BLOCK / GRAIN);
            CHECK_EQ(put(&two, BLOCK), BLOCK / GRAIN);
            CHECK_EQ(lacks.n_direct, 1);
            CHECK(!pair_is_direct(two.destination));
            memset(&lacks, 0, sizeof(lacks));
            CHECK_EQ(two.destination->ops->flush(two.destination), 0);
            CHECK(volume_difference(two.fds[0], two.fds[1], BLOCK) == BLOCK);
        }
        two_close(&two);
    }
}

TEST(an_error_of_a_disk_is_no_refusal)
{
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        struct two two = two_open(pool_dirs[i].path, pool_dirs[i].path, BLOCK);

        if (pair_is_direct(two.destination)) {
            memset(&lacks, 0, sizeof(lacks));
            lacks.direct_error = EIO;
            CHECK_EQ(put(&two, 0), -EIO);
            CHECK(pair_is_direct(two.destination));
            memset(&lacks, 0, sizeof(lacks));
            CHECK_EQ(put(&two, 0), BLOCK / GRAIN);
        }
        two_close(&two);
    }
}

static int share(struct two *two, uint64_t offset, uint64_t n_bytes)
{
    return two->destination->ops->clone(two->destination, two->source, offset, n_bytes);
}

static void share_all(const char *dir, uint64_t size_bytes)
{
    struct two two = two_open(dir, dir, size_bytes);

    volume_write(two.fds[1], 0, size_bytes, 3, NULL); /* it held something before */
    CHECK_EQ(share(&two, 0, size_bytes - size_bytes % GRAIN), 0);
    CHECK(volume_difference(two.fds[0], two.fds[1], size_bytes) >= size_bytes - size_bytes % GRAIN);
    CHECK_EQ(share(&two, size_bytes - size_bytes % GRAIN, size_bytes % GRAIN), 0);
    CHECK_EQ(volume_difference(two.fds[0], two.fds[1], size_bytes), size_bytes);
    CHECK_EQ(share(&two, 0, size_bytes), 0);
    CHECK_EQ(volume_difference(two.fds[0], two.fds[1], size_bytes), size_bytes);
    two_close(&two);
}

/* A pair of descriptors of another kind. */
static void share_with_stranger(const char *dir)
{
    struct two two = two_open(dir, dir, BLOCK);
    struct pair stranger = {.ep = {&null_endpoint, ENDPOINT_READ}, .fd = two.fds[0]};

    CHECK_EQ(two.destination->ops->clone(two.destination, &stranger.ep, 0, BLOCK), -EOPNOTSUPP);
    two_close(&two);
}

static void share_part(const char *dir)
{
    struct two two = two_open(dir, dir, 3 * BLOCK);

    REQUIRE(fallocate(two.fds[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK, GRAIN) == 0);
    volume_write(two.fds[1], 0, 3 * BLOCK, 3, NULL);
    CHECK_EQ(share(&two, BLOCK, BLOCK), 0);
    REQUIRE(io_pread(two.fds[1], two.buf, 1, BLOCK - 1, NULL) == 0);
    CHECK_EQ(two.buf[0], 3);
    REQUIRE(io_pread(two.fds[1], two.buf, 1, 2 * BLOCK, NULL) == 0);
    CHECK_EQ(two.buf[0], 3);
    CHECK_EQ(lseek(two.fds[1], BLOCK, SEEK_DATA), BLOCK + GRAIN); /* holes are shared too */
    REQUIRE(ftruncate(two.fds[0], BLOCK) == 0); /* not what was asked for any more */
    CHECK_EQ(share(&two, BLOCK, 2 * BLOCK), -EOPNOTSUPP);
    two_close(&two);
}

TEST(storage_is_shared_where_the_file_system_can_and_refused_in_one_way_else)
{
    bool seen = false;

    for (unsigned i = 0; i < n_pool_dirs; i++) {
        const char *dir = pool_dirs[i].path;
        struct two two = two_open(dir, dir, BLOCK);
        int r = share(&two, 0, BLOCK);

        CHECK(r == 0 || r == -EOPNOTSUPP);
        if (strcmp(pool_dirs[i].kind, "plain") != 0)
            CHECK_EQ(r == 0, strcmp(pool_dirs[i].kind, "xfs") == 0);
        CHECK_EQ(share(&two, 0, 0), 0);
        two_close(&two);
        if (r < 0)
            continue;
        seen = true;
        share_all(dir, 5 * BLOCK);
        share_all(dir, 5 * BLOCK + 1234);
        share_part(dir);
        share_with_stranger(dir);
    }
    if (!seen)
        printf("# nothing here shares storage\n");
}

TEST(storage_is_not_shared_with_another_file_system)
{
    struct two two = two_open(pool_dirs[0].path, pool_dirs[n_pool_dirs - 1].path, BLOCK);

    if (n_pool_dirs > 1)
        CHECK_EQ(share(&two, 0, BLOCK), -EOPNOTSUPP);
    two_close(&two);
}

int main(int argc, char **argv)
{
    pools_open();
    return check_main(argc, argv);
}
