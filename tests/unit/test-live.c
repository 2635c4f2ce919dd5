#include "fs/live/live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"

#define SIZE 10000

static char path[64];

static void remove_file(void)
{
    unlink(path);
}

/* Its file holds SIZE times 'a', and as much behind that. */
static struct live *fresh(void)
{
    char bytes[2 * SIZE];
    struct live *live;
    int fd;

    if (!path[0])
        atexit(remove_file);
    else
        unlink(path);
    signal(SIGIO, SIG_IGN);
    snprintf(path, sizeof(path), "/tmp/test-live.XXXXXX");
    fd = mkostemp(path, O_CLOEXEC);
    memset(bytes, 'a', sizeof(bytes));
    REQUIRE(fd >= 0 && write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
    REQUIRE(fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
    live = live_open(fd, SIZE);
    REQUIRE(live);
    return live;
}

TEST(nothing_is_read_or_written_beyond_the_end)
{
    struct live *live = fresh();
    char bytes[SIZE] = "", end[SIZE];
    atomic_uint seen = 0;
    struct stat st;

    CHECK_EQ(live_read(live, bytes, SIZE, 1), SIZE - 1);
    CHECK_EQ(live_read(live, bytes, 1, SIZE), 0);
    CHECK_EQ(live_read(live, bytes, 1, UINT64_MAX), 0);
    memset(bytes, 'b', sizeof(bytes));
    CHECK_EQ(live_write(live, bytes, SIZE, SIZE - 5), 5);
    CHECK_EQ(live_write(live, bytes, 1, SIZE), -ENOSPC);
    CHECK_EQ(live_write(live, bytes, 1, UINT64_MAX), -ENOSPC);
    CHECK_EQ(live_write(live, bytes, 0, SIZE), 0);
    CHECK_EQ(live_read(live, end, SIZE, SIZE - 6), 6);
    CHECK_EQ(memcmp(end, "abbbbb", 6), 0);
    CHECK(stat(path, &st) == 0 && st.st_size == 2 * SIZE);
    CHECK_EQ(live_sync(live, false, &seen), 0);
    CHECK_EQ(live_sync(live, true, &seen), 0);
    live_put(live);
}

TEST(space_is_taken_and_given_back_within_the_volume_alone)
{
    const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    struct live *live = fresh();
    char bytes[SIZE];

    CHECK_EQ(live_allocate(live, punch, 4096, 4096), 0);
    CHECK_EQ(live_read(live, bytes, SIZE, 0), SIZE);
    CHECK(bytes[4095] == 'a' && bytes[4096] == 0 && bytes[8191] == 0 && bytes[8192] == 'a');
    CHECK_EQ(live_allocate(live, punch, SIZE - 1, 2), -EPERM);
    CHECK_EQ(live_allocate(live, FALLOC_FL_KEEP_SIZE, SIZE, 1), -EPERM);
    CHECK_EQ(live_allocate(live, 0, 0, UINT64_MAX), -EPERM);
    CHECK_EQ(live_allocate(live, 0, UINT64_MAX, 2), -EPERM);
    CHECK_EQ(live_allocate(live, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -EOPNOTSUPP);
    CHECK_EQ(live_allocate(live, 0, 0, SIZE), 0);
    live_put(live);
}

TEST(holes_are_found_within_the_volume_alone)
{
    struct live *live = fresh();

    CHECK_EQ(live_allocate(live, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
    CHECK_EQ(live_seek(live, 0, SEEK_HOLE), 4096);
    CHECK_EQ(live_seek(live, 4096, SEEK_DATA), 8192);
    CHECK_EQ(live_seek(live, 8192, SEEK_HOLE), SIZE);
    CHECK_EQ(live_seek(live, SIZE, SEEK_DATA), -ENXIO);
    CHECK_EQ(live_seek(live, 0, SEEK_END), -EINVAL);
    live_put(live);
}

TEST(a_lease_that_was_broken_is_had_again_when_nobody_is_left)
{
    struct live *live = fresh();
    int fd;

    CHECK(live_is_ours(live));
    CHECK(open(path, O_RDONLY | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
    CHECK(!live_is_ours(live));
    live_put(live);
    fd = open(path, O_RDWR);
    live = live_open(fd, SIZE); /* without a lease, as after one that was broken off */
    fd = open(path, O_RDONLY);
    CHECK(!live_is_ours(live));
    close(fd);
    CHECK(live_is_ours(live));
    live_put(live);
}

TEST(who_closes_it_is_told_when_nobody_has_the_file_any_more)
{
    struct live *live = fresh();
    struct pollfd closed = {.fd = -1, .events = POLLIN};
    int fd;

    live_put(live_ref(live));
    CHECK_EQ(live_close(live, &closed.fd), 0);
    CHECK_EQ(poll(&closed, 1, 20000), 1);
    fd = open(path, O_RDWR | O_NONBLOCK);
    CHECK(fd >= 0);
    close(fd);
    close(closed.fd);
}

TEST(a_flush_that_failed_is_told_to_each_user_once)
{
    int pair[2], fd = memfd_create("good", MFD_CLOEXEC);
    atomic_uint early, other, late;
    struct live *live;

    REQUIRE(pipe(pair) == 0 && fd >= 0);
    live = live_open(pair[1], SIZE); /* which cannot be flushed */
    early = other = live_errors(live);
    CHECK_EQ(live_sync(live, false, &early), -EINVAL);
    CHECK_EQ(dup2(fd, pair[1]), pair[1]);
    late = live_errors(live);
    CHECK_EQ(live_sync(live, false, &early), 0);
    CHECK_EQ(live_sync(live, true, &other), -EIO);
    CHECK_EQ(live_sync(live, false, &other), 0);
    CHECK_EQ(live_sync(live, false, &late), 0);
    live_put(live);
    close(fd);
    close(pair[0]);
}

TEST(who_comes_when_enough_are_at_work_waits_in_order)
{
    struct live_wait waits[3];
    struct live *live = fresh();

    for (int i = 0; i < LIVE_BUSY_MAX; i++)
        CHECK(live_enter(live, i % 2 ? NULL : &waits[0]));
    CHECK(!live_enter(live, NULL));
    for (int i = 0; i < 3; i++)
        CHECK(!live_enter(live, &waits[i]));
    for (int i = 0; i < 3; i++)
        CHECK(live_leave(live) == &waits[i]);
    CHECK(!live_enter(live, NULL));
    CHECK(!live_leave(live));
    CHECK(live_enter(live, NULL));
    for (int i = 0; i < LIVE_BUSY_MAX; i++)
        CHECK(!live_leave(live));
    live_put(live);
}

TEST_MAIN
