/*
 * System calls that fail, come up short or kill on purpose. A test program that includes this
 * defines the C library's functions itself, so that everything in the process calls these, shared
 * libraries too.
 *
 * What happens is told by *plan, in memory that forked children share. Only while plan->armed
 * are calls counted.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum call {
    CALL_OPEN,
    CALL_WRITE, /* pwrite too */
    CALL_READ,  /* pread */
    CALL_FSYNC, /* fdatasync too */
    CALL_TRUNCATE,
    CALL_ALLOCATE,
    CALL_RENAME,
    CALL_UNLINK,
    CALL_N
};

enum action {
    ACT_FAIL,
    ACT_SHORT, /* half of a write, but no less than a byte */
    ACT_KILL_BEFORE,
    ACT_KILL_HALF, /* of a write, after half of it */
    ACT_KILL_AFTER,
};

struct plan {
    bool armed, reads;   /* reads: they count as well */
    bool no_allocate;    /* the file system knows no fallocate */
    unsigned fail_first; /* the call that fails with EIO once, besides; 0: none */
    unsigned fail_at;    /* the call that the action befalls; 0: none */
    bool for_ever;       /* and all after it */
    enum action action;
    int error;
    unsigned n_calls;
    unsigned n_of[CALL_N];
    unsigned last_of[CALL_N]; /* the number of the last call of its kind */
    unsigned fsync_at[4];     /* the numbers of the first flushes */
    /* A tape of what was done to which file, where one is wanted. */
    void (*tape)(enum call call, int fd, const void *bytes, size_t n, uint64_t offset);
};

static struct plan *plan;

__attribute__((constructor)) static void plan_open(void)
{
    plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (plan == MAP_FAILED)
        _exit(1);
}

/* Start counting from 1. */
static inline void plan_arm(void)
{
    plan->n_calls = 0;
    memset(plan->n_of, 0, sizeof(plan->n_of));
    memset(plan->last_of, 0, sizeof(plan->last_of));
    plan->armed = true;
}

/* Is it this call's turn? */
static bool befalls(enum call call)
{
    bool hit;

    if (!plan || !plan->armed || (call == CALL_READ && !plan->reads))
        return false;
    plan->n_calls++;
    if (call == CALL_FSYNC && plan->n_of[call] < 4)
        plan->fsync_at[plan->n_of[call]] = plan->n_calls;
    plan->n_of[call]++;
    plan->last_of[call] = plan->n_calls;
    if (plan->fail_first != 0 && plan->n_calls == plan->fail_first)
        return true;
    hit = plan->fail_at != 0 &&
          (plan->n_calls == plan->fail_at || (plan->for_ever && plan->n_calls > plan->fail_at));
    if (hit && plan->action == ACT_KILL_BEFORE)
        syscall(SYS_kill, getpid(), SIGKILL);
    return hit;
}

static bool fails(bool hit)
{
    if (!hit)
        return false;
    if (plan->fail_first != 0 && plan->n_calls == plan->fail_first) {
        errno = EIO;
        return true;
    }
    errno = plan->error;
    return plan->action == ACT_FAIL;
}

static void after(bool hit)
{
    if (hit && plan->action == ACT_KILL_AFTER)
        syscall(SYS_kill, getpid(), SIGKILL);
}

static void record(enum call call, int fd, const void *bytes, size_t n, uint64_t offset)
{
    if (plan && plan->tape)
        plan->tape(call, fd, bytes, n, offset);
}

/* offset -1: where the descriptor stands */
static ssize_t do_write(int fd, const void *bytes, size_t n, off_t offset)
{
    bool hit = fd > STDERR_FILENO && befalls(CALL_WRITE);
    ssize_t done;

    if (fails(hit))
        return -1;
    if (hit && (plan->action == ACT_SHORT || plan->action == ACT_KILL_HALF))
        n -= n / 2; /* never 0, which a regular file never answers: tdb would try for ever */
    done =
        offset < 0 ? syscall(SYS_write, fd, bytes, n) : syscall(SYS_pwrite64, fd, bytes, n, offset);
    if (hit && plan->action == ACT_KILL_HALF)
        syscall(SYS_kill, getpid(), SIGKILL);
    if (done > 0)
        record(CALL_WRITE, fd, bytes, (size_t)done, offset < 0 ? 0 : (uint64_t)offset);
    after(hit);
    return done;
}

static int do_call(enum call call, long number, long a, long b, long c, long d)
{
    bool hit = befalls(call);
    int r;

    if (fails(hit))
        return -1;
    r = (int)syscall(number, a, b, c, d);
    if (r >= 0)
        record(call, call == CALL_OPEN ? r : (int)a, NULL, call == CALL_TRUNCATE ? (size_t)b : 0,
               0);
    after(hit);
    return r;
}

/* Both names of a function that has one for large files. */
#define DEFINE(name, result, parameters, body)                                                     \
    result my_##name parameters __asm__(#name);                                                    \
    result my_##name parameters body
#define DEFINE_BOTH(name, result, parameters, body)                                                \
    DEFINE(name, result, parameters, body)                                                         \
    DEFINE(name##64, result, parameters, body)

#define MODE_OF(flags)                                                                             \
    __extension__({                                                                                \
        int mode_ = 0;                                                                             \
        if ((flags)&O_CREAT) {                                                                     \
            va_list args_;                                                                         \
            va_start(args_, flags);                                                                \
            mode_ = va_arg(args_, int);                                                            \
            va_end(args_);                                                                         \
        }                                                                                          \
        mode_;                                                                                     \
    })

DEFINE_BOTH(open, int, (const char *path, int flags, ...),
            { return do_call(CALL_OPEN, SYS_openat, AT_FDCWD, (long)path, flags, MODE_OF(flags)); })
DEFINE_BOTH(openat, int, (int dir, const char *path, int flags, ...),
            { return do_call(CALL_OPEN, SYS_openat, dir, (long)path, flags, MODE_OF(flags)); })
DEFINE(write, ssize_t, (int fd, const void *bytes, size_t n),
       { return do_write(fd, bytes, n, -1); })
DEFINE_BOTH(pwrite, ssize_t, (int fd, const void *bytes, size_t n, off_t offset),
            { return do_write(fd, bytes, n, offset); })
DEFINE_BOTH(pread, ssize_t, (int fd, void *bytes, size_t n, off_t offset), {
    bool hit = befalls(CALL_READ);

    if (fails(hit))
        return -1;
    return syscall(SYS_pread64, fd, bytes, n, offset);
})
DEFINE(fsync, int, (int fd), { return do_call(CALL_FSYNC, SYS_fsync, fd, 0, 0, 0); })
DEFINE(fdatasync, int, (int fd), { return do_call(CALL_FSYNC, SYS_fdatasync, fd, 0, 0, 0); })
DEFINE_BOTH(ftruncate, int, (int fd, off_t n),
            { return do_call(CALL_TRUNCATE, SYS_ftruncate, fd, n, 0, 0); })
DEFINE_BOTH(posix_fallocate, int, (int fd, off_t offset, off_t n), {
    bool hit = befalls(CALL_ALLOCATE);

    if (plan && plan->no_allocate)
        return EOPNOTSUPP;
    if (fails(hit))
        return errno;
    if (syscall(SYS_fallocate, fd, 0, offset, n) < 0)
        return errno;
    record(CALL_TRUNCATE, fd, NULL, (size_t)(offset + n), 0);
    after(hit);
    return 0;
})
DEFINE(renameat, int, (int from, const char *old, int to, const char *new),
       { return do_call(CALL_RENAME, SYS_renameat, from, (long)old, to, (long)new); })
DEFINE(renameat2, int, (int from, const char *old, int to, const char *new, unsigned flags), {
    bool hit = befalls(CALL_RENAME);
    int r;

    if (fails(hit))
        return -1;
    r = (int)syscall(SYS_renameat2, from, old, to, new, flags);
    if (r >= 0)
        record(CALL_RENAME, from, NULL, 0, 0);
    after(hit);
    return r;
})
DEFINE(unlinkat, int, (int dir, const char *path, int flags),
       { return do_call(CALL_UNLINK, SYS_unlinkat, dir, (long)path, flags, 0); })
