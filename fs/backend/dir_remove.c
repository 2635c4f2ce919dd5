/*
 * Nothing is unlinked under a name that others use: a copy at its volume's name is first renamed to
 * a hidden one, looked at there, and put back if somebody had exchanged it at the last moment.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"
#include "fs/backend/dir.h"
#include "fs/backend/who.h"

#define GIVEN_BACK_MS 200 /* a wait for the removed copy's space */

/* Without renameat2 a plain rename: nothing is at the hidden name, and a link followed by an unlink
 * could unlink what came to the volume's name meanwhile. */
static int move_aside(const struct dir *dir, const char *name, const char *hidden)
{
    struct stat st;

    if (renameat2(dir->root, name, dir->root, hidden, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (fstatat(dir->root, hidden, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return renameat(dir->root, name, dir->root, hidden) < 0 ? -errno : 0;
}

static int put_back(const struct dir *dir, const char *hidden, const char *name, struct err *e)
{
    int r = dir_rename(dir, hidden, name);

    if (r < 0)
        return err_set(e, ESTALE, "somebody exchanged %s; theirs is %s now: %s", name, hidden,
                       strerror(-r));
    return 0;
}

/*
 * Identity without a birth time is half a proof: inode numbers are given again. At the hidden name
 * that name is the other half; at the volume's name it takes the tag, or the time of the last
 * write.
 */
static int check_proof(const struct dir *dir, const struct pool_request *request,
                       const struct stat *st, struct err *e)
{
    enum dir_proof proof;
    int r;

    if (request->expect.btime_ns != 0 ||
        (request->has_mtime && dir_mtime_ns(st) == request->mtime_ns))
        return 0;
    r = dir_prove_at(dir, request->name, request->cid, &proof, e);
    if (r < 0 || proof == DIR_PROOF_TAG)
        return r;
    return err_set(e, ESTALE, "nothing proves that %s is the copy to remove", request->name);
}

/* A publication by link was killed half-way: both names lead to the copy, and a rename of a file to
 * itself would do nothing. */
static int unlink_second_name(const struct dir *dir, const struct pool_request *request,
                              const char *hidden, struct err *e)
{
    int r = dir_is_at(dir, hidden, &request->expect, NULL, e);

    if (r > 0 && unlinkat(dir->root, hidden, 0) < 0)
        return err_set(e, errno, "cannot unlink %s: %s", hidden, strerror(errno));
    return r < 0 ? r : 0;
}

/* What was renamed is under the hidden name now: is it the right one? */
static int check_hidden(const struct dir *dir, const struct pool_request *request,
                        const char *hidden, struct err *e)
{
    int r = dir_is_at(dir, hidden, &request->expect, NULL, e);

    return r == 0 ? put_back(dir, hidden, request->name, e) : r < 0 ? r : 0;
}

int dir_may_hide(const struct dir *dir, const struct pool_request *request, const struct stat *st,
                 const char *hidden, struct err *e)
{
    int r = check_proof(dir, request, st, e);

    return r < 0 ? r : unlink_second_name(dir, request, hidden, e);
}

int dir_hide(const struct dir *dir, const struct pool_request *request, const char *hidden,
             struct err *e)
{
    struct stat st;
    int r;

    r = dir_is_at(dir, request->name, &request->expect, &st, e);
    if (r <= 0)
        return r;
    r = dir_may_hide(dir, request, &st, hidden, e);
    if (r < 0)
        return r;
    CRASH_POINT("pool-remove-begin");
    r = move_aside(dir, request->name, hidden);
    if (r == -ENOENT) /* gone just now */
        return 0;
    if (r < 0)
        return err_set(e, -r, "cannot rename %s to %s: %s", request->name, hidden, strerror(-r));
    CRASH_POINT("pool-remove-hidden");
    r = check_hidden(dir, request, hidden, e);
    if (r == 0)
        r = dir_sync(dir->root, dir->path, e);
    CRASH_POINT("pool-remove-hidden-synced");
    return r;
}

/* Held by a lease, nobody opens it for writing until it is gone. */
static int is_unwritten(const struct dir *dir, const struct pool_request *request,
                        const char *hidden, int *ret_held, struct err *e)
{
    OWNED(fd) int file = -1;
    char who[WHO_BYTES];
    struct stat st;
    int r;

    r = dir_open_expected(dir, hidden, O_RDONLY, &request->expect, &file, e);
    if (r == -EMLINK)
        return err_set(e, EBUSY, "somebody gave %s another hard link", request->name);
    if (r < 0)
        return r;
    if (fstat(file, &st) < 0)
        return err_set(e, errno, "cannot look at %s: %s", hidden, strerror(errno));
    if (fcntl(file, F_SETLEASE, F_RDLCK) < 0 && (errno == EAGAIN || who_writes(&st, who)))
        return err_set(e, EBUSY, "the old copy of %s is open for writing", request->name);
    if (fstat(file, &st) < 0) /* it holds still only now */
        return err_set(e, errno, "cannot look at %s: %s", hidden, strerror(errno));
    if (dir_mtime_ns(&st) != request->mtime_ns)
        return err_set(e, ESTALE, "the old copy of %s was written since", request->name);
    *ret_held = take_fd(&file);
    return 0;
}

/* *ret_bytes: what the pool gets back; 0: nothing was there. */
static int destroy(const struct dir *dir, const struct pool_request *request, const char *hidden,
                   uint64_t *ret_bytes, struct err *e)
{
    struct stat st;

    if (fstatat(dir->root, hidden, &st, AT_SYMLINK_NOFOLLOW) == 0)
        *ret_bytes = (uint64_t)st.st_blocks * DIR_SECTOR_BYTES;
    if (unlinkat(dir->root, hidden, 0) < 0 && errno != ENOENT)
        return err_set(e, errno, "cannot unlink the copy of %s: %s", request->name,
                       strerror(errno));
    CRASH_POINT("pool-remove-unlinked");
    return 0;
}

/* The pool was moved to another disk, or restored from a backup: it may be the old copy all the
 * same. */
static bool has_twin(const struct dir *dir, const struct pool_request *request, const char *hidden)
{
    struct stat st;

    return request->has_mtime && fstatat(dir->root, hidden, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && dir_mtime_ns(&st) == request->mtime_ns;
}

static int remove_expected(const struct dir *dir, const struct pool_request *request,
                           const char *hidden, uint64_t *ret_bytes, struct err *e)
{
    OWNED(fd) int held = -1;
    int r;

    r = dir_hide(dir, request, hidden, e);
    if (r == 0)
        r = dir_is_at(dir, hidden, &request->expect, NULL, e);
    if (r == 0 && has_twin(dir, request, hidden))
        return err_set(e, ESTALE, "%s is another file of the same time now", hidden);
    if (r <= 0)
        return r;
    r = 0;
    if (request->has_mtime)
        r = is_unwritten(dir, request, hidden, &held, e);
    return r < 0 ? r : destroy(dir, request, hidden, ret_bytes, e);
}

/* Never recorded as made: only what the file itself tells is known. */
static int remove_proved(const struct dir *dir, const struct pool_request *request,
                         const char *hidden, uint64_t *ret_bytes, struct err *e)
{
    enum dir_proof proof;
    int r = dir_prove_at(dir, hidden, request->cid, &proof, e);

    return r < 0 || proof == DIR_PROOF_NONE ? r : destroy(dir, request, hidden, ret_bytes, e);
}

static uint64_t free_bytes(struct dir *dir)
{
    struct pool_space space = {0};

    return dir->base.ops->space(&dir->base, &space) < 0 ? 0 : space.free_bytes;
}

/* XFS gives back in the background, in a few milliseconds. Others may take it or hold it open. */
static void await_space(struct dir *dir, uint64_t free_before, uint64_t bytes)
{
    uint64_t most = bytes - bytes / 64; /* some a file system keeps for itself */
    struct statfs fs;

    if (fstatfs(dir->root, &fs) < 0 || fs.f_type != XFS_SUPER_MAGIC)
        return;
    for (int ms = 0; ms < GIVEN_BACK_MS && free_bytes(dir) < free_before + most; ms++)
        poll(NULL, 0, 1);
}

int dir_remove(struct dir *dir, const struct pool_request *request, int fd,
               struct pool_reply *reply, int *ret_fd, struct err *e)
{
    uint64_t free_before = free_bytes(dir), bytes = 0;
    char hidden[POOL_HIDDEN_BYTES];
    int r;

    (void)fd;
    (void)reply;
    (void)ret_fd;
    backend_hidden_name(request->cid, hidden);
    if (request->has_expect)
        r = remove_expected(dir, request, hidden, &bytes, e);
    else
        r = remove_proved(dir, request, hidden, &bytes, e);
    if (r == 0)
        r = dir_sync(dir->root, dir->path, e); /* what an earlier run unlinked too */
    if (r == 0)
        await_space(dir, free_before, bytes);
    CRASH_POINT("pool-remove-done");
    return r;
}
