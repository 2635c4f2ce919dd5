#include "fs/live/live.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/base/log.h"

struct live {
    atomic_uint refs;
    int fd;
    uint64_t size_bytes;
};

struct live *live_open(int fd, uint64_t size_bytes)
{
    struct live *live = calloc(1, sizeof(*live));

    if (!live)
        return NULL;
    atomic_init(&live->refs, 1);
    live->fd = fd;
    live->size_bytes = size_bytes;
    return live;
}

struct live *live_ref(struct live *live)
{
    atomic_fetch_add_explicit(&live->refs, 1, memory_order_relaxed);
    return live;
}

void live_put(struct live *live)
{
    if (!live || atomic_fetch_sub_explicit(&live->refs, 1, memory_order_acq_rel) != 1)
        return;
    close(live->fd);
    free(live);
}

struct closing {
    struct live *live;
    int told_fd; /* of the same eventfd: nobody may wait for it any more */
};

static void *close_file(void *arg)
{
    OWNED(mem) struct closing *closing = arg;
    OWNED(fd) int told_fd = closing->told_fd;

    live_put(closing->live);
    if (eventfd_write(told_fd, 1) < 0)
        log_say(LOG_ERR, "cannot tell that a volume's data was closed: %s", strerror(errno));
    return NULL;
}

static int start_closing(struct live *live, int fd)
{
    OWNED(mem) struct closing *closing = calloc(1, sizeof(*closing));
    OWNED(fd) int told_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    pthread_t thread;
    int r;

    if (!closing || told_fd < 0)
        return closing ? -errno : -ENOMEM;
    *closing = (struct closing){live, told_fd};
    r = -pthread_create(&thread, NULL, close_file, closing);
    if (r < 0)
        return r;
    pthread_detach(thread);
    take_fd(&told_fd);
    take_ptr(closing);
    return 0;
}

int live_close(struct live *live, int *ret_fd)
{
    OWNED(fd) int fd = eventfd(0, EFD_CLOEXEC);
    int r = fd < 0 ? -errno : start_closing(live, fd);

    if (r < 0)
        live_put(live);
    else
        *ret_fd = take_fd(&fd);
    return r;
}

static size_t within(const struct live *live, size_t n, uint64_t offset)
{
    uint64_t left = offset < live->size_bytes ? live->size_bytes - offset : 0;

    return n < left ? n : (size_t)left;
}

/* Somebody who gets past us may have cut the file off: what is not there any more reads as nothing.
 */
int64_t live_read(struct live *live, void *buf, size_t n, uint64_t offset)
{
    size_t wanted = within(live, n, offset), done;
    int r;

    if (wanted == 0)
        return 0;
    r = io_pread(live->fd, buf, wanted, offset, &done);
    return r < 0 && done == 0 ? r : (int64_t)done;
}

int64_t live_write(struct live *live, const void *buf, size_t n, uint64_t offset)
{
    size_t wanted = within(live, n, offset);
    int r;

    if (wanted == 0 && n > 0)
        return -ENOSPC;
    r = io_pwrite(live->fd, buf, wanted, offset);
    return r < 0 ? r : (int64_t)wanted;
}

int live_sync(struct live *live, bool data_only)
{
    return (data_only ? fdatasync(live->fd) : fsync(live->fd)) < 0 ? -errno : 0;
}

int live_allocate(struct live *live, int mode, uint64_t offset, uint64_t n)
{
    const int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
    int r;

    if (mode & ~known)
        return -EOPNOTSUPP;
    if (offset > live->size_bytes || n > live->size_bytes - offset)
        return -EPERM;
    do
        r = fallocate(live->fd, mode, (off_t)offset, (off_t)n) < 0 ? -errno : 0;
    while (r == -EINTR);
    return r;
}

int64_t live_seek(struct live *live, uint64_t offset, int whence)
{
    off_t found;

    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        return -EINVAL;
    if (offset >= live->size_bytes)
        return -ENXIO;
    found = lseek(live->fd, (off_t)offset, whence);
    if (found < 0)
        return -errno;
    if ((uint64_t)found < live->size_bytes)
        return found;
    return whence == SEEK_HOLE ? (int64_t)live->size_bytes : -ENXIO;
}

bool live_is_ours(struct live *live)
{
    if (fcntl(live->fd, F_GETLEASE) == F_WRLCK)
        return true;
    (void)fcntl(live->fd, F_SETLEASE, F_WRLCK); /* whether it was granted is seen next */
    return fcntl(live->fd, F_GETLEASE) == F_WRLCK;
}
