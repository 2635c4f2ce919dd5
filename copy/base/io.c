#include "copy/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "copy/base/cleanup.h"

#define NS_PER_S        UINT64_C(1000000000)
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

/* offset is NULL at the place where the descriptor stands. */
static int read_all(int fd, void *buf, size_t n, const uint64_t *offset, size_t *ret_n)
{
    size_t done = 0;
    int r = 0;

    while (done < n) {
        char *to = (char *)buf + done;
        ssize_t got =
            offset ? pread(fd, to, n - done, (off_t)(*offset + done)) : read(fd, to, n - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            r = -errno;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    if (ret_n)
        *ret_n = done;
    else if (r == 0 && done < n)
        r = -ENODATA;
    return r;
}

static int write_all(int fd, const void *buf, size_t n, const uint64_t *offset)
{
    size_t done = 0;

    while (done < n) {
        const char *from = (const char *)buf + done;
        ssize_t put = offset ? pwrite(fd, from, n - done, (off_t)(*offset + done))
                             : write(fd, from, n - done);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        if (put == 0)
            return -EIO;
        done += (size_t)put;
    }
    return 0;
}

static bool is_in_a_file(uint64_t offset, size_t n)
{
    uint64_t end;

    return !__builtin_add_overflow(offset, n, &end) && end <= INT64_MAX;
}

int io_read(int fd, void *buf, size_t n, size_t *ret_n)
{
    return read_all(fd, buf, n, NULL, ret_n);
}

int io_write(int fd, const void *buf, size_t n)
{
    return write_all(fd, buf, n, NULL);
}

int io_pread(int fd, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    if (ret_n)
        *ret_n = 0;
    return is_in_a_file(offset, n) ? read_all(fd, buf, n, &offset, ret_n) : -EINVAL;
}

int io_pwrite(int fd, const void *buf, size_t n, uint64_t offset)
{
    return is_in_a_file(offset, n) ? write_all(fd, buf, n, &offset) : -EINVAL;
}

static int open_component(int dirfd, const char *name, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .mode = flags & (O_CREAT | O_TMPFILE) & ~O_DIRECTORY ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    long fd;

    if (strchr(name, '/'))
        return -EINVAL;
    do {
        fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : (int)fd;
}

int io_open_beneath(int dirfd, const char *name, int flags, mode_t mode)
{
    /* openat2 allows O_PATH little company, and with O_NOFOLLOW it would yield the symlink itself.
     */
    if (!(flags & O_PATH))
        flags |= O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    return open_component(dirfd, name, flags, mode);
}

/* Open for use what is held by O_PATH. A lease on it must not make us wait, hence O_NONBLOCK; later
 * it is gone again, because io_uring gives it a meaning on files too. */
static int reopen(int held, int flags)
{
    OWNED(fd) int fd = -1;
    char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
    do {
        fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
        return -errno;
    return take_fd(&fd);
}

int io_open_regular(int dirfd, const char *name, int flags)
{
    OWNED(fd) int held = -1;
    struct stat st;

    held = open_component(dirfd, name, O_PATH | O_NOFOLLOW, 0);
    if (held < 0)
        return held;
    if (fstat(held, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EMEDIUMTYPE;
    if (st.st_nlink > 1)
        return -EMLINK;
    return reopen(held, flags);
}

struct io_identity io_identity_of(const struct statx *stx)
{
    struct io_identity identity = {.ino = stx->stx_ino};

    if (stx->stx_mask & STATX_BTIME)
        identity.btime_ns = (uint64_t)stx->stx_btime.tv_sec * NS_PER_S + stx->stx_btime.tv_nsec;
    return identity;
}

int io_identify(int fd, struct io_identity *ret)
{
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &stx) < 0)
        return -errno;
    *ret = io_identity_of(&stx);
    return 0;
}

static struct timespec time_of(const struct statx_timestamp *t)
{
    return (struct timespec){.tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec};
}

static struct stat stat_of(const struct statx *stx)
{
    return (struct stat){
        .st_dev = makedev(stx->stx_dev_major, stx->stx_dev_minor),
        .st_rdev = makedev(stx->stx_rdev_major, stx->stx_rdev_minor),
        .st_ino = stx->stx_ino,
        .st_mode = stx->stx_mode,
        .st_nlink = stx->stx_nlink,
        .st_uid = stx->stx_uid,
        .st_gid = stx->stx_gid,
        .st_size = (off_t)stx->stx_size,
        .st_blksize = (blksize_t)stx->stx_blksize,
        .st_blocks = (blkcnt_t)stx->stx_blocks,
        .st_atim = time_of(&stx->stx_atime),
        .st_mtim = time_of(&stx->stx_mtime),
        .st_ctim = time_of(&stx->stx_ctime),
    };
}

int io_identify_at(int dirfd, const char *name, struct io_identity *ret, struct stat *ret_st)
{
    struct statx stx;

    if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME,
              &stx) < 0)
        return -errno;
    *ret = io_identity_of(&stx);
    if (ret_st)
        *ret_st = stat_of(&stx);
    return 0;
}

bool io_same(const struct io_identity *a, const struct io_identity *b)
{
    return a->ino == b->ino && a->btime_ns == b->btime_ns;
}

int io_sync(int fd)
{
    int r;

    do {
        r = fsync(fd);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

/* CMSG_LEN and not CMSG_SPACE is what the kernel is told on receiving: the padding of the latter
 * would hold a second descriptor, which would leak. */
union one_descriptor {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

int io_send(int sock, const void *msg, size_t n, int fd)
{
    union one_descriptor control = {0};
    struct iovec iov = {.iov_len = n};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t sent;

    memcpy(&iov.iov_base, &msg, sizeof(msg)); /* sendmsg only reads it, whatever the type says */
    if (fd >= 0) {
        hdr.msg_control = &control;
        hdr.msg_controllen = sizeof(control.space);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    do {
        sent = sendmsg(sock, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static int receive(int sock, void *msg, size_t cap, int flags, size_t *ret_n, int *ret_fd)
{
    union one_descriptor control = {0};
    struct iovec iov = {.iov_base = msg, .iov_len = cap};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
    OWNED(fd) int fd = -1;
    struct cmsghdr *c;
    ssize_t got;

    do {
        hdr.msg_controllen = CMSG_LEN(sizeof(int));
        got = recvmsg(sock, &hdr, flags | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    c = CMSG_FIRSTHDR(&hdr);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    if (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return -EMSGSIZE;
    *ret_n = (size_t)got;
    *ret_fd = take_fd(&fd);
    return 0;
}

int io_receive(int sock, void *msg, size_t cap, size_t *ret_n, int *ret_fd)
{
    return receive(sock, msg, cap, 0, ret_n, ret_fd);
}

int io_wrap(int fd)
{
    int pair[2], r;

    if (fd < 0)
        return -EBADF;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    r = io_send(pair[0], "", 1, fd);
    close(pair[0]);
    if (r == 0)
        return pair[1];
    close(pair[1]);
    return r;
}

static int unwrap(int fd, int flags)
{
    struct stat st;
    char byte;
    size_t n;
    int r, file = -1;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISSOCK(st.st_mode))
        return fd;
    r = receive(fd, &byte, 1, MSG_DONTWAIT | flags, &n, &file);
    if (r == 0 && file < 0)
        r = -EBADMSG;
    return r < 0 ? r : file;
}

int io_unwrap(int fd)
{
    return unwrap(fd, MSG_PEEK);
}

int io_unwrap_last(int fd)
{
    return unwrap(fd, 0);
}

void *io_buffers(size_t n_bytes)
{
    size_t whole = (n_bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    void *buffers = whole < n_bytes ? NULL : aligned_alloc(HUGE_PAGE_BYTES, whole);

    if (buffers)
        madvise(buffers, whole, MADV_HUGEPAGE); /* a wish */
    return buffers;
}

uint64_t io_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t io_spent_ns(pthread_t thread)
{
    struct timespec spent = {0};
    clockid_t clock;

    if (pthread_getcpuclockid(thread, &clock) == 0)
        clock_gettime(clock, &spent);
    return (uint64_t)spent.tv_sec * NS_PER_S + (uint64_t)spent.tv_nsec;
}
