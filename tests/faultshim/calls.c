/*
 * The calls that the fault shim stands before. Each takes the place of the C library's function of
 * that name, under the name of its symbol: the headers may call it otherwise (_FILE_OFFSET_BITS).
 * For 64-bit systems.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim.h"

#define ALSO(name) __asm__(#name)

/* Half of it, but something. */
static size_t cut(enum action action, size_t n)
{
    return action == ACTION_SHORT && n > 1 ? n / 2 : n;
}

static ssize_t transfer(long number, enum call call, int fd, const void *buf, size_t n,
                        off_t offset)
{
    enum action action = on_fd(call, fd);

    return action == ACTION_FAIL ? -1 : RAW(number, fd, buf, cut(action, n), offset, 0, 0);
}

static ssize_t transfer_vector(long number, enum call call, int fd, const struct iovec *v, int n,
                               off_t offset, int flags)
{
    enum action action = on_fd(call, fd);

    if (action == ACTION_SHORT && n > 0)
        return RAW(call == CALL_PREAD ? SYS_pread64 : SYS_pwrite64, fd, v->iov_base,
                   cut(action, v->iov_len), offset, 0, 0);
    return action == ACTION_FAIL ? -1 : RAW(number, fd, v, n, offset, 0, flags);
}

#define TRANSFER(name, number, call, qualifier)                                                    \
    ssize_t shim_##name(int fd, qualifier void *buf, size_t n, off_t offset) ALSO(name);           \
    ssize_t shim_##name(int fd, qualifier void *buf, size_t n, off_t offset)                       \
    {                                                                                              \
        return transfer(number, call, fd, buf, n, offset);                                         \
    }
TRANSFER(pread, SYS_pread64, CALL_PREAD, )
TRANSFER(pread64, SYS_pread64, CALL_PREAD, )
TRANSFER(pwrite, SYS_pwrite64, CALL_PWRITE, const)
TRANSFER(pwrite64, SYS_pwrite64, CALL_PWRITE, const)

#define TRANSFER_VECTOR(name, number, call)                                                        \
    ssize_t shim_##name(int fd, const struct iovec *v, int n, off_t offset, int flags) ALSO(name); \
    ssize_t shim_##name(int fd, const struct iovec *v, int n, off_t offset, int flags)             \
    {                                                                                              \
        return transfer_vector(number, call, fd, v, n, offset, flags);                             \
    }
TRANSFER_VECTOR(preadv2, SYS_preadv2, CALL_PREAD)
TRANSFER_VECTOR(preadv64v2, SYS_preadv2, CALL_PREAD)
TRANSFER_VECTOR(pwritev2, SYS_pwritev2, CALL_PWRITE)
TRANSFER_VECTOR(pwritev64v2, SYS_pwritev2, CALL_PWRITE)
/* These have no flags; what is passed on as such is ignored by their numbers. */
TRANSFER_VECTOR(preadv, SYS_preadv, CALL_PREAD)
TRANSFER_VECTOR(preadv64, SYS_preadv, CALL_PREAD)
TRANSFER_VECTOR(pwritev, SYS_pwritev, CALL_PWRITE)
TRANSFER_VECTOR(pwritev64, SYS_pwritev, CALL_PWRITE)

ssize_t shim_read(int fd, void *buf, size_t n) ALSO(read);
ssize_t shim_read(int fd, void *buf, size_t n)
{
    return transfer(SYS_read, CALL_READ, fd, buf, n, 0);
}

ssize_t shim_write(int fd, const void *buf, size_t n) ALSO(write);
ssize_t shim_write(int fd, const void *buf, size_t n)
{
    return transfer(SYS_write, CALL_WRITE, fd, buf, n, 0);
}

#define ON_DESCRIPTOR(name, number, call, type2, type3, type4, type5)                              \
    int shim_##name(int fd, type2 b, type3 c, type4 d, type5 e) ALSO(name);                        \
    int shim_##name(int fd, type2 b, type3 c, type4 d, type5 e)                                    \
    {                                                                                              \
        return on_fd(call, fd) == ACTION_FAIL ? -1 : (int)RAW(number, fd, b, c, d, e, 0);          \
    }
ON_DESCRIPTOR(fsync, SYS_fsync, CALL_FSYNC, long, long, long, long)
ON_DESCRIPTOR(fdatasync, SYS_fdatasync, CALL_FDATASYNC, long, long, long, long)
ON_DESCRIPTOR(ftruncate, SYS_ftruncate, CALL_FTRUNCATE, off_t, long, long, long)
ON_DESCRIPTOR(ftruncate64, SYS_ftruncate, CALL_FTRUNCATE, off_t, long, long, long)
ON_DESCRIPTOR(fallocate, SYS_fallocate, CALL_FALLOCATE, int, off_t, off_t, long)
ON_DESCRIPTOR(fallocate64, SYS_fallocate, CALL_FALLOCATE, int, off_t, off_t, long)
ON_DESCRIPTOR(fsetxattr, SYS_fsetxattr, CALL_FSETXATTR, const char *, const void *, size_t, int)

static int allocate(int fd, off_t offset, off_t n)
{
    if (on_fd(CALL_FALLOCATE, fd) == ACTION_FAIL || RAW(SYS_fallocate, fd, 0, offset, n, 0, 0) < 0)
        return errno;
    return 0;
}

int shim_posix_fallocate(int fd, off_t offset, off_t n) ALSO(posix_fallocate);
int shim_posix_fallocate(int fd, off_t offset, off_t n)
{
    return allocate(fd, offset, n);
}

int shim_posix_fallocate64(int fd, off_t offset, off_t n) ALSO(posix_fallocate64);
int shim_posix_fallocate64(int fd, off_t offset, off_t n)
{
    return allocate(fd, offset, n);
}

/* mode is garbage where the caller passed none: the kernel does not look then. */
#define OPENAT(name)                                                                               \
    int shim_##name(int dir, const char *path, int flags, mode_t mode) ALSO(name);                 \
    int shim_##name(int dir, const char *path, int flags, mode_t mode)                             \
    {                                                                                              \
        if (on_name(CALL_OPENAT, dir, path) == ACTION_FAIL)                                        \
            return -1;                                                                             \
        return (int)RAW(SYS_openat, dir, path, flags, mode, 0, 0);                                 \
    }
OPENAT(openat)
OPENAT(openat64)

#define OPEN(name)                                                                                 \
    int shim_##name(const char *path, int flags, mode_t mode) ALSO(name);                          \
    int shim_##name(const char *path, int flags, mode_t mode)                                      \
    {                                                                                              \
        return shim_openat(AT_FDCWD, path, flags, mode);                                           \
    }
OPEN(open)
OPEN(open64)

static int rename_two(int dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    int named = !name_is_under(dir, from) ? to_dir : dir;

    if (on_name(CALL_RENAMEAT2, named, named == dir ? from : to) == ACTION_FAIL)
        return -1;
    return (int)RAW(SYS_renameat2, dir, from, to_dir, to, flags, 0);
}

int shim_renameat2(int dir, const char *from, int to_dir, const char *to, unsigned flags)
    ALSO(renameat2);
int shim_renameat2(int dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return rename_two(dir, from, to_dir, to, flags);
}

int shim_renameat(int dir, const char *from, int to_dir, const char *to) ALSO(renameat);
int shim_renameat(int dir, const char *from, int to_dir, const char *to)
{
    return rename_two(dir, from, to_dir, to, 0);
}

int shim_rename(const char *from, const char *to) ALSO(rename);
int shim_rename(const char *from, const char *to)
{
    return rename_two(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int shim_linkat(int dir, const char *from, int to_dir, const char *to, int flags) ALSO(linkat);
int shim_linkat(int dir, const char *from, int to_dir, const char *to, int flags)
{
    if (on_name(CALL_LINKAT, to_dir, to) == ACTION_FAIL)
        return -1;
    return (int)RAW(SYS_linkat, dir, from, to_dir, to, flags, 0);
}

int shim_unlinkat(int dir, const char *name, int flags) ALSO(unlinkat);
int shim_unlinkat(int dir, const char *name, int flags)
{
    return on_name(CALL_UNLINKAT, dir, name) == ACTION_FAIL
               ? -1
               : (int)RAW(SYS_unlinkat, dir, name, flags, 0, 0, 0);
}

int shim_unlink(const char *name) ALSO(unlink);
int shim_unlink(const char *name)
{
    return shim_unlinkat(AT_FDCWD, name, 0);
}

/* system calls that have no function in the C library, and the way into a sandbox */
long shim_syscall(long number, long a, long b, long c, long d, long e, long f) ALSO(syscall);
long shim_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_seccomp)
        about_to_be_sandboxed();
    if (number == SYS_openat2 &&
        on_name(CALL_OPENAT, (int)a, (const char *)(uintptr_t)b) == ACTION_FAIL)
        return -1;
    if (number == SYS_renameat2)
        return rename_two((int)a, (const char *)(uintptr_t)b, (int)c, (const char *)(uintptr_t)d,
                          (unsigned)e);
    return raw(number, a, b, c, d, e, f);
}

int shim_prctl(int option, long a, long b, long c, long d) ALSO(prctl);
int shim_prctl(int option, long a, long b, long c, long d)
{
    if (option == PR_SET_SECCOMP)
        about_to_be_sandboxed();
    return (int)raw(SYS_prctl, option, a, b, c, d, 0);
}

/* Nobody stands before what the kernel transfers by itself, so it is not to be had here: whoever
 * asks liburing for a ring reads and writes on threads, by the calls above. */
int shim_io_uring_queue_init(unsigned n, void *ring, unsigned flags) ALSO(io_uring_queue_init);
int shim_io_uring_queue_init(unsigned n, void *ring, unsigned flags)
{
    (void)n;
    (void)ring;
    (void)flags;
    return -ENOSYS;
}

/* Memory. The C library's own allocator is reached by its other names. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t alignment, size_t n);

void *shim_malloc(size_t n) ALSO(malloc);
void *shim_malloc(size_t n)
{
    return on_call(CALL_MALLOC) == ACTION_FAIL ? NULL : __libc_malloc(n);
}

void *shim_calloc(size_t n, size_t size) ALSO(calloc);
void *shim_calloc(size_t n, size_t size)
{
    return on_call(CALL_MALLOC) == ACTION_FAIL ? NULL : __libc_calloc(n, size);
}

void *shim_realloc(void *p, size_t n) ALSO(realloc);
void *shim_realloc(void *p, size_t n)
{
    return on_call(CALL_MALLOC) == ACTION_FAIL ? NULL : __libc_realloc(p, n);
}

void *shim_aligned_alloc(size_t alignment, size_t n) ALSO(aligned_alloc);
void *shim_aligned_alloc(size_t alignment, size_t n)
{
    return on_call(CALL_MALLOC) == ACTION_FAIL ? NULL : __libc_memalign(alignment, n);
}

int shim_posix_memalign(void **ret, size_t alignment, size_t n) ALSO(posix_memalign);
int shim_posix_memalign(void **ret, size_t alignment, size_t n)
{
    void *p = on_call(CALL_MALLOC) == ACTION_FAIL ? NULL : __libc_memalign(alignment, n);

    if (!p)
        return ENOMEM;
    *ret = p;
    return 0;
}
