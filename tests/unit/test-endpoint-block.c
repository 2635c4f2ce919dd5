/* On loop devices, whose files show what became of the bytes. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copy/endpoint/block.h"
#include "copy/endpoint/file.h"
#include "copy/endpoint/pair.h"
#include "copy/endpoint/queue.h"
#include "tests/unit/endpoint-rig.h"
#include "tests/unit/intercept-fallocate.h"

#define GRAIN ENDPOINT_GRAIN_BYTES
#define MIB   (UINT64_C(1) << 20)

static char top[64];

/* Is BLKZEROOUT known to this device, and how often was it asked? */
static bool no_zeroout;
static unsigned n_zeroouts;

int my_ioctl(int fd, unsigned long what, ...) __asm__("ioctl");
int my_ioctl(int fd, unsigned long what, ...)
{
    va_list args;
    long arg;

    va_start(args, what);
    arg = va_arg(args, long);
    va_end(args);
    n_zeroouts += what == BLKZEROOUT ? 1 : 0;
    if (what == BLKZEROOUT && no_zeroout) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_ioctl, fd, what, arg);
}

struct disk {
    char file[128], path[128];
    int fd; /* of the file */
};

/* Full of 0xff. options: losetup's */
static struct disk disk_make(uint64_t size_bytes, const char *options)
{
    static unsigned n;
    struct disk disk;
    char line[512];
    FILE *out;

    snprintf(disk.file, sizeof(disk.file), "%s/disk%u", top, ++n);
    REQUIRE(run_line("head -c %" PRIu64 " /dev/zero | tr '\\0' '\\377' >%s", size_bytes,
                     disk.file) == 0);
    snprintf(line, sizeof(line), "losetup %s --show -f %s", options, disk.file);
    out = popen(line, "r");
    REQUIRE(out && fscanf(out, "%127s", disk.path) == 1 && pclose(out) == 0);
    disk.fd = open(disk.file, O_RDWR | O_CLOEXEC);
    REQUIRE(disk.fd >= 0);
    return disk;
}

static void disk_free(struct disk *disk)
{
    /* The next file on this loop device would inherit it. */
    REQUIRE(run_line("blockdev --setrw %s && losetup -d %s", disk->path, disk->path) == 0);
    close(disk->fd);
    unlink(disk->file);
}

static void clear(void)
{
    run_line("for i in $(losetup -nO NAME,BACK-FILE | awk '$2 ~ \"^%s/\" {print $1}'); do "
             "umount -q $i; blockdev --setrw $i; losetup -d $i; done; rm -rf %s",
             top, top);
}

__attribute__((constructor)) static void prepare(void)
{
    if (geteuid() != 0 || access("/dev/loop-control", R_OK | W_OK) < 0) {
        puts("1..0 # SKIP only root can make loop devices");
        exit(77);
    }
    snprintf(top, sizeof(top), "/tmp/ferryfs-block-XXXXXX");
    REQUIRE(mkdtemp(top));
    atexit(clear);
}

static struct endpoint *open_or_fail(const char *name, enum endpoint_mode mode)
{
    struct endpoint *ep = NULL;
    struct err e = {0};

    if (endpoint_open(name, mode, &ep, &e) < 0)
        printf("# %s\n", e.text);
    REQUIRE(ep);
    return ep;
}

static bool is_all(int fd, uint64_t offset, uint64_t n, unsigned char wanted)
{
    unsigned char *buf = malloc(n);
    bool is = true;

    REQUIRE(buf && pread(fd, buf, n, (off_t)offset) == (ssize_t)n);
    for (uint64_t i = 0; i < n && is; i++)
        is = buf[i] == wanted;
    free(buf);
    return is;
}

static uint64_t allocated(const struct disk *disk)
{
    struct stat st;

    REQUIRE(fsync(disk->fd) == 0 && fstat(disk->fd, &st) == 0);
    return (uint64_t)st.st_blocks * 512;
}

static int is_read_only(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), is = -1;

    REQUIRE(fd >= 0 && ioctl(fd, BLKROGET, &is) == 0);
    close(fd);
    return is;
}

TEST(a_path_that_is_a_device_opens_it)
{
    struct disk disk = disk_make(MIB, "");
    const char *const schemes[] = {"", "file:", "block:"};
    char link[256], name[256];

    snprintf(link, sizeof(link), "%s/link", top);
    REQUIRE(symlink(disk.path, link) == 0);
    for (size_t i = 0; i < 6; i++) {
        struct endpoint *ep;

        snprintf(name, sizeof(name), "%s%s", schemes[i / 2], i % 2 ? link : disk.path);
        ep = open_or_fail(name, ENDPOINT_WRITE);
        CHECK(ep->ops == &block_endpoint);
        CHECK_EQ(endpoint_close(ep), 0);
    }
    unlink(link);
    disk_free(&disk);
}

TEST(what_is_no_device_is_not_opened_as_one)
{
    struct endpoint *ep = NULL;
    struct err e = {0};
    char name[128];

    snprintf(name, sizeof(name), "block:%s/plain", top);
    REQUIRE(run_line("echo x >%s/plain; mkfifo %s/pipe", top, top) == 0);
    CHECK_EQ(endpoint_open(name, ENDPOINT_READ, &ep, &e), -ENOTBLK);
    ep = open_or_fail(name + strlen("block:"), ENDPOINT_READ);
    CHECK(ep->ops == &file_endpoint);
    CHECK_EQ(endpoint_close(ep), 0);
    snprintf(name, sizeof(name), "block:%s/pipe", top);
    CHECK_EQ(endpoint_open(name, ENDPOINT_WRITE, &ep, &e), -ENOTBLK);
    CHECK_EQ(endpoint_open("block:/nowhere", ENDPOINT_READ, &ep, &e), -ENOENT);
    CHECK(strstr(e.text, "/nowhere") != NULL);
}

TEST(a_device_in_use_is_refused)
{
    struct disk disk = disk_make(4 * MIB, "");
    struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_READ), *other = NULL;
    struct err e = {0};

    CHECK_EQ(endpoint_open(disk.path, ENDPOINT_WRITE, &other, &e), -EBUSY);
    CHECK(strstr(e.text, "in use") && strstr(e.text, disk.path));
    CHECK_EQ(endpoint_close(ep), 0);

    REQUIRE(run_line("mkfs.ext4 -q %s && mkdir %s/mnt && mount %s %s/mnt", disk.path, top,
                     disk.path, top) == 0);
    CHECK_EQ(endpoint_open(disk.path, ENDPOINT_WRITE, &other, &e), -EBUSY);
    CHECK_EQ(endpoint_open(disk.path, ENDPOINT_READ, &other, &e), -EBUSY);
    REQUIRE(run_line("umount %s/mnt", top) == 0);
    ep = open_or_fail(disk.path, ENDPOINT_WRITE);
    CHECK_EQ(endpoint_close(ep), 0);
    disk_free(&disk);
}

TEST(a_source_is_read_only_while_it_is_open)
{
    struct disk disk = disk_make(MIB, "");
    int old_writer = open(disk.path, O_WRONLY | O_CLOEXEC);
    struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_READ);

    CHECK_EQ(is_read_only(disk.path), 1);
    CHECK_EQ(endpoint_check_claim(ep), 0);
    CHECK_EQ(write(old_writer, "x", 1), -1);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(endpoint_close(ep), 0);
    CHECK_EQ(is_read_only(disk.path), 0);
    CHECK_EQ(write(old_writer, "x", 1), 1);
    close(old_writer);
    disk_free(&disk);
}

TEST(a_source_that_was_made_writable_is_not_claimed_any_more)
{
    struct disk disk = disk_make(MIB, "");
    struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_READ);

    REQUIRE(run_line("blockdev --setrw %s", disk.path) == 0);
    CHECK_EQ(endpoint_check_claim(ep), -ETXTBSY);
    CHECK_EQ(endpoint_close(ep), 0);
    disk_free(&disk);
}

TEST(a_source_that_was_read_only_stays_so)
{
    struct disk disk = disk_make(MIB, "");
    struct endpoint *ep, *destination = NULL;
    struct err e = {0};

    REQUIRE(run_line("blockdev --setro %s", disk.path) == 0);
    ep = open_or_fail(disk.path, ENDPOINT_READ);
    CHECK_EQ(endpoint_check_claim(ep), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    CHECK_EQ(is_read_only(disk.path), 1);
    CHECK_EQ(endpoint_open(disk.path, ENDPOINT_WRITE, &destination, &e), -EROFS);
    CHECK(strstr(e.text, "read-only") != NULL);
    disk_free(&disk);
}

TEST(a_destination_stays_writable)
{
    struct disk disk = disk_make(MIB, "");
    struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_WRITE);

    CHECK_EQ(is_read_only(disk.path), 0);
    CHECK_EQ(endpoint_check_claim(ep), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    disk_free(&disk);
}

TEST(everything_is_data)
{
    struct disk disk = disk_make(MIB, "");
    struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_READ);

    check_all_data(ep, MIB);
    CHECK_EQ(endpoint_close(ep), 0);
    disk_free(&disk);
}

/* Every byte another than its neighbours. */
static void fill(unsigned char *buf, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf[i] = (unsigned char)(i * 7 + i / 256);
}

static void check_round_trip(uint64_t size_bytes, const char *options)
{
    struct disk disk = disk_make(size_bytes, options);
    struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_WRITE);
    unsigned char *out = aligned_alloc(GRAIN, size_bytes + GRAIN - size_bytes % GRAIN);
    unsigned char *in = aligned_alloc(GRAIN, size_bytes + GRAIN - size_bytes % GRAIN);
    size_t n = 0;

    REQUIRE(out && in);
    fill(out, size_bytes);
    CHECK_EQ(endpoint_check_size(ep, size_bytes), 0);
    CHECK(pair_is_direct(ep));
    CHECK_EQ(endpoint_write(ep, out, size_bytes, 0, &n), 0);
    CHECK_EQ(ep->ops->flush(ep), 0);
    REQUIRE(pread(disk.fd, in, size_bytes, 0) == (ssize_t)size_bytes);
    CHECK(memcmp(in, out, size_bytes) == 0);

    memset(in, 0, size_bytes);
    CHECK_EQ(endpoint_drop(ep), 0);
    CHECK_EQ(endpoint_read(ep, in, size_bytes, 0, &n), 0);
    CHECK(memcmp(in, out, size_bytes) == 0);
    CHECK_EQ(ep->ops->sync(ep), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    free(out);
    free(in);
    disk_free(&disk);
}

TEST(what_is_written_is_on_the_disk_up_to_its_last_sector)
{
    check_round_trip(MIB, "");
    check_round_trip(MIB + 512, "");
    check_round_trip(MIB + 3584, "");
    check_round_trip(MIB, "-b 4096");
}

TEST(parts_of_sectors_can_be_written)
{
    const char *const options[] = {"", "-b 4096"};

    for (size_t i = 0; i < 2; i++) {
        struct disk disk = disk_make(MIB, options[i]);
        struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_WRITE);
        size_t n = 0;

        CHECK_EQ(endpoint_write(ep, "seven b", 7, 10001, &n), 0);
        CHECK_EQ(ep->ops->flush(ep), 0);
        CHECK(is_all(disk.fd, 0, 10001, 0xff));
        CHECK(is_all(disk.fd, 10003, 1, 'v'));
        CHECK(is_all(disk.fd, 10008, MIB - 10008, 0xff));
        CHECK_EQ(endpoint_close(ep), 0);
        disk_free(&disk);
    }
}

TEST(zeroing_frees_space_and_touches_nothing_else)
{
    const char *const options[] = {"", "-b 4096"};

    for (size_t i = 0; i < 2; i++) {
        struct disk disk = disk_make(4 * MIB, options[i]);
        struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_WRITE);

        CHECK(allocated(&disk) >= 4 * MIB);
        CHECK_EQ(endpoint_zero(ep, MIB - 100, 2 * MIB + 300), 0);
        CHECK_EQ(ep->ops->flush(ep), 0);
        CHECK(is_all(disk.fd, 0, MIB - 100, 0xff));
        CHECK(is_all(disk.fd, MIB - 100, 2 * MIB + 300, 0));
        CHECK(is_all(disk.fd, 3 * MIB + 200, MIB - 200, 0xff));
        CHECK(allocated(&disk) <= 2 * MIB + 2 * GRAIN);
        CHECK_EQ(endpoint_zero(ep, 10, 20), 0);
        CHECK_EQ(ep->ops->flush(ep), 0);
        CHECK(is_all(disk.fd, 0, 10, 0xff) && is_all(disk.fd, 10, 20, 0));
        CHECK(is_all(disk.fd, 30, 1000, 0xff));
        CHECK_EQ(endpoint_close(ep), 0);
        disk_free(&disk);
    }
}

static void check_zero_without(int modes, bool zeroout, unsigned punches, unsigned zeroouts)
{
    struct disk disk = disk_make(MIB, "");
    struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_WRITE);

    fallocations.refused = modes;
    no_zeroout = zeroout;
    fallocations.n_calls = n_zeroouts = 0;
    for (uint64_t at = 0; at < 4; at++)
        CHECK_EQ(endpoint_zero(ep, at * 2 * GRAIN, GRAIN), 0);
    fallocations.refused = 0;
    no_zeroout = false;
    CHECK_EQ(fallocations.n_calls, punches);
    CHECK_EQ(n_zeroouts, zeroouts);
    CHECK_EQ(ep->ops->flush(ep), 0);
    for (uint64_t at = 0; at < 4; at++) {
        CHECK(is_all(disk.fd, at * 2 * GRAIN, GRAIN, 0));
        CHECK(is_all(disk.fd, (at * 2 + 1) * GRAIN, GRAIN, 0xff));
    }
    CHECK_EQ(endpoint_close(ep), 0);
    disk_free(&disk);
}

TEST(what_a_device_cannot_do_is_tried_once)
{
    check_zero_without(0, false, 4, 0);
    check_zero_without(FALLOC_FL_PUNCH_HOLE, false, 1, 4);
    check_zero_without(FALLOC_FL_PUNCH_HOLE, true, 1, 1);
}

TEST(a_device_that_is_larger_is_used_up_to_the_size_asked_for)
{
    struct disk disk = disk_make(2 * MIB, "");
    struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_WRITE);

    CHECK_EQ(endpoint_resize(ep, 2 * MIB + 1), -ENOSPC);
    CHECK_EQ(endpoint_check_size(ep, 2 * MIB), 0);
    CHECK_EQ(endpoint_resize(ep, MIB + 1), 0);
    CHECK_EQ(endpoint_check_size(ep, MIB + 1), 0);
    CHECK_EQ(endpoint_zero(ep, 0, MIB + 1), 0);
    CHECK_EQ(ep->ops->flush(ep), 0);
    CHECK(is_all(disk.fd, 0, MIB + 1, 0));
    CHECK(is_all(disk.fd, MIB + 1, MIB - 1, 0xff));
    CHECK_EQ(endpoint_close(ep), 0);
    disk_free(&disk);
}

TEST(a_size_that_changes_is_seen)
{
    struct disk disk = disk_make(2 * MIB, "");
    struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_READ);

    REQUIRE(ftruncate(disk.fd, (off_t)MIB) == 0 && run_line("losetup -c %s", disk.path) == 0);
    CHECK_EQ(endpoint_check_size(ep, 2 * MIB), -ESTALE);
    CHECK_EQ(endpoint_check_size(ep, MIB), 0);
    CHECK_EQ(endpoint_close(ep), 0);
    disk_free(&disk);
}

static void note(struct request *request, int r)
{
    *(int *)request->arg = r;
}

static int transfer(struct queue *queue, struct endpoint *ep, enum request_kind kind, void *buf,
                    size_t n, uint64_t offset)
{
    int r = 1;
    struct request request = {.kind = kind,
                              .ep = ep,
                              .buf = buf,
                              .n_bytes = n,
                              .offset = offset,
                              .done = note,
                              .arg = &r};

    queue_submit(queue, &request);
    while (r > 0)
        queue_wait(queue, UINT64_MAX);
    CHECK_EQ(request.n_done, r == 0 ? n : 0);
    return r;
}

static void check_requests(enum queue_way way)
{
    struct disk disk = disk_make(MIB + 512, "");
    struct endpoint *ep = open_or_fail(disk.path, ENDPOINT_WRITE);
    unsigned char *out = aligned_alloc(GRAIN, MIB + GRAIN), *in = aligned_alloc(GRAIN, MIB + GRAIN);
    struct queue *queue = NULL;

    REQUIRE(out && in && queue_open(1, way, &queue) == 0);
    fill(out, MIB + 512);
    memset(in, 0, MIB + 512);
    CHECK_EQ(transfer(queue, ep, REQUEST_WRITE, out, MIB + 512, 0), 0);
    CHECK_EQ(ep->ops->flush(ep), 0);
    CHECK_EQ(transfer(queue, ep, REQUEST_READ, in, MIB, 0), 0);
    CHECK_EQ(transfer(queue, ep, REQUEST_READ, in + MIB, 512, MIB), 0);
    CHECK(memcmp(in, out, MIB + 512) == 0);
    CHECK_EQ(transfer(queue, ep, REQUEST_READ, in, GRAIN, MIB + 512), -ESTALE);
    queue_close(queue);
    CHECK_EQ(endpoint_close(ep), 0);
    free(out);
    free(in);
    disk_free(&disk);
}

TEST(requests_do_the_same)
{
    struct queue *queue = NULL;

    check_requests(QUEUE_THREADS);
    if (queue_open(1, QUEUE_URING, &queue) == 0)
        check_requests(QUEUE_URING);
    queue_close(queue);
}

TEST_MAIN
