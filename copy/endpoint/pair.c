/*
 * Direct reads see what others wrote through the page cache: the kernel writes back and waits for
 * the dirty pages of a range before it reads the range past them. What a failed write-back leaves
 * behind is the exception (clean pages that the disk never got), so whoever read a source directly
 * asks its `flush` in the end, which tells of every such failure.
 *
 * What is cached of a source is taken from the cache: that asks no disk and does not make the
 * kernel write back first. What is read back of a destination never is.
 *
 * An error is kept per open file description: a flush always asks both, even if the first one
 * failed, or the second would tell of the same failure at the next flush. Source:
 * Documentation/core-api/errseq (mapping errors), fsync(2).
 */
#include "copy/endpoint/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "copy/base/cleanup.h"

static struct pair *pair_of(struct endpoint *ep)
{
    return (struct pair *)ep;
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

void pair_init(struct pair *pair, const struct endpoint_ops *ops, enum endpoint_mode mode, int fd)
{
    pair->ep = (struct endpoint){.ops = ops, .mode = mode};
    pair->fd = fd;
    pair->owns_fd = false;
    pair->direct_fd = open_direct(fd, mode);
    atomic_init(&pair->direct_off, false);
    if (mode == ENDPOINT_READ && pair->direct_fd >= 0)
        cached_init(&pair->cached, fd);
}

int pair_deinit(struct pair *pair)
{
    int r = 0;

    if (pair->direct_fd >= 0 && close(pair->direct_fd) < 0)
        r = -errno;
    if (pair->owns_fd && close(pair->fd) < 0)
        r = -errno;
    return r;
}

/* How much of a transfer can pass the page cache by; 0: none. */
static size_t direct_part(struct pair *pair, const void *buf, size_t n, uint64_t offset)
{
    if (!pair_is_direct(&pair->ep))
        return 0;
    if (((uintptr_t)buf | offset) % ENDPOINT_GRAIN_BYTES != 0)
        return 0;
    return n - n % ENDPOINT_GRAIN_BYTES;
}

/* Of what can be read directly: had it better be read through the page cache? */
static bool is_cached(struct pair *pair, size_t n, uint64_t offset)
{
    return pair->ep.mode == ENDPOINT_READ && cached_holds(&pair->cached, offset, n);
}

/* Direct I/O failed: will the page cache do? Of a source, anything that it still holds. What is
 * read back of a destination must come from the disk. */
static bool falls_back(struct pair *pair, int error)
{
    if (error == EINVAL || error == EOPNOTSUPP) {
        atomic_store_explicit(&pair->direct_off, true, memory_order_relaxed);
        return true;
    }
    return pair->ep.mode == ENDPOINT_READ && error != EINTR;
}

int pair_pread(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    struct pair *pair = pair_of(ep);
    size_t n_direct = direct_part(pair, buf, n, offset);
    ssize_t got = -1;

    if (n_direct > 0 && !is_cached(pair, n, offset)) {
        got = pread(pair->direct_fd, buf, n_direct, (off_t)offset);
        if (got < 0 && !falls_back(pair, errno))
            return -errno;
    }
    if (got < 0)
        got = pread(pair->fd, buf, n, (off_t)offset);
    if (got < 0)
        return -errno;
    *ret_n = (size_t)got;
    return 0;
}

int pair_pwrite(struct endpoint *ep, const void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    struct pair *pair = pair_of(ep);
    size_t n_direct = direct_part(pair, buf, n, offset);
    ssize_t put = -1;

    if (n_direct > 0) {
        put = pwrite(pair->direct_fd, buf, n_direct, (off_t)offset);
        if (put < 0 && !falls_back(pair, errno))
            return -errno;
    }
    if (put < 0)
        put = pwrite(pair->fd, buf, n, (off_t)offset);
    if (put < 0)
        return -errno;
    *ret_n = (size_t)put;
    return 0;
}

/* Source: fsync(2), EINVAL: file systems that are only read (isofs, squashfs) may know no fsync,
 * and nothing there waits to be written. */
static int flush_one(const struct pair *pair, int fd, int (*flush)(int fd))
{
    if (flush(fd) == 0 || (errno == EINVAL && pair->ep.mode == ENDPOINT_READ))
        return 0;
    return -errno;
}

static int flush_both(struct endpoint *ep, int (*flush)(int fd))
{
    struct pair *pair = pair_of(ep);
    int r = flush_one(pair, pair->fd, flush), r_direct = 0;

    if (pair->direct_fd >= 0)
        r_direct = flush_one(pair, pair->direct_fd, flush);
    return r < 0 ? r : r_direct;
}

int pair_flush(struct endpoint *ep)
{
    return flush_both(ep, fdatasync);
}

int pair_sync(struct endpoint *ep)
{
    return flush_both(ep, fsync);
}

/* Of a range the kernel would keep the folios that reach beyond it, and a last page cut short. */
int pair_drop(struct endpoint *ep)
{
    return -posix_fadvise(pair_of(ep)->fd, 0, 0, POSIX_FADV_DONTNEED);
}

bool pair_is_direct(const struct endpoint *ep)
{
    const struct pair *pair = (const struct pair *)ep;

    return pair->direct_fd >= 0 && !atomic_load_explicit(&pair->direct_off, memory_order_relaxed);
}

/* A thread makes two transfers of what ends in the middle of a grain. */
int pair_fd(struct endpoint *ep, bool read, const void *buf, size_t n, uint64_t offset)
{
    struct pair *pair = pair_of(ep);

    if (!pair_is_direct(ep) || (read && is_cached(pair, n, offset)))
        return pair->fd;
    return direct_part(pair, buf, n, offset) == n ? pair->direct_fd : -1;
}
