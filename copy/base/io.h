/*
 * System calls that finish what they began, and opens that cannot be led astray. Any thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * Read or write until n bytes are done, through short transfers and EINTR.
 * Reads stop early at the end of the file; *ret_n says how far they got (also on an error).
 * Return 0 or a negative errno; a write of 0 bytes is -EIO. ret_n may be NULL: then a read that
 * ends early is -ENODATA.
 */
int io_read(int fd, void *buf, size_t n, size_t *ret_n);
int io_write(int fd, const void *buf, size_t n);
int io_pread(int fd, void *buf, size_t n, uint64_t offset, size_t *ret_n);
int io_pwrite(int fd, const void *buf, size_t n, uint64_t offset);

/*
 * Open `name` in the directory dirfd and nowhere else: one component, no symlink, no magic link, no
 * other mount. O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY are added.
 * Returns a descriptor or a negative errno (-ELOOP a symlink, -EXDEV it leads away, -EINVAL a name
 * with a slash). Source: openat2(2).
 */
int io_open_beneath(int dirfd, const char *name, int flags, mode_t mode);

/*
 * Open an existing regular file with exactly one link, without ever opening anything else: the name
 * is held by O_PATH and looked at first. flags: O_RDONLY, O_WRONLY or O_RDWR, | O_DIRECT.
 * Returns a descriptor or a negative errno: -EMEDIUMTYPE where it is no regular file, -EMLINK where
 * it has several links.
 */
int io_open_regular(int dirfd, const char *name, int flags);

/* Which file this is, whatever it is called. A device number is no part: it changes over a reboot.
 * btime_ns is 0 where the file system keeps none. Source: statx(2), STATX_BTIME. */
struct io_identity {
    uint64_t ino;
    uint64_t btime_ns;
};

int io_identify(int fd, struct io_identity *ret);
/* The same of what statx(2) has told, asked for STATX_INO and STATX_BTIME. */
struct io_identity io_identity_of(const struct statx *stx);
/* The same by name, not following a symlink and not opening. ret_st may be NULL. */
int io_identify_at(int dirfd, const char *name, struct io_identity *ret, struct stat *ret_st);
bool io_same(const struct io_identity *a, const struct io_identity *b);

/* fsync of a directory's descriptor, or of the file. 0 or a negative errno. */
int io_sync(int fd);

/*
 * One datagram over a SOCK_SEQPACKET socket, with at most one descriptor (-1: none).
 * io_send: 0 or a negative errno, -EAGAIN when the socket is full. MSG_NOSIGNAL.
 * io_receive: *ret_n bytes, 0 at the end of the stream; -EMSGSIZE for one longer than cap;
 * *ret_fd is -1 or a descriptor that now is the caller's, close-on-exec.
 */
int io_send(int sock, const void *msg, size_t n, int fd);
int io_receive(int sock, void *msg, size_t cap, size_t *ret_n, int *ret_fd);

/*
 * A parcel: a socket in whose buffer a descriptor waits. It keeps the file open (and its lock), can
 * be sent on, and is let go of without waiting: to close a file may wait for its storage, and every
 * fork, close_range(2) and exit closes all files of a process.
 * Source: flush in struct file_operations (the kernel's Documentation/filesystems/vfs.rst).
 *
 * io_wrap: fd stays the caller's. Returns the parcel, close-on-exec, or a negative errno.
 * io_unwrap: what is in a parcel, close-on-exec; it stays in there too. Of what is no socket: fd
 * itself. Returns a descriptor or a negative errno: -EBADMSG nothing is in it.
 */
int io_wrap(int fd);
int io_unwrap(int fd);
/* The same, and nothing stays in there: whoever else has that parcel keeps the file open no more.
 */
int io_unwrap_last(int fd);

/* Memory for direct I/O, in huge pages where there are any: what is contiguous takes few, large
 * requests. To be freed; NULL: there is none. */
void *io_buffers(size_t n_bytes);

uint64_t io_now_ns(void); /* CLOCK_MONOTONIC */
/* Of a processor, by a thread that is not joined. Source: pthread_getcpuclockid(3). */
uint64_t io_spent_ns(pthread_t thread);
