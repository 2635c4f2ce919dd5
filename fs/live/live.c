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
    int told_fd; /* an eventfd: who waits for it to be closed; -1: nobody does */
    uint64_t size_bytes;
    atomic_uint n_errors; /* of flushes */
    pthread_mutex_t lock; /* guards what follows */
    unsigned n_busy;
    struct live_wait *first, **end; /* who waits */
};

struct live *live_open(int fd, uint64_t size_bytes)
{
    struct live *live = calloc(1, sizeof(*live));

    if (!live)
        return NULL;
    atomic_init(&live->refs, 1);
    pthread_mutex_init(&live->lock, NULL);
    live->end = &live->first;
    live->fd = fd;
    live->told_fd = -1;
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
    if (live->told_fd >= 0 && eventfd_write(live->told_fd, 1) < 0)
        log_say(LOG_ERR, "cannot tell that a volume's data was closed: %s", strerror(errno));
    owned_fd(&live->told_fd);
    pthread_mutex_destroy(&live->lock);
    free(live);
}

static void *put(void *arg)
{
    live_put(arg);
    return NULL;
}

void live_let_go(struct live *live)
{
    pthread_t thread;

    if (!live)
        return;
    if (pthread_create(&thread, NULL, put, live) == 0)
        pthread_detach(thread);
    else
        live_put(live);
}

int live_close(struct live *live, int *ret_fd)
{
    OWNED(fd) int fd = eventfd(0, EFD_CLOEXEC);
    int told_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int r = told_fd < 0 ? -errno : 0;

    live->told_fd = told_fd;
    live_let_go(live);
    if (r == 0)
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

unsigned live_errors(struct live *live)
{
    return atomic_load(&live->n_errors);
}

int live_sync(struct live *live, bool data_only, atomic_uint *seen)
{
    int r = (data_only ? fdatasync(live->fd) : fsync(live->fd)) < 0 ? -errno : 0;
    unsigned n;

    if (r < 0)
        atomic_fetch_add(&live->n_errors, 1);
    n = atomic_load(&live->n_errors);
    if (atomic_exchange(seen, n) != n && r == 0)
        r = -EIO;
    return r;
}

bool live_enter(struct live *live, struct live_wait *wait)
{
    bool now;

    pthread_mutex_lock(&live->lock);
    now = live->n_busy < LIVE_BUSY_MAX;
    if (now) {
        live->n_busy++;
    } else if (wait) {
        wait->next = NULL;
        *live->end = wait;
        live->end = &wait->next;
    }
    pthread_mutex_unlock(&live->lock);
    return now;
}

struct live_wait *live_leave(struct live *live)
{
    struct live_wait *next;

    pthread_mutex_lock(&live->lock);
    next = live->first;
    if (next)
        live->first = next->next;
    else
        live->n_busy--;
    if (!live->first)
        live->end = &live->first;
    pthread_mutex_unlock(&live->lock);
    return next;
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
