#include "copy/endpoint/block.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "copy/base/cleanup.h"
#include "copy/endpoint/pair.h"

struct block {
    struct pair pair;
    uint64_t room_bytes;  /* of the device, at most this much is used */
    uint64_t unit_bytes;  /* a logical block */
    bool held_still;      /* read-only as long as it is copied */
    bool set_read_only;   /* by us */
    atomic_uint zero_way; /* the first of zero_ways that was not refused */
};

static struct block *block_of(struct endpoint *ep)
{
    return (struct block *)ep;
}

static int zero_by_punching(int fd, uint64_t offset, uint64_t n_bytes)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)n_bytes);
}

static int zero_by_zeroout(int fd, uint64_t offset, uint64_t n_bytes)
{
    uint64_t range[] = {offset, n_bytes};

    return ioctl(fd, BLKZEROOUT, range);
}

static int (*const zero_ways[])(int fd, uint64_t offset, uint64_t n_bytes) = {
    zero_by_punching,
    zero_by_zeroout,
};

static int block_zero(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    struct block *block = block_of(ep);

    for (;;) {
        unsigned way = atomic_load_explicit(&block->zero_way, memory_order_relaxed);

        if (way >= ARRAY_N(zero_ways))
            return -EOPNOTSUPP;
        if (zero_ways[way](block->pair.fd, offset, n_bytes) == 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno != EOPNOTSUPP && errno != ENOSYS && errno != ENOTTY)
            return -errno;
        atomic_compare_exchange_strong(&block->zero_way, &way, way + 1);
    }
}

static uint64_t block_zero_unit(const struct endpoint *ep)
{
    return ((const struct block *)ep)->unit_bytes;
}

static int block_size(struct endpoint *ep, uint64_t *ret_bytes)
{
    struct block *block = block_of(ep);
    uint64_t size_bytes;

    if (ioctl(block->pair.fd, BLKGETSIZE64, &size_bytes) < 0)
        return -errno;
    *ret_bytes = size_bytes < block->room_bytes ? size_bytes : block->room_bytes;
    return 0;
}

static int block_resize(struct endpoint *ep, uint64_t size_bytes)
{
    struct block *block = block_of(ep);
    uint64_t device_bytes;

    if (ioctl(block->pair.fd, BLKGETSIZE64, &device_bytes) < 0)
        return -errno;
    if (size_bytes > device_bytes)
        return -ENOSPC;
    block->room_bytes = size_bytes;
    return 0;
}

static int block_check_claim(struct endpoint *ep)
{
    struct block *block = block_of(ep);
    int read_only;

    if (!block->held_still)
        return 0;
    if (ioctl(block->pair.fd, BLKROGET, &read_only) < 0)
        return -errno;
    return read_only ? 0 : -ETXTBSY;
}

/* The writers of a source get EPERM from now on, those of before too. A destination that is
 * read-only can be opened all the same, and would refuse the first write. */
static int hold_still(struct block *block, const char *path, struct err *e)
{
    int read_only, yes = 1;

    if (ioctl(block->pair.fd, BLKROGET, &read_only) < 0)
        return err_set(e, errno, "cannot ask whether %s is read-only: %s", path, strerror(errno));
    if (block->pair.ep.mode == ENDPOINT_WRITE)
        return read_only
                   ? err_set(e, EROFS, "%s is read-only (blockdev --setrw changes that)", path)
                   : 0;
    if (!read_only)
        block->set_read_only = ioctl(block->pair.fd, BLKROSET, &yes) == 0;
    block->held_still = read_only || block->set_read_only;
    if (!block->held_still && errno != EACCES && errno != EPERM)
        return err_set(e, errno, "cannot set %s read-only: %s", path, strerror(errno));
    return 0;
}

static int block_close(struct endpoint *ep)
{
    struct block *block = block_of(ep);
    int no = 0, r = 0, r_close;

    if (block->set_read_only && ioctl(block->pair.fd, BLKROSET, &no) < 0)
        r = -errno;
    r_close = pair_deinit(&block->pair);
    free(block);
    return r < 0 ? r : r_close;
}

static int open_device(const char *path, enum endpoint_mode mode, struct err *e)
{
    static const int flags[] = {[ENDPOINT_READ] = O_RDONLY, [ENDPOINT_WRITE] = O_RDWR};
    struct stat st;
    int fd;

    /* Looked at first: merely to open another kind of thing can do something. */
    if (stat(path, &st) < 0)
        return err_set(e, errno, "cannot open %s: %s", path, strerror(errno));
    if (!S_ISBLK(st.st_mode))
        return err_set(e, ENOTBLK, "%s is no block device", path);
    fd = open(path, flags[mode] | O_EXCL | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && errno == EBUSY)
        return err_set(
            e, EBUSY, "%s is in use: mounted, or claimed by LVM, RAID, swap or another copy", path);
    if (fd < 0)
        return err_set(e, errno, "cannot open %s: %s", path, strerror(errno));
    return fd;
}

/* O_EXCL keeps out what claims devices; QEMU and others lock what they use. */
static int lock_device(int fd, const char *path, struct err *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES))
        return 0;
    return err_set(e, EBUSY, "%s is in use: another program has locked it", path);
}

static int block_open(const char *address, enum endpoint_mode mode, struct endpoint **ret,
                      struct err *e)
{
    OWNED(endpoint) struct endpoint *ep = NULL;
    OWNED(fd) int fd = open_device(address, mode, e);
    struct block *block;
    int unit, r;

    if (fd < 0)
        return fd;
    r = mode == ENDPOINT_WRITE ? lock_device(fd, address, e) : 0;
    if (r < 0)
        return r;
    if (ioctl(fd, BLKSSZGET, &unit) < 0)
        return err_set(e, errno, "cannot use %s: %s", address, strerror(errno));
    block = calloc(1, sizeof(*block));
    if (!block)
        return err_set(e, ENOMEM, "no memory");
    ep = &block->pair.ep;
    pair_init(&block->pair, &block_endpoint, mode, take_fd(&fd));
    block->pair.owns_fd = true;
    block->room_bytes = UINT64_MAX;
    block->unit_bytes = (uint64_t)unit;
    r = hold_still(block, address, e);
    if (r < 0)
        return r;
    *ret = take_ptr(ep);
    return 0;
}

const struct endpoint_ops block_endpoint = {
    .scheme = "block",
    .file_type = S_IFBLK,
    .open = block_open,
    .close = block_close,
    .size = block_size,
    .resize = block_resize,
    .pread = pair_pread,
    .pwrite = pair_pwrite,
    .zero = block_zero,
    .zero_unit = block_zero_unit,
    .flush = pair_flush,
    .sync = pair_sync,
    .drop = pair_drop,
    .fd = pair_fd,
    .check_claim = block_check_claim,
};
