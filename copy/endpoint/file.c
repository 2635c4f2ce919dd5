/*
 * A pair of descriptors (pair.h), the account that a file system keeps of holes, and a claim.
 */
#include "copy/endpoint/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "copy/base/cleanup.h"
#include "copy/endpoint/pair.h"

struct file {
    struct pair pair;
    enum file_claim claim;
    struct timespec mtime; /* FILE_TIMED */
    atomic_uint zero_way;  /* the first of zero_ways that was not refused */
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
    int r = pair_deinit(&file_of(ep)->pair);

    free(ep);
    return r;
}

static int file_size(struct endpoint *ep, uint64_t *ret_bytes)
{
    struct stat st;

    if (fstat(file_of(ep)->pair.fd, &st) < 0)
        return -errno;
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

/* Nothing else begins behind it: it goes up to the end, unless the file has shrunk. */
static int extent_to_end(struct endpoint *ep, uint64_t offset, bool hole, uint64_t *ret_end,
                         bool *ret_hole)
{
    uint64_t size_bytes;
    int r = file_size(ep, &size_bytes);

    if (r < 0)
        return r;
    if (offset >= size_bytes)
        return -ESTALE;
    *ret_end = size_bytes;
    *ret_hole = hole;
    return 0;
}

static int file_extent(struct endpoint *ep, uint64_t offset, uint64_t *ret_end, bool *ret_hole)
{
    int fd = file_of(ep)->pair.fd;
    off_t data, hole;

    data = lseek(fd, (off_t)offset, SEEK_DATA);
    if (data < 0 && errno == ENXIO)
        return extent_to_end(ep, offset, true, ret_end, ret_hole);
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
    if (hole < 0 && errno == ENXIO) /* btrfs knows of none at the end of the largest file */
        return extent_to_end(ep, offset, false, ret_end, ret_hole);
    if (hole < 0)
        return -errno;
    *ret_end = (uint64_t)hole;
    *ret_hole = false;
    return 0;
}

/* A block that is only cut at the end of the file is freed too: past it there is nothing to keep.
 */
static uint64_t zero_length(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    uint64_t size_bytes, end = offset + n_bytes;

    if (file_size(ep, &size_bytes) < 0 || end < size_bytes)
        return n_bytes;
    end += (ENDPOINT_GRAIN_BYTES - end % ENDPOINT_GRAIN_BYTES) % ENDPOINT_GRAIN_BYTES;
    return end <= INT64_MAX ? end - offset : n_bytes;
}

static int file_zero(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    struct file *file = file_of(ep);
    off_t length = (off_t)zero_length(ep, offset, n_bytes);

    for (;;) {
        unsigned way = atomic_load_explicit(&file->zero_way, memory_order_relaxed);

        if (way >= ARRAY_N(zero_ways))
            return -EOPNOTSUPP;
        if (fallocate(file->pair.fd, zero_ways[way], (off_t)offset, length) == 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno != EOPNOTSUPP && errno != ENOSYS)
            return -errno;
        atomic_compare_exchange_strong(&file->zero_way, &way, way + 1);
    }
}

/* Of what the two of them say, only this would befall reading and writing too. */
static bool is_fault(int error)
{
    return error == EIO || error == ENOSPC || error == EDQUOT;
}

/* The length is given even up to the end, where 0 is allowed: it is the end that was asked for, if
 * the source should grow meanwhile. */
static int file_clone(struct endpoint *ep, struct endpoint *source, uint64_t offset,
                      uint64_t n_bytes)
{
    struct file_clone_range range = {
        .src_offset = offset, .src_length = n_bytes, .dest_offset = offset};

    if (n_bytes == 0)
        return 0;
    if (source->ops != &file_endpoint)
        return -EOPNOTSUPP;
    range.src_fd = file_of(source)->pair.fd;
    while (ioctl(file_of(ep)->pair.fd, FICLONERANGE, &range) < 0) {
        if (errno != EINTR)
            return is_fault(errno) ? -errno : -EOPNOTSUPP;
    }
    return 0;
}

static int check_lease(const struct file *file)
{
    int lease = fcntl(file->pair.fd, F_GETLEASE);

    if (lease < 0)
        return -errno;
    return lease == F_RDLCK ? 0 : -ETXTBSY;
}

static int check_mtime(const struct file *file)
{
    struct stat st;

    if (fstat(file->pair.fd, &st) < 0)
        return -errno;
    return st.st_mtim.tv_sec == file->mtime.tv_sec && st.st_mtim.tv_nsec == file->mtime.tv_nsec
               ? 0
               : -ETXTBSY;
}

static int file_check_claim(struct endpoint *ep)
{
    static int (*const checks[])(const struct file *file) = {
        [FILE_LEASED] = check_lease,
        [FILE_TIMED] = check_mtime,
    };
    const struct file *file = file_of(ep);

    return file->claim == FILE_UNCLAIMED ? 0 : checks[file->claim](file);
}

int file_endpoint_wrap(int fd, enum endpoint_mode mode, struct endpoint **ret)
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
    pair_init(&file->pair, &file_endpoint, mode, fd);
    *ret = &file->pair.ep;
    return 0;
}

int file_endpoint_set_claim(struct endpoint *ep, enum file_claim claim)
{
    struct file *file = file_of(ep);
    struct stat st;

    if (claim == FILE_TIMED && file->claim != FILE_TIMED) {
        if (fstat(file->pair.fd, &st) < 0)
            return -errno;
        file->mtime = st.st_mtim;
    }
    file->claim = claim;
    return 0;
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
    r = file_endpoint_wrap(fd, mode, ret);
    if (r < 0)
        return err_set(e, -r, "cannot use %s: %s", address, strerror(-r));
    file_of(*ret)->pair.owns_fd = true;
    take_fd(&fd);
    return 0;
}

const struct endpoint_ops file_endpoint = {
    .scheme = "file",
    .open = file_open,
    .close = file_close,
    .size = file_size,
    .extent = file_extent,
    .pread = pair_pread,
    .pwrite = pair_pwrite,
    .zero = file_zero,
    .flush = pair_flush,
    .sync = pair_sync,
    .drop = pair_drop,
    .fd = pair_fd,
    .clone = file_clone,
    .check_claim = file_check_claim,
};
