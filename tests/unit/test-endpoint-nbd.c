#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "copy/base/io.h"
#include "copy/endpoint/nbd.h"
#include "copy/endpoint/nbd_connection.h"
#include "copy/endpoint/nbd_library.h"
#include "copy/endpoint/queue.h"
#include "tests/unit/nbd-rig.h"

#define GRAIN ENDPOINT_GRAIN_BYTES
#define KIB   UINT64_C(1024)
#define MIB   (UINT64_C(1) << 20)

__attribute__((constructor)) static void prepare(void)
{
    nbd_prepare("nbdkit");
}

/* Every byte another than its neighbours. */
static unsigned char *pattern(size_t n, unsigned seed)
{
    unsigned char *bytes = malloc(n);

    REQUIRE(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 256 + seed + 1);
    return bytes;
}

static void check_holds(struct endpoint *ep, const unsigned char *wanted, size_t n, uint64_t offset)
{
    unsigned char *got = malloc(n);
    size_t n_got = 0;

    REQUIRE(got);
    CHECK_EQ(endpoint_read(ep, got, n, offset, &n_got), 0);
    CHECK_EQ(n_got, n);
    CHECK(memcmp(got, wanted, n) == 0);
    free(got);
}

static void put(struct endpoint *ep, const unsigned char *bytes, size_t n, uint64_t offset)
{
    size_t n_put = 0;

    CHECK_EQ(endpoint_write(ep, bytes, n, offset, &n_put), 0);
    CHECK_EQ(n_put, n);
}

/* requests through a queue */

#define MANY 32

struct batch {
    struct queue *queue;
    struct request requests[MANY];
    int r[MANY];
    unsigned n, n_over;
};

static void is_over(struct request *request, int r)
{
    struct batch *batch = request->arg;

    batch->r[request - batch->requests] = r;
    batch->n_over++;
}

static void batch_add(struct batch *batch, struct endpoint *ep, enum request_kind kind, void *buf,
                      size_t n, uint64_t offset)
{
    struct request *request = &batch->requests[batch->n++];

    if (!batch->queue)
        REQUIRE(queue_open(MANY, QUEUE_AUTO, &batch->queue) == 0);
    *request = (struct request){.kind = kind,
                                .ep = ep,
                                .buf = buf,
                                .n_bytes = n,
                                .offset = offset,
                                .done = is_over,
                                .arg = batch};
    queue_submit(batch->queue, request);
}

static void batch_end(struct batch *batch)
{
    while (batch->n_over < batch->n)
        queue_wait(batch->queue, UINT64_MAX);
    queue_close(batch->queue);
}

/* our side of the connections */

static unsigned n_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned n = 0;

    REQUIRE(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* The next descriptor from fd on that is a connected socket, or -1. */
static int next_socket(int fd)
{
    for (; fd < 256; fd++) {
        struct sockaddr_storage peer;
        socklen_t n = sizeof(peer);

        if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0)
            return fd;
    }
    return -1;
}

/* Read many at a time until so many connections have carried something. */
static void wait_for_connections(struct server *server, struct endpoint *ep, unsigned n)
{
    uint64_t until_ns = io_now_ns() + UINT64_C(20000000000);
    unsigned n_seen = 0;

    while (n_seen < n && io_now_ns() < until_ns) {
        struct batch batch = {0};
        char buf[MANY], connection[32];

        for (unsigned i = 0; i < MANY; i++)
            batch_add(&batch, ep, REQUEST_READ, buf + i, 1, i);
        batch_end(&batch);
        n_seen = 0;
        for (unsigned i = 1; i <= n; i++) {
            snprintf(connection, sizeof(connection), "connection=%u Read", i);
            n_seen += server_logged(server, connection, "") > 0 ? 1 : 0;
        }
    }
    CHECK_EQ(n_seen, n);
    CHECK_EQ(server_logged(server, "Connect", "export"), n);
}

TEST(what_is_written_is_read_back)
{
    struct server server = server_start("nbdkit memory 5M");
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);
    unsigned char *bytes = pattern(3 * MIB, 0);

    CHECK(ep->ops == &nbd_endpoint);
    CHECK_EQ(endpoint_check_size(ep, 5 * MIB), 0);
    put(ep, bytes, 3 * MIB, MIB);
    CHECK_EQ(ep->ops->flush(ep), 0);
    check_holds(ep, bytes, 3 * MIB, MIB);
    CHECK_EQ(endpoint_drop(ep), 0);
    CHECK_EQ(ep->ops->sync(ep), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

TEST(sizes_need_not_be_multiples_of_anything)
{
    struct server server = server_start("nbdkit memory 1048577");
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);
    unsigned char *bytes = pattern(MIB + 1, 3), got[10];
    uint64_t end = 0;
    bool hole = false;
    size_t n = 0;

    CHECK_EQ(endpoint_check_size(ep, MIB + 1), 0);
    put(ep, bytes, MIB + 1, 0);
    check_holds(ep, bytes, MIB + 1, 0);
    CHECK_EQ(endpoint_read(ep, got, 10, MIB - 4, &n), -ESTALE);
    CHECK_EQ(n, 5);
    CHECK_EQ(endpoint_extent(ep, MIB + 1, MIB + 1, &end, &hole), -ESTALE);
    CHECK_EQ(endpoint_write(ep, bytes, 2, MIB, &n), -ENOSPC);
    CHECK_EQ(endpoint_zero(ep, MIB - 1, 2), 0);
    bytes[MIB - 1] = bytes[MIB] = 0;
    check_holds(ep, bytes, MIB + 1, 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

static uint64_t allocated(const char *name)
{
    char path[128];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", nbd_top, name);
    REQUIRE(run_line("sync %s", path) == 0 && stat(path, &st) == 0);
    return (uint64_t)st.st_blocks * 512;
}

static void check_files(const char *command)
{
    unsigned char *bytes = pattern(2 * MIB, 5);
    struct server server;
    struct endpoint *ep;

    REQUIRE(run_line("rm -f $TOP/volume; head -c 4M /dev/zero | tr '\\0' x >$TOP/volume") == 0);
    server = server_start(command);
    ep = server_open(&server, ENDPOINT_WRITE);
    put(ep, bytes, 2 * MIB, 0);
    CHECK_EQ(endpoint_zero(ep, 2 * MIB, 2 * MIB), 0);
    CHECK_EQ(ep->ops->flush(ep), 0);
    CHECK_EQ(allocated("volume"), 2 * MIB);
    CHECK_EQ(endpoint_close(ep), 0);

    /* As a source: what was zeroed is one hole. */
    ep = server_open(&server, ENDPOINT_READ);
    for (uint64_t at = 0, end = 0; at < 4 * MIB; at = end) {
        bool hole = false;

        REQUIRE(endpoint_extent(ep, at, 4 * MIB, &end, &hole) == 0 && end > at);
        CHECK_EQ(hole, at >= 2 * MIB);
        CHECK(at >= 2 * MIB || end <= 2 * MIB);
    }
    check_holds(ep, bytes, 2 * MIB, 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

TEST(zeroing_frees_the_space_of_the_server_and_makes_holes)
{
    check_files("nbdkit file $TOP/volume");
    if (run_line("command -v qemu-nbd >/dev/null") == 0)
        check_files("qemu-nbd --persistent -e 8 -f raw --discard=unmap $TOP/volume");
}

TEST(holes_are_asked_for_lazily_and_in_many_at_a_time)
{
    struct server server;
    struct endpoint *ep;
    unsigned n_holes = 0, n_data = 0;
    uint64_t end = 0;
    bool hole = false;

    REQUIRE(run_line("rm -f $TOP/volume; truncate -s 64G $TOP/volume && for i in $(seq 0 99); do "
                     "printf x | dd of=$TOP/volume bs=1M seek=$((i * 2)) conv=notrunc status=none; "
                     "done") == 0);
    server = server_start("nbdkit --filter=log file $TOP/volume logfile=$LOG");
    ep = server_open(&server, ENDPOINT_READ);
    CHECK_EQ(server_logged(&server, " Extents", ""), 0);
    for (uint64_t at = 0; at < 64 * KIB * MIB; at = end) {
        REQUIRE(endpoint_extent(ep, at, 64 * KIB * MIB, &end, &hole) == 0 && end > at);
        if (at < 2 * KIB * MIB) {
            CHECK_EQ(hole, at % (2 * MIB) > 0);
            n_holes += hole ? 1 : 0;
            n_data += hole ? 0 : 1;
        }
    }
    CHECK_EQ(n_data, 100);
    CHECK_EQ(n_holes, 100);
    CHECK_EQ(server_logged(&server, " Extents", ""), 32);
    CHECK_EQ(endpoint_extent(ep, 0, 64 * KIB * MIB, &end, &hole), 0);
    CHECK(!hole);
    CHECK_EQ(end, GRAIN);
    CHECK_EQ(endpoint_close(ep), 0);
    server_kill(&server);
}

static void check_served_as_data(const char *command)
{
    struct server server = server_start(command);
    struct endpoint *ep = server_open(&server, ENDPOINT_READ);

    check_all_data(ep, MIB);
    CHECK_EQ(endpoint_close(ep), 0);
    server_kill(&server);
}

TEST(a_server_that_does_not_tell_has_data_all_over)
{
    check_served_as_data("nbdkit --filter=noextents memory 1M");
    check_served_as_data("nbdkit --no-sr memory 1M");
    check_served_as_data("nbdkit --filter=error memory 1M error-extents-rate=100% error=EIO");
    check_served_as_data("nbdkit --filter=error memory 1M error-extents-rate=100% error=EINVAL");
}

TEST(a_read_only_export_is_no_destination)
{
    struct server server = server_start("nbdkit -r memory 1M");
    struct endpoint *ep = NULL;
    struct err e = {0};

    CHECK_EQ(endpoint_open(server.uri, ENDPOINT_WRITE, &ep, &e), -EROFS);
    CHECK(strstr(e.text, "read-only") != NULL);
    ep = server_open(&server, ENDPOINT_READ);
    CHECK_EQ(ep->ops->flush(ep), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    server_kill(&server);
}

#define SHELL_VOLUME                                                                               \
    "get_size='echo 1048576' "                                                                     \
    "pread='dd if=$TOP/volume iflag=count_bytes,skip_bytes skip=$4 count=$3 status=none' "         \
    "pwrite='dd of=$TOP/volume oflag=seek_bytes conv=notrunc seek=$4 status=none' "

TEST(a_server_that_cannot_flush_is_refused_or_writes_through)
{
    struct server server;
    struct endpoint *ep = NULL;
    struct err e = {0};
    unsigned char *bytes = pattern(GRAIN, 9);

    REQUIRE(run_line("rm -f $TOP/volume; truncate -s 1M $TOP/volume") == 0);
    server = server_start("nbdkit eval " SHELL_VOLUME);
    CHECK_EQ(endpoint_open(server.uri, ENDPOINT_WRITE, &ep, &e), -EOPNOTSUPP);
    CHECK(strstr(e.text, "stable") != NULL);
    server_kill(&server);

    server = server_start("nbdkit --filter=log eval logfile=$LOG can_fua='echo native' "
                          "can_zero='exit 0' zero=: " SHELL_VOLUME);
    ep = server_open(&server, ENDPOINT_WRITE);
    put(ep, bytes, GRAIN, 0);
    CHECK_EQ(endpoint_zero(ep, 2 * GRAIN, GRAIN), 0);
    CHECK_EQ(ep->ops->flush(ep), 0);
    CHECK_EQ(server_logged(&server, " Write", "fua=1"), 1);
    CHECK_EQ(server_logged(&server, " Zero", "fua=1"), 1);
    CHECK_EQ(server_logged(&server, " Flush", ""), 0);
    check_holds(ep, bytes, GRAIN, 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

TEST(errors_of_the_server_are_told)
{
    struct server server = server_start("nbdkit --filter=error memory 1M error=ENOSPC "
                                        "error-pread-rate=100% error-pwrite-rate=100%");
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);
    struct batch batch = {0};
    unsigned char *bytes = pattern(GRAIN, 1);
    size_t n = 1;

    CHECK_EQ(endpoint_read(ep, bytes, GRAIN, 0, &n), -ENOSPC);
    CHECK_EQ(n, 0);
    CHECK_EQ(endpoint_write(ep, bytes, GRAIN, 0, &n), -ENOSPC);
    batch_add(&batch, ep, REQUEST_WRITE, bytes, GRAIN, 0);
    batch_end(&batch);
    CHECK_EQ(batch.r[0], -ENOSPC);
    CHECK_EQ(batch.requests[0].n_done, 0);
    /* and the connection lives on */
    CHECK_EQ(ep->ops->flush(ep), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

TEST(a_flush_that_fails_is_told)
{
    struct server server;
    struct endpoint *ep;

    REQUIRE(run_line("rm -f $TOP/volume; truncate -s 1M $TOP/volume") == 0);
    server =
        server_start("nbdkit eval can_flush='exit 0' flush='echo EIO >&2; exit 1' " SHELL_VOLUME);
    ep = server_open(&server, ENDPOINT_WRITE);
    CHECK_EQ(ep->ops->flush(ep), -EIO);
    CHECK_EQ(ep->ops->sync(ep), -EIO);
    CHECK_EQ(endpoint_close(ep), 0);
    server_kill(&server);
}

TEST(zeroing_that_a_server_cannot_do_is_tried_once)
{
    struct server server = server_start("nbdkit --filter=log --filter=error memory 1M logfile=$LOG "
                                        "error-zero-rate=100% error=EINVAL");
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);
    unsigned char *bytes = pattern(GRAIN, 1);

    for (uint64_t i = 0; i < 3; i++) {
        put(ep, bytes, GRAIN, i * GRAIN);
        CHECK_EQ(endpoint_zero(ep, i * GRAIN, GRAIN), 0);
    }
    memset(bytes, 0, GRAIN);
    check_holds(ep, bytes, GRAIN, 2 * GRAIN);
    CHECK_EQ(server_logged(&server, " Zero", "offset"), 1);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

TEST(a_server_that_cannot_zero_is_not_asked)
{
    struct server server = server_start("nbdkit --filter=log --filter=nozero memory 1M "
                                        "logfile=$LOG");
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);
    unsigned char *bytes = pattern(MIB, 1);

    put(ep, bytes, MIB, 0);
    CHECK_EQ(endpoint_zero(ep, 1, MIB - 2), 0);
    memset(bytes + 1, 0, MIB - 2);
    check_holds(ep, bytes, MIB, 0);
    CHECK_EQ(server_logged(&server, " Zero", ""), 0);
    CHECK_EQ(server_logged(&server, " Trim", ""), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

TEST(transfers_above_the_maximum_are_split)
{
    struct server server = server_start("nbdkit --filter=blocksize-policy memory 5M "
                                        "blocksize-maximum=64K blocksize-error-policy=error");
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);
    unsigned char *bytes = pattern(MIB + 7, 1), *got = calloc(1, MIB + 7);
    struct batch batch = {0};

    put(ep, bytes, MIB + 7, 4096);
    check_holds(ep, bytes, MIB + 7, 4096);
    batch_add(&batch, ep, REQUEST_READ, got, MIB + 7, 4096);
    batch_end(&batch);
    CHECK_EQ(batch.r[0], 0);
    CHECK_EQ(batch.requests[0].n_done, MIB + 7);
    CHECK(memcmp(got, bytes, MIB + 7) == 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    free(got);
    server_kill(&server);
}

TEST(how_far_a_transfer_came_is_told)
{
    struct server server;
    struct endpoint *ep;
    unsigned char *buf = malloc(MIB);
    struct batch batch = {0};
    size_t n = 0;

    REQUIRE(run_line("rm -f $TOP/volume; truncate -s 1M $TOP/volume") == 0);
    server = server_start("nbdkit --filter=blocksize-policy eval blocksize-minimum=512 "
                          "blocksize-preferred=4096 blocksize-maximum=64K get_size='echo 1048576' "
                          "pread='if [ $4 -ge 131072 ]; then echo EIO >&2; exit 1; fi; "
                          "head -c $3 /dev/zero'");
    ep = server_open(&server, ENDPOINT_READ);
    CHECK_EQ(endpoint_read(ep, buf, MIB, 0, &n), -EIO);
    CHECK_EQ(n, 128 * KIB);
    batch_add(&batch, ep, REQUEST_READ, buf, MIB / 2, 64 * KIB);
    batch_add(&batch, ep, REQUEST_READ, buf, MIB / 2, MIB / 2 + 1);
    batch_end(&batch);
    CHECK_EQ(batch.r[0], -EIO);
    CHECK_EQ(batch.requests[0].n_done, 64 * KIB);
    CHECK_EQ(batch.r[1], -ESTALE);
    CHECK_EQ(endpoint_close(ep), 0);
    free(buf);
    server_kill(&server);
}

#define STRICT " blocksize-minimum=4096 blocksize-error-policy=error"

TEST(parts_of_minimal_blocks_can_be_read_written_and_zeroed)
{
    struct server server =
        server_start("nbdkit --filter=log --filter=blocksize-policy memory 1M logfile=$LOG" STRICT);
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);
    unsigned char *bytes = pattern(MIB, 1);

    put(ep, bytes, MIB, 0);
    check_holds(ep, bytes + 10001, 7, 10001);
    check_holds(ep, bytes + 4095, 8194, 4095);
    memcpy(bytes + 10001, "seven b", 7);
    put(ep, (const unsigned char *)"seven b", 7, 10001);
    memset(bytes + 20000, 'x', 30000);
    put(ep, bytes + 20000, 30000, 20000);
    CHECK_EQ(endpoint_zero(ep, 100001, 200000), 0);
    memset(bytes + 100001, 0, 200000);
    CHECK_EQ(server_logged(&server, " Zero", "offset=0x19000 "), 1);
    CHECK_EQ(endpoint_zero(ep, MIB - 20, 20), 0);
    memset(bytes + MIB - 20, 0, 20);
    check_holds(ep, bytes, MIB, 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

TEST(writes_to_parts_of_one_block_do_not_undo_each_other)
{
    struct server server =
        server_start("nbdkit --filter=log --filter=blocksize-policy --filter=delay memory 1M "
                     "logfile=$LOG rdelay=10ms" STRICT);
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);
    unsigned char *bytes = pattern(GRAIN, 77);
    struct batch batch = {0};

    wait_for_connections(&server, ep, 4);
    for (unsigned i = 0; i < 16; i++)
        batch_add(&batch, ep, REQUEST_WRITE, bytes + i * 256, 256, i * UINT64_C(256));
    batch_end(&batch);
    for (unsigned i = 0; i < 16; i++)
        CHECK_EQ(batch.r[i], 0);
    check_holds(ep, bytes, GRAIN, 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

/* A server that is as lax as it says it is strict. */
TEST(the_last_block_may_be_cut_short)
{
    struct server server = server_start("nbdkit --filter=blocksize-policy memory 1048577 "
                                        "blocksize-minimum=512 blocksize-error-policy=allow");
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);
    unsigned char *bytes = pattern(MIB + 1, 1);

    put(ep, bytes, MIB, 0);
    put(ep, bytes + MIB, 1, MIB);
    check_holds(ep, bytes, MIB + 1, 0);
    check_holds(ep, bytes + MIB - 5, 6, MIB - 5);
    CHECK_EQ(endpoint_zero(ep, MIB - 1000, 1001), 0);
    memset(bytes + MIB - 1000, 0, 1001);
    check_holds(ep, bytes, MIB + 1, 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

TEST(a_larger_export_is_used_up_to_the_size_asked_for)
{
    struct server server = server_start("nbdkit memory 1M");
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);

    CHECK_EQ(endpoint_resize(ep, MIB + 1), -ENOSPC);
    CHECK_EQ(endpoint_resize(ep, 1234567 / 2), 0);
    CHECK_EQ(endpoint_check_size(ep, 1234567 / 2), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    server_kill(&server);
}

TEST(many_requests_are_in_flight_on_one_connection)
{
    struct server server = server_start("nbdkit --filter=delay memory 1M rdelay=300ms");
    struct endpoint *ep = server_open(&server, ENDPOINT_READ);
    unsigned char *buf = malloc(16 * GRAIN);
    struct batch batch = {0};
    uint64_t began_ns;

    CHECK_EQ(endpoint_set_connections(ep, 1), 0);
    began_ns = io_now_ns();
    for (unsigned i = 0; i < 16; i++)
        batch_add(&batch, ep, REQUEST_READ, buf + i * GRAIN, GRAIN, i * UINT64_C(4096));
    CHECK(io_now_ns() - began_ns < UINT64_C(300000000));
    batch_end(&batch);
    CHECK(io_now_ns() - began_ns < UINT64_C(2400000000)); /* one by one: 4.8 s */
    CHECK_EQ(endpoint_close(ep), 0);
    free(buf);
    server_kill(&server);
}

static void check_connections(const char *command, unsigned wanted, unsigned n, unsigned preset)
{
    unsigned before = n_threads();
    struct server server = server_start(command);
    struct endpoint *ep = server_open(&server, ENDPOINT_READ);

    CHECK_EQ(n_threads() - before, preset);
    CHECK_EQ(endpoint_set_connections(ep, 0), -EINVAL);
    CHECK_EQ(endpoint_set_connections(ep, ENDPOINT_CONNECTIONS_MAX + 1), -EINVAL);
    if (wanted > 0)
        CHECK_EQ(endpoint_set_connections(ep, wanted), 0);
    CHECK_EQ(n_threads() - before, n);
    if (n >= preset)
        wait_for_connections(&server, ep, n);
    CHECK_EQ(endpoint_close(ep), 0);
    CHECK_EQ(n_threads(), before);
    CHECK_EQ(next_socket(0), -1);
    server_kill(&server);
}

#define LOGGED "nbdkit --filter=log memory 1M logfile=$LOG"
#define ALONE                                                                                      \
    "nbdkit --filter=log --filter=multi-conn memory 1M logfile=$LOG multi-conn-mode=disable"

TEST(there_are_as_many_connections_as_asked_for_and_allowed)
{
    check_connections(LOGGED, 0, 4, 4);
    check_connections(LOGGED, 7, 7, 4);
    check_connections(LOGGED, 1, 1, 4);
    check_connections(ALONE, 0, 1, 1);
    check_connections(ALONE, 8, 1, 1);
}

TEST(connections_that_are_not_let_in_are_done_without)
{
    struct server server;
    struct endpoint *ep;
    uint64_t began_ns = io_now_ns();
    unsigned char byte;
    size_t n = 0;

    if (run_line("command -v qemu-nbd >/dev/null") != 0)
        return;
    REQUIRE(run_line("rm -f $TOP/volume; truncate -s 1M $TOP/volume") == 0);
    server = server_start("qemu-nbd --persistent -e 1 -r -f raw $TOP/volume");
    ep = server_open(&server, ENDPOINT_READ);
    CHECK_EQ(endpoint_read(ep, &byte, 1, 0, &n), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    CHECK(io_now_ns() - began_ns < UINT64_C(10000000000));
    server_kill(&server);
}

TEST(a_flush_goes_over_all_connections)
{
    struct server server = server_start(LOGGED);
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);

    wait_for_connections(&server, ep, 4);
    CHECK_EQ(ep->ops->flush(ep), 0);
    for (unsigned i = 1; i <= 4; i++) {
        char connection[32];

        snprintf(connection, sizeof(connection), "connection=%u Flush", i);
        CHECK(server_logged(&server, connection, "") > 0);
    }
    CHECK_EQ(endpoint_close(ep), 0);
    server_kill(&server);
}

static void check_lost(struct endpoint *ep)
{
    uint64_t size_bytes;
    char byte = 0;
    size_t n;

    CHECK_EQ(endpoint_read(ep, &byte, 1, 0, &n), -ENOTCONN);
    CHECK_EQ(ep->ops->size(ep, &size_bytes), -ENOTCONN);
    CHECK_EQ(ep->ops->flush(ep), -ENOTCONN);
    if (ep->mode == ENDPOINT_WRITE) {
        CHECK_EQ(endpoint_write(ep, &byte, 1, 0, &n), -ENOTCONN);
        CHECK_EQ(endpoint_zero(ep, 0, 1), -ENOTCONN);
    }
}

static void check_server_dies(enum endpoint_mode mode)
{
    struct server server = server_start("nbdkit --filter=delay memory 1M rdelay=3600 wdelay=3600");
    struct endpoint *ep = server_open(&server, mode);
    unsigned char *buf = calloc(MANY, GRAIN);
    struct batch batch = {0};
    uint64_t began_ns;

    for (unsigned i = 0; i < MANY; i++)
        batch_add(&batch, ep, mode == ENDPOINT_WRITE && i % 2 ? REQUEST_WRITE : REQUEST_READ,
                  buf + i * GRAIN, GRAIN, i * UINT64_C(4096));
    CHECK_EQ(queue_wait(batch.queue, 0), 0);
    server_kill(&server);
    began_ns = io_now_ns();
    batch_end(&batch);
    CHECK(io_now_ns() - began_ns < UINT64_C(2000000000));
    for (unsigned i = 0; i < MANY; i++)
        CHECK_EQ(batch.r[i], -ENOTCONN);
    check_lost(ep);
    CHECK_EQ(endpoint_close(ep), 0);
    free(buf);
}

TEST(a_server_that_dies_fails_all_that_is_in_flight_at_once)
{
    check_server_dies(ENDPOINT_READ);
    check_server_dies(ENDPOINT_WRITE);
}

struct seen {
    struct nbd_job job;
    struct connection *connection;
    enum connection_state state; /* when it was over */
    sem_t over;
};

static void see(struct nbd_job *job)
{
    struct seen *seen = (struct seen *)job;

    seen->state = connection_state(seen->connection);
    sem_post(&seen->over);
}

static void seen_connect(struct seen *seen, struct server *server, char *buf)
{
    REQUIRE(nbd_library_load(NULL) == 0);
    REQUIRE(connection_open(server->uri, NULL, &seen->connection) == 0);
    REQUIRE(connection_wait(seen->connection, NULL) == 0);
    seen->job = (struct nbd_job){.kind = NBD_JOB_READ, .buf = buf, .n_bytes = 1, .over = see};
    REQUIRE(sem_init(&seen->over, 0, 0) == 0);
}

static void seen_begin(struct seen *seen, struct server *server, char *buf)
{
    seen_connect(seen, server, buf);
    CHECK(connection_submit(seen->connection, &seen->job));
    CHECK_EQ(connection_load(seen->connection), 1);
}

/* So that nobody who tries again meets it once more. */
TEST(a_connection_is_known_to_be_lost_before_its_jobs_end)
{
    struct server server = server_start("nbdkit --filter=delay memory 1M rdelay=3600");
    struct seen seen;
    char byte;

    seen_begin(&seen, &server, &byte);
    server_kill(&server);
    sem_wait(&seen.over);
    CHECK_EQ(seen.job.r, -ENOTCONN);
    CHECK_EQ(seen.state, CONNECTION_LOST);
    CHECK_EQ(connection_load(seen.connection), 0);
    CHECK(!connection_submit(seen.connection, &seen.job));
    connection_close(seen.connection);
    sem_destroy(&seen.over);
}

TEST(hanging_up_does_not_wait_for_a_server_that_hangs)
{
    struct server server =
        server_start("nbdkit --filter=log --filter=delay memory 1M logfile=$LOG rdelay=3600");
    struct seen seen;
    char byte;
    uint64_t began_ns;

    seen_begin(&seen, &server, &byte);
    while (server_logged(&server, "connection=1 Read", "") == 0) /* or the test's timeout */
        sched_yield();
    REQUIRE(kill(server.pid, SIGSTOP) == 0);
    began_ns = io_now_ns();
    connection_close(seen.connection);
    CHECK(io_now_ns() - began_ns < UINT64_C(2000000000));
    CHECK_EQ(sem_trywait(&seen.over), 0);
    CHECK_EQ(seen.job.r, -ENOTCONN);
    sem_destroy(&seen.over);
    server_kill(&server);
}

static void cut_one_connection(void)
{
    int fd = next_socket(0);

    REQUIRE(fd >= 0 && shutdown(fd, SHUT_RDWR) == 0);
}

TEST(what_is_sent_on_a_lost_connection_tells_that_it_is_lost)
{
    struct server server = server_start("nbdkit memory 1M");
    char byte;

    for (unsigned i = 0; i < 50; i++) {
        struct seen seen;
        bool taken;

        seen_connect(&seen, &server, &byte);
        cut_one_connection();
        taken = connection_submit(seen.connection, &seen.job);
        if (taken) {
            sem_wait(&seen.over);
            CHECK_EQ(seen.job.r, -ENOTCONN);
            CHECK_EQ(seen.state, CONNECTION_LOST);
        }
        connection_close(seen.connection);
        sem_destroy(&seen.over);
    }
    server_kill(&server);
}

static sem_t next_is_there;

static void cut_before_the_next(struct nbd_job *job)
{
    sem_wait(&next_is_there);
    cut_one_connection();
    see(job);
}

/* Writes of parts of a block wait for one another, so the second one is sent, and meets the loss,
 * in the moment that the first one ends. libnbd then returns what stands in memory that it has
 * freed, here a failure. */
TEST(a_loss_that_is_told_twice_ends_a_job_once)
{
    struct server server =
        server_start("nbdkit --filter=blocksize-policy memory 1M blocksize-minimum=4096");
    struct seen seen, next;
    char byte = 0;

    mallopt(M_PERTURB, 176);
    REQUIRE(sem_init(&next_is_there, 0, 0) == 0);
    seen_connect(&seen, &server, NULL);
    for (unsigned i = 0; i < 8; i++) {
        seen.job = (struct nbd_job){
            .kind = NBD_JOB_WRITE, .from = &byte, .offset = 1, .n_bytes = 1, .over = see};
        if (i == 7)
            seen.job.over = cut_before_the_next;
        CHECK(connection_submit(seen.connection, &seen.job));
        if (i < 7)
            sem_wait(&seen.over);
    }
    next = (struct seen){
        .job = {.kind = NBD_JOB_WRITE, .from = &byte, .offset = 5000, .n_bytes = 1, .over = see},
        .connection = seen.connection};
    REQUIRE(sem_init(&next.over, 0, 0) == 0);
    CHECK(connection_submit(seen.connection, &next.job));
    sem_post(&next_is_there);
    sem_wait(&seen.over);
    sem_wait(&next.over);
    CHECK_EQ(next.job.r, -ENOTCONN);
    mallopt(M_PERTURB, 0);
    connection_close(seen.connection);
    sem_destroy(&next.over);
    sem_destroy(&seen.over);
    sem_destroy(&next_is_there);
    server_kill(&server);
}

TEST(a_source_goes_on_when_a_connection_is_lost)
{
    struct server server = server_start(LOGGED);
    struct endpoint *ep = server_open(&server, ENDPOINT_READ);
    struct batch batch = {0};
    char buf[MANY];
    unsigned n_read = 0;
    size_t n;

    wait_for_connections(&server, ep, 4);
    cut_one_connection();
    for (unsigned i = 0; i < MANY; i++)
        batch_add(&batch, ep, REQUEST_READ, buf + i, 1, i);
    batch_end(&batch);
    for (unsigned i = 0; i < MANY; i++) {
        CHECK(batch.r[i] == 0 || batch.r[i] == -ENOTCONN);
        n_read += batch.r[i] == 0 ? 1 : 0;
    }
    CHECK(n_read > 0);
    /* Whoever was told of it does not meet it again. */
    for (unsigned i = 0; i < MANY; i++)
        CHECK_EQ(endpoint_read(ep, buf, 1, i, &n), 0);
    CHECK_EQ(endpoint_check_size(ep, MIB), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    server_kill(&server);
}

/* The server is there, and the others could still flush. */
TEST(a_destination_is_at_an_end_when_a_connection_is_lost)
{
    struct server server = server_start(LOGGED);
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);

    wait_for_connections(&server, ep, 4);
    put(ep, (const unsigned char *)"x", 1, 0);
    cut_one_connection();
    CHECK_EQ(ep->ops->flush(ep), -ENOTCONN);
    check_lost(ep);
    CHECK_EQ(endpoint_close(ep), 0);
    server_kill(&server);
}

static void *read_all(void *arg)
{
    struct endpoint *ep = arg;
    unsigned char *buf = malloc(64 * KIB);

    REQUIRE(buf);
    for (uint64_t at = 0; at < 4 * MIB; at += 64 * KIB) {
        uint64_t end;
        bool hole;
        size_t n;

        CHECK_EQ(endpoint_extent(ep, at, 4 * MIB, &end, &hole), 0);
        CHECK_EQ(endpoint_read(ep, buf, 64 * KIB, at, &n), 0);
        for (size_t i = 0; i < 64 * KIB; i += 8 * KIB)
            CHECK_EQ(buf[i], (unsigned char)((at + i) / (8 * KIB) % 250 + 1));
    }
    free(buf);
    return NULL;
}

TEST(several_threads_share_an_endpoint)
{
    struct server server = server_start("nbdkit memory 4M");
    struct endpoint *ep = server_open(&server, ENDPOINT_WRITE);
    pthread_t threads[4];
    unsigned char grain[16];

    for (uint64_t i = 0; i < 4 * MIB / (8 * KIB); i++) {
        memset(grain, (int)(i % 250 + 1), sizeof(grain));
        put(ep, grain, sizeof(grain), i * 8 * KIB);
    }
    for (size_t i = 0; i < 4; i++)
        REQUIRE(pthread_create(&threads[i], NULL, read_all, ep) == 0);
    for (size_t i = 0; i < 4; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    CHECK_EQ(endpoint_close(ep), 0);
    server_kill(&server);
}

TEST(what_cannot_be_connected_to_says_why)
{
    struct endpoint *ep = NULL;
    struct err e = {0};
    struct server server = server_start("false");
    char uri[300];

    CHECK_EQ(endpoint_open("nbd+unix:///?socket=/nowhere/socket", ENDPOINT_READ, &ep, &e), -ENOENT);
    CHECK(strstr(e.text, "/nowhere/socket") != NULL);
    CHECK(endpoint_open("nbd:nonsense", ENDPOINT_READ, &ep, &e) < 0);
    CHECK(endpoint_open(server.uri, ENDPOINT_READ, &ep, &e) < 0);
    CHECK(e.text[0] != '\0');
    server_kill(&server);

    server = server_start("nbdkit --tls=off memory 1M");
    snprintf(uri, sizeof(uri), "nbds+unix:///?socket=%s", server.socket);
    CHECK(endpoint_open(uri, ENDPOINT_READ, &ep, &e) < 0);
    server_kill(&server);
    CHECK(!ep);
}

TEST(an_encrypted_connection_works_too)
{
    struct server server;
    struct endpoint *ep = NULL;
    unsigned char *bytes = pattern(MIB, 4);

    REQUIRE(run_line("echo alice:00112233445566778899aabbccddeeff >$TOP/keys") == 0);
    server = server_start("nbdkit --tls=require --tls-psk=$TOP/keys memory 2M");
    snprintf(server.uri, sizeof(server.uri), "nbds+unix://alice@/?socket=%s&tls-psk-file=%s/keys",
             server.socket, nbd_top);
    ep = server_open(&server, ENDPOINT_WRITE);
    put(ep, bytes, MIB, 1000);
    CHECK_EQ(ep->ops->flush(ep), 0);
    check_holds(ep, bytes, MIB, 1000);
    CHECK_EQ(endpoint_close(ep), 0);
    free(bytes);
    server_kill(&server);
}

TEST(a_machine_that_goes_away_is_noticed)
{
    struct server server = server_start_on(true, "nbdkit memory 1M");
    struct endpoint *ep = server_open(&server, ENDPOINT_READ);
    unsigned ms = 0;
    int alive = 0, fd = next_socket(0);
    socklen_t n = sizeof(int);

    REQUIRE(fd >= 0);
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &alive, &n), 0);
    CHECK(alive);
    CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &n), 0);
    CHECK_EQ(ms, 30000);
    CHECK_EQ(endpoint_close(ep), 0);
    server_kill(&server);
}

TEST_MAIN
