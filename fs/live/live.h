/*
 * The bytes of a volume that is in use through its `data` file. Any thread; the calls that move
 * bytes wait for the storage as long as it takes.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct live;

/*
 * fd: the volume's file, open for reading and writing, with a write lease (POOL_SERVE); taken over,
 * with success alone. With one reference. NULL: no memory.
 */
struct live *live_open(int fd, uint64_t size_bytes);
struct live *live_ref(struct live *live);
/* The last one closes the file, which may wait for the storage. NULL is allowed. */
void live_put(struct live *live);
/* The same without waiting. NULL is allowed. */
void live_let_go(struct live *live);
/*
 * Let go of a reference, after which no other is taken, without waiting. *ret_fd, the caller's, is
 * readable once the last one is gone and the file is closed. 0 or a negative errno: then nothing
 * tells of that.
 */
int live_close(struct live *live, int *ret_fd);

/*
 * As pread(2) and pwrite(2), but whole: less than n only at the end of the volume, or where an
 * error came after some bytes. Return the bytes, or a negative errno; a write at the end or beyond
 * it: -ENOSPC, as of a block device.
 */
int64_t live_read(struct live *live, void *buf, size_t n, uint64_t offset);
int64_t live_write(struct live *live, const void *buf, size_t n, uint64_t offset);

/*
 * As fsync(2), or fdatasync(2). The kernel tells of a write that failed once, and all who have the
 * volume open share its file: each is told, by *seen, which is his own, and begins as
 * live_errors(). 0 or a negative errno.
 */
int live_sync(struct live *live, bool data_only, atomic_uint *seen);
unsigned live_errors(struct live *live);

/* As fallocate(2): FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE and FALLOC_FL_ZERO_RANGE. Beyond the
 * end: -EPERM, for the size is fixed. 0 or a negative errno. */
int live_allocate(struct live *live, int mode, uint64_t offset, uint64_t n);

/* As lseek(2) with SEEK_DATA or SEEK_HOLE. The offset, or a negative errno. */
int64_t live_seek(struct live *live, uint64_t offset, int whence);

/*
 * Who works on it. At most LIVE_BUSY_MAX do at once: each waits for the storage in a thread. True:
 * the caller is one of them, until live_leave. False: `wait`, which is the caller's, stands in the
 * queue, and whoever gets it from live_leave goes on with it instead.
 */
#define LIVE_BUSY_MAX 64
struct live_wait {
    struct live_wait *next;
};
bool live_enter(struct live *live, struct live_wait *wait); /* NULL: it does not wait */
/* What is next, to be done by the caller, who stays one of them; NULL: nothing, he is not any more.
 */
struct live_wait *live_leave(struct live *live);

/*
 * Is the lease still whole? False: somebody waits to open the file past us, or has done so. Where
 * it was lost it is asked for again. Does not wait. One thread at a time.
 */
bool live_is_ours(struct live *live);
