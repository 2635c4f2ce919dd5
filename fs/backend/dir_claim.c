/*
 * The lease is set here, in a process that ends, and lives on in the descriptor that is sent: it
 * belongs to the open file. The kernel tells of a break by SIGIO to the process that set it; once
 * that process is gone, nobody is signalled. Seen on Linux 6.18.
 */
#include <fcntl.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/backend/dir.h"
#include "fs/backend/who.h"

static int open_by_request(const struct dir *dir, const struct pool_request *request,
                           const char *name, int *ret_fd, struct err *e)
{
    if (request->has_expect)
        return dir_open_expected(dir, name, O_RDONLY, &request->expect, ret_fd, e);
    return dir_open_file(dir, name, O_RDONLY, ret_fd, e);
}

static int is_written(const char *name, const struct stat *st, struct err *e)
{
    char who[WHO_BYTES];

    who_writes(st, who);
    return err_set(e, EBUSY, "%s: %s has it open for writing", name, who);
}

/* A file system without leases, or a file of somebody else and no CAP_LEASE. What can be seen of
 * writers must do; the bytes are compared twice. */
static int claim_weakly(const char *name, const struct stat *st, struct pool_reply *reply,
                        struct err *e)
{
    char who[WHO_BYTES];

    if (who_writes(st, who))
        return err_set(e, EBUSY, "%s: %s has it open for writing", name, who);
    reply->weak = 1;
    return 0;
}

static int take_lease(const struct dir *dir, int fd, const char *name, const struct stat *st,
                      struct pool_reply *reply, struct err *e)
{
    if (!dir->local)
        return claim_weakly(name, st, reply, e);
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
        return 0;
    switch (errno) {
    case EAGAIN:
        return is_written(name, st, e);
    case EINVAL:
    case EOPNOTSUPP:
    case ENOLCK:
    case ENOSYS:
    case EACCES:
    case EPERM:
        return claim_weakly(name, st, reply, e);
    default:
        return err_set(e, errno, "%s: no lease: %s", name, strerror(errno));
    }
}

static int find_write_lock(int fd, const char *name, struct err *e)
{
    char who[WHO_BYTES] = "another process";
    pid_t pid;

    if (!dir_is_locked(fd, &pid))
        return 0;
    if (pid > 0)
        who_process(pid, who);
    return err_set(e, EBUSY, "%s: %s has it locked", name, who);
}

/* Its owner could not be given to the copy once it had moved, when there is no way back. */
static int can_restore_owner(const char *name, const struct stat *st, struct err *e)
{
    if (geteuid() == 0 || st->st_uid == geteuid())
        return 0;
    return err_set(e, EACCES, "%s belongs to uid %u, whom only root can make the owner of a copy",
                   name, st->st_uid);
}

int dir_claim(struct dir *dir, const struct pool_request *request, int fd, struct pool_reply *reply,
              int *ret_fd, struct err *e)
{
    OWNED(fd) int file = -1;
    struct stat st;
    int r;

    (void)fd;
    r = open_by_request(dir, request, request->name, &file, e);
    if (r < 0)
        return r;
    if (fstat(file, &st) < 0)
        return err_set(e, errno, "cannot look at %s: %s", request->name, strerror(errno));
    r = can_restore_owner(request->name, &st, e);
    if (r == 0)
        r = take_lease(dir, file, request->name, &st, reply, e);
    if (r == 0)
        r = find_write_lock(file, request->name, e);
    if (r == 0)
        r = dir_describe(file, reply, e); /* only now does the file hold still */
    if (r < 0)
        return r;
    *ret_fd = take_fd(&file);
    return 0;
}

static int open_hidden(const struct dir *dir, const struct pool_request *request, int *ret_fd,
                       struct err *e)
{
    char hidden[POOL_HIDDEN_BYTES];
    OWNED(fd) int file = -1;
    enum dir_proof proof = DIR_PROOF_TAG;
    int r;

    backend_hidden_name(request->cid, hidden);
    r = open_by_request(dir, request, hidden, &file, e);
    if (r == 0 && !request->has_expect)
        r = dir_prove(file, request->cid, &proof);
    if (r < 0)
        return r;
    if (proof == DIR_PROOF_NONE)
        return err_set(e, ESTALE, "%s is not ours", hidden);
    *ret_fd = take_fd(&file);
    return 0;
}

int dir_open(struct dir *dir, const struct pool_request *request, int fd, struct pool_reply *reply,
             int *ret_fd, struct err *e)
{
    OWNED(fd) int file = -1;
    struct err e_hidden;
    int r;

    (void)fd;
    reply->found = POOL_FOUND_PUBLISHED;
    r = open_by_request(dir, request, request->name, &file, e);
    if (r < 0 && !uuid_is_null(request->cid) && open_hidden(dir, request, &file, &e_hidden) == 0) {
        reply->found = POOL_FOUND_HIDDEN;
        r = 0; /* otherwise the name's own error says more */
    }
    if (r == 0)
        r = dir_describe(file, reply, e);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&file);
    return 0;
}

/* Is the copy at this name? Where no identity is known, its tag must tell. 1, 0 or an error. */
static int is_copy_at(const struct dir *dir, const struct pool_request *request, const char *name,
                      bool may_be_empty, struct err *e)
{
    enum dir_proof proof;
    int r;

    if (request->has_expect)
        return dir_is_at(dir, name, &request->expect, NULL, e);
    r = dir_prove_at(dir, name, request->cid, &proof, e);
    if (r < 0)
        return r;
    return proof == DIR_PROOF_TAG || (may_be_empty && proof == DIR_PROOF_EMPTY);
}

static int tell_found(const struct dir *dir, const char *name, enum pool_found found,
                      struct pool_reply *reply, struct err *e)
{
    struct stat st;
    int r = io_identify_at(dir->root, name, &reply->identity, &st);

    if (r < 0)
        return err_set(e, -r, "cannot look at %s: %s", name, strerror(-r));
    reply->found = found;
    dir_describe_stat(&st, reply);
    return 0;
}

int dir_examine(struct dir *dir, const struct pool_request *request, int fd,
                struct pool_reply *reply, int *ret_fd, struct err *e)
{
    char hidden[POOL_HIDDEN_BYTES];
    struct io_identity other;
    int r;

    (void)fd;
    (void)ret_fd;
    if (request->has_mtime)
        return dir_examine_retained(dir, request, reply, e);
    backend_hidden_name(request->cid, hidden);
    r = is_copy_at(dir, request, hidden, true, e);
    if (r > 0)
        return tell_found(dir, hidden, POOL_FOUND_HIDDEN, reply, e);
    if (r == 0)
        r = is_copy_at(dir, request, request->name, false, e);
    if (r < 0)
        return r;
    if (r > 0)
        return tell_found(dir, request->name, POOL_FOUND_PUBLISHED, reply, e);
    r = io_identify_at(dir->root, request->name, &other, NULL);
    if (r < 0 && r != -ENOENT)
        return err_set(e, -r, "cannot look at %s: %s", request->name, strerror(-r));
    reply->found = r == 0 ? POOL_FOUND_OTHER : POOL_FOUND_NONE;
    return 0;
}
