/*
 * Two descriptors of one file. Direct reads see what others wrote through the page cache: the
 * kernel writes back and waits for the dirty pages of a range before it reads the range past them.
 * What a failed write-back leaves behind is the exception (clean pages that the disk never got), so
 * whoever read a source directly asks its `flush` in the end, which tells of every such failure.
 *
 * An error is kept per open file description: a flush always asks both, even if the first one
 * failed, or the second would tell of the same failure at the next flush. Source:
 * Documentation/core-api/errseq (mapping errors), fsync(2).
 */
#include "copy/endpoint/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "copy/base/cleanup.h"

struct file {
    struct endpoint ep;
    int fd;
    int direct_fd; /* -1: the file system has no direct I/O */
    bool owns_fd;  /* opened by path */
    bool leased;
    atomic_bool direct_off; /* refused in the middle: from now on everything is buffered */
    atomic_uint zero_way;   /* the first of zero_ways that was not refused */
};

static const int zero_ways[] = {
    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
};

static struct file *file_of(struct endpoint *ep)
{
    return (struct file *)ep;
}

static int file_close(struct endpoint *ep)
{
    struct file *file = file_of(ep);
    int r = 0;

    if (file->direct_fd >= 0 && close(file->direct_fd) < 0)
        r = -errno;
    if (file->owns_fd && close(file->fd) < 0)
        r = -errno;
    free(file);
    return r;
}

static int file_size(struct endpoint *ep, uint64_t *ret_bytes)
{
    struct stat st;

    if (fstat(file_of(ep)->fd, &st) < 0)
        return -errno;
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

/* Past the last data: a hole up to the end, unless the file has shrunk. */
static int extent_to_end(struct endpoint *ep, uint64_t offset, uint64_t *ret_end, bool *ret_hole)
{
    uint64_t size_bytes;
    int r = file_size(ep, &size_bytes);

    if (r < 0)
        return r;
    if (offset >= size_bytes)
        return -ESTALE;
    *ret_end = size_bytes;
    *ret_hole = true;
    return 0;
}

static int file_extent(struct endpoint *ep, uint64_t offset, uint64_t *ret_end, bool *ret_hole)
{
    int fd = file_of(ep)->fd;
    off_t data, hole;

    data = lseek(fd, (off_t)offset, SEEK_DATA);
    if (data < 0 && errno == ENXIO)
        return extent_to_end(ep, offset, ret_end, ret_hole);
    if (data < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) {
        *ret_hole = false; /* nobody keeps account of holes here */
        return file_size(ep, ret_end);
    }
    if (data < 0)
        return -errno;
    if ((uint64_t)data > offset) {
        *ret_end = (uint64_t)data;
        *ret_hole = true;
        return 0;
    }
    hole = lseek(fd, (off_t)offset, SEEK_HOLE);
    if (hole < 0)
        return errno == ENXIO ? -ESTALE : -errno;
    *ret_end = (uint64_t)hole;
    *ret_hole = false;
    return 0;
}

/* How much of a transfer can pass the page cache by; 0: none. */
static size_t direct_part(struct file *file, const void *buf, size_t n, uint64_t offset)
{
    if (file->direct_fd < 0 || atomic_load_explicit(&file->direct_off, memory_order_relaxed))
        return 0;
    if (((uintptr_t)buf | offset) % ENDPOINT_GRAIN_BYTES != 0)
        return 0;
    return n - n % ENDPOINT_GRAIN_BYTES;
}

/* Direct I/O failed: will the page cache do? Of a source, anything that it still holds. What is
 * read back of a destination must come from the disk. */
static bool falls_back(struct file *file, int error)
{
    if (error == EINVAL || error == EOPNOTSUPP) {
        atomic_store_explicit(&file->direct_off, true, memory_order_relaxed);
        return true;
    }
    return file->ep.mode == ENDPOINT_READ && error != EINTR;
}

static int file_pread(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    struct file *file = file_of(ep);
    size_t n_direct = direct_part(file, buf, n, offset);
    ssize_t got = -1;

    if (n_direct > 0) {
        got = pread(file->direct_fd, buf, n_direct, (off_t)offset);
        if (got < 0 && !falls_back(file, errno))
            return -errno;
    }
    if (got < 0)
        got = pread(file->fd, buf, n, (off_t)offset);
    if (got < 0)
        return -errno;
    *ret_n = (size_t)got;
    return 0;
}

static int file_pwrite(struct endpoint *ep, const void *buf, size_t n, uint64_t offset,
                       size_t *ret_n)
{
    struct file *file = file_of(ep);
    size_t n_direct = direct_part(file, buf, n, offset);
    ssize_t put = -1;

    if (n_direct > 0) {
        put = pwrite(file->direct_fd, buf, n_direct, (off_t)offset);
        if (put < 0 && !falls_back(file, errno))
            return -errno;
    }
    if (put < 0)
        put = pwrite(file->fd, buf, n, (off_t)offset);
    if (put < 0)
        return -errno;
    *ret_n = (size_t)put;
    return 0;
}

/* A block that is only cut at the end of the file is freed too: past it there is nothing to keep.
 */
static uint64_t zero_length(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    uint64_t size_bytes, end = offset + n_bytes;

    if (file_size(ep, &size_bytes) < 0 || end < size_bytes)
        return n_bytes;
    return n_bytes + (ENDPOINT_GRAIN_BYTES - end % ENDPOINT_GRAIN_BYTES) % ENDPOINT_GRAIN_BYTES;
}

static int file_zero(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    struct file *file = file_of(ep);
    off_t length = (off_t)zero_length(ep, offset, n_bytes);

    for (;;) {
        unsigned way = atomic_load_explicit(&file->zero_way, memory_order_relaxed);

        if (way >= ARRAY_N(zero_ways))
            return -EOPNOTSUPP;
        if (fallocate(file->fd, zero_ways[way], (off_t)offset, length) == 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno != EOPNOTSUPP && errno != ENOSYS)
            return -errno;
        atomic_compare_exchange_strong(&file->zero_way, &way, way + 1);
    }
}

static int flush_both(struct endpoint *ep, int (*flush)(int fd))
{
    struct file *file = file_of(ep);
    int r = 0;

    if (flush(file->fd) < 0)
        r = -errno;
    if (file->direct_fd >= 0 && flush(file->direct_fd) < 0 && r == 0)
        r = -errno;
    return r;
}

static int file_flush(struct endpoint *ep)
{
    return flush_both(ep, fdatasync);
}

static int file_sync(struct endpoint *ep)
{
    return flush_both(ep, fsync);
}

static int file_drop(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    return -posix_fadvise(file_of(ep)->fd, (off_t)offset, (off_t)n_bytes, POSIX_FADV_DONTNEED);
}

static bool file_is_direct(const struct endpoint *ep)
{
    const struct file *file = (const struct file *)ep;

    return file->direct_fd >= 0 && !atomic_load_explicit(&file->direct_off, memory_order_relaxed);
}

static int file_check_claim(struct endpoint *ep)
{
    struct file *file = file_of(ep);
    int lease;

    if (!file->leased)
        return 0;
    lease = fcntl(file->fd, F_GETLEASE);
    if (lease < 0)
        return -errno;
    return lease == F_RDLCK ? 0 : -ETXTBSY;
}

/*
 * The same file once more, with O_DIRECT: set by F_SETFL it would change the description that
 * others share. A file system may accept the flag and refuse the transfer, so one is tried.
 */
static int open_direct(int fd, enum endpoint_mode mode)
{
    static const int flags[] = {[ENDPOINT_READ] = O_RDONLY, [ENDPOINT_WRITE] = O_RDWR};
    OWNED(mem) void *buf = aligned_alloc(ENDPOINT_GRAIN_BYTES, ENDPOINT_GRAIN_BYTES);
    OWNED(fd) int direct_fd = -1;
    char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    direct_fd = open(path, flags[mode] | O_DIRECT | O_CLOEXEC | O_NONBLOCK);
    if (!buf || direct_fd < 0 || pread(direct_fd, buf, ENDPOINT_GRAIN_BYTES, 0) < 0)
        return -1;
    return take_fd(&direct_fd);
}

int file_endpoint_wrap(int fd, enum endpoint_mode mode, bool leased, struct endpoint **ret)
{
    struct file *file;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EMEDIUMTYPE;
    file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    *file = (struct file){.ep = {&file_endpoint, mode}, .fd = fd, .leased = leased};
    file->direct_fd = open_direct(fd, mode);
    *ret = &file->ep;
    return 0;
}

void file_endpoint_set_leased(struct endpoint *ep, bool leased)
{
    file_of(ep)->leased = leased;
}

static int file_open(const char *address, enum endpoint_mode mode, struct endpoint **ret,
                     struct err *e)
{
    static const int flags[] = {[ENDPOINT_READ] = O_RDONLY, [ENDPOINT_WRITE] = O_RDWR};
    OWNED(fd) int fd = -1;
    int r;

    fd = open(address, flags[mode] | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_set(e, errno, "cannot open %s: %s", address, strerror(errno));
    r = file_endpoint_wrap(fd, mode, false, ret);
    if (r < 0)
        return err_set(e, -r, "cannot use %s: %s", address, strerror(-r));
    file_of(*ret)->owns_fd = true;
    take_fd(&fd);
    return 0;
}

const struct endpoint_ops file_endpoint = {
    .scheme = "file",
    .open = file_open,
    .close = file_close,
    .size = file_size,
    .extent = file_extent,
    .pread = file_pread,
    .pwrite = file_pwrite,
    .zero = file_zero,
    .flush = file_flush,
    .sync = file_sync,
    .drop = file_drop,
    .is_direct = file_is_direct,
    .check_claim = file_check_claim,
};
