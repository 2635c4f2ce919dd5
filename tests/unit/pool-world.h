/*
 * Two pools of the directory driver and a volume on its way between them. The calls that change a
 * pool are intercepted, so that the N-th can fail or be where the process is killed.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "fs/backend/backend.h"
#include "tests/unit/pool-mounts.h"

#define SIZE 1048576

/* ---- what goes wrong ---- */

#define KILL 9999

static struct {
    unsigned n, at;                         /* calls so far; the one that is struck, 0: none */
    int error;                              /* what it fails with; KILL */
    bool no_renameat2, no_leases, no_btime; /* file systems that lack them */
    char trace[256];
} fault;

static inline int strike(const char *call)
{
    size_t n = strlen(fault.trace);

    snprintf(fault.trace + n, sizeof(fault.trace) - n, "%s%s", n ? " " : "", call);
    if (++fault.n != fault.at)
        return 0;
    if (fault.error == KILL)
        kill(getpid(), SIGKILL);
    errno = fault.error;
    return -1;
}

#define INTERCEPT(name, parameters, ...)                                                           \
    int name parameters                                                                            \
    {                                                                                              \
        return strike(#name) < 0 ? -1 : (int)syscall(SYS_##name, __VA_ARGS__);                     \
    }

INTERCEPT(fsync, (int fd), fd)
INTERCEPT(ftruncate, (int fd, off_t n), fd, n)
INTERCEPT(fsetxattr, (int fd, const char *name, const void *value, size_t n, int flags), fd, name,
          value, n, flags)
INTERCEPT(fremovexattr, (int fd, const char *name), fd, name)
INTERCEPT(fchown, (int fd, uid_t uid, gid_t gid), fd, uid, gid)
INTERCEPT(fchmod, (int fd, mode_t mode), fd, mode)
INTERCEPT(linkat, (int a, const char *from, int b, const char *to, int flags), a, from, b, to,
          flags)
INTERCEPT(unlinkat, (int dir, const char *name, int flags), dir, name, flags)

static const char *exchange_in; /* a pool where somebody takes the place of db at a rename */
static inline void exchange(void);

int fcntl(int fd, int command, ...)
{
    va_list ap;
    long argument;

    va_start(ap, command);
    argument = va_arg(ap, long);
    va_end(ap);
    if (command == F_SETLEASE && fault.no_leases) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

int statx(int dir, const char *restrict name, int flags, unsigned mask, struct statx *restrict stx)
{
    int r = (int)syscall(SYS_statx, dir, name, flags, mask, stx);

    if (fault.no_btime)
        stx->stx_mask &= ~STATX_BTIME;
    return r;
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    if (fault.no_renameat2) {
        errno = EINVAL;
        return -1;
    }
    if (exchange_in)
        exchange();
    return strike("renameat2") < 0 ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, flags);
}

int renameat(int a, const char *from, int b, const char *to)
{
    if (exchange_in)
        exchange();
    return strike("renameat") < 0 ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, 0);
}

int futimens(int fd, const struct timespec times[2])
{
    return strike("futimens") < 0 ? -1 : (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

/* ---- a world: a source and a destination on one file system ---- */

struct world {
    unsigned fs;
    char from[256], to[256];
    struct backend *source, *pool; /* attached at from and to */
    uuid_t cid, volume;
    struct io_identity made; /* of the copy, once it is reserved */
    int claim;               /* the source's volume, open */
    struct stat claimed;
};

static inline struct backend *attach(const char *path)
{
    struct backend *backend = NULL;
    struct err e = {0};
    int has_marker;
    uuid_t uuid;

    if (backend_by_name("dir")->attach(path, &backend, &has_marker, uuid, &e) < 0)
        printf("# %s\n", e.text);
    REQUIRE(backend);
    return backend;
}

static const char volume_bytes[] = "the only copy of somebody's data";

static inline struct world fresh_world(unsigned fs)
{
    struct world w = {.fs = fs, .claim = -1};
    char path[512];

    memset(&fault, 0, sizeof(fault));
    pools_fresh(fs, w.from, sizeof(w.from));
    pools_fresh(fs, w.to, sizeof(w.to));
    pools_write(w.from, "db", volume_bytes);
    snprintf(path, sizeof(path), "%s/db", w.from);
    REQUIRE(truncate(path, SIZE) == 0);
    w.source = attach(w.from);
    w.pool = attach(w.to);
    uuid_generate(w.cid);
    uuid_generate(w.volume);
    w.claim = open(path, O_RDONLY);
    REQUIRE(w.claim >= 0 && fstat(w.claim, &w.claimed) == 0);
    return w;
}

static inline void end_world(struct world *w)
{
    w->source->ops->detach(w->source);
    w->pool->ops->detach(w->pool);
    if (w->claim >= 0)
        close(w->claim);
}

static inline struct pool_request request(const struct world *w, enum pool_op op)
{
    struct pool_request q = {.kind = op, .name = "db", .epoch = 7, .size_bytes = SIZE};

    uuid_copy(q.cid, w->cid);
    uuid_copy(q.volume, w->volume);
    q.expect = w->made;
    q.has_expect = w->made.ino != 0;
    return q;
}

static struct err said; /* by the last operation */

/* A descriptor that comes back is closed, unless somebody wants it. */
static inline int operate(struct backend *backend, const struct pool_request *q, int fd,
                          struct pool_reply *reply, int *ret_fd)
{
    struct pool_reply unwanted;
    int got = -1, r;

    said = (struct err){0};
    r = backend->ops->operate(backend, q, fd, reply ? reply : &unwanted, &got, &said);
    CHECK(r >= 0 || said.code == -r);
    CHECK(r >= 0 || got < 0);
    if (ret_fd)
        *ret_fd = got;
    else if (got >= 0)
        close(got);
    return r;
}

static inline int run(struct world *w, enum pool_op op)
{
    struct pool_request q = request(w, op);

    return operate(w->pool, &q, w->claim, NULL, NULL);
}

static inline void path_of(const char *pool, const char *name, char *out, size_t cap)
{
    snprintf(out, cap, "%s/%s", pool, name);
}

static inline bool is_there(const char *pool, const char *name)
{
    char path[1024];
    struct stat st;

    path_of(pool, name, path, sizeof(path));
    return lstat(path, &st) == 0;
}

static inline const char *hidden(const struct world *w)
{
    static char name[POOL_HIDDEN_BYTES];

    backend_hidden_name(w->cid, name);
    return name;
}

static inline unsigned n_files(const char *pool)
{
    DIR *dir = opendir(pool);
    unsigned n = 0;

    REQUIRE(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static inline void reserve(struct world *w)
{
    struct pool_request q = request(w, POOL_RESERVE);
    struct pool_reply reply = {0};
    int fd = -1;

    REQUIRE(operate(w->pool, &q, -1, &reply, &fd) == 0 && fd >= 0);
    REQUIRE(pwrite(fd, volume_bytes, sizeof(volume_bytes) - 1, 0) > 0);
    close(fd);
    w->made = reply.identity;
}

static inline void published(struct world *w)
{
    reserve(w);
    REQUIRE(run(w, POOL_PUBLISH) == 0);
}

static inline enum pool_found where(struct world *w)
{
    struct pool_request q = request(w, POOL_EXAMINE);
    struct pool_reply reply = {0};

    CHECK_EQ(operate(w->pool, &q, -1, &reply, NULL), 0);
    return (enum pool_found)reply.found;
}

#define EACH_WORLD(w)                                                                              \
    for (unsigned fs_ = 0; fs_ < POOLS_N; fs_++)                                                   \
        for (struct world w = fresh_world(fs_), *once_ = &w; once_; end_world(&w), once_ = NULL)

static inline void exchange(void)
{
    char path[1024];

    path_of(exchange_in, "db", path, sizeof(path));
    exchange_in = NULL;
    REQUIRE(unlink(path) == 0);
    path[strlen(path) - 3] = '\0';
    pools_write(path, "db", "theirs");
}

static inline void tag_of(struct world *w, const char *epoch, char out[128])
{
    char volume[37], cid[37];

    uuid_unparse_lower(w->volume, volume);
    uuid_unparse_lower(w->cid, cid);
    snprintf(out, 128, "%s %s %s", volume, cid, epoch);
}

static inline void adopted(struct world *w)
{
    published(w);
    REQUIRE(run(w, POOL_ADOPT) == 0);
}

/* user::rw- user:1234:r-- group::--- mask::r-- other::--- */
static const unsigned char acl[]
    __attribute__((unused)) = {2,  0, 0, 0,                       /* version */
                               1,  0, 6, 0, 255,  255, 255, 255,  /* USER_OBJ */
                               2,  0, 4, 0, 0xd2, 4,   0,   0,    /* USER 1234 */
                               4,  0, 0, 0, 255,  255, 255, 255,  /* GROUP_OBJ */
                               16, 0, 4, 0, 255,  255, 255, 255,  /* MASK */
                               32, 0, 0, 0, 255,  255, 255, 255}; /* OTHER */
