/*
 * An old copy that is kept for a while: hidden, nobody else's to open, and proved ours by its tag
 * though it was somebody's volume.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"
#include "fs/backend/dir.h"

/* Before it is hidden, so that whatever is hidden bears it; where there are no xattrs, its identity
 * and its hidden name must do. Set once: it is news of the pool, upon which this is tried again. */
static int tag(int file, const struct pool_request *request, struct err *e)
{
    char text[DIR_TAG_BYTES];
    enum dir_proof proof;

    if (dir_prove(file, request->cid, &proof) == 0 && proof == DIR_PROOF_TAG)
        return 0;
    dir_tag(request, text);
    if (fsetxattr(file, POOL_XATTR, text, strlen(text), 0) < 0 && errno != EOPNOTSUPP &&
        errno != EPERM)
        return err_set(e, errno, "cannot set an xattr of %s: %s", request->name, strerror(errno));
    return 0;
}

static int check_tag(int file, const struct pool_request *request, struct err *e)
{
    enum dir_proof proof;
    int r = dir_prove(file, request->cid, &proof);

    if (r < 0)
        return err_set(e, -r, "cannot look at the old copy of %s: %s", request->name, strerror(-r));
    if (proof == DIR_PROOF_TAG || (fgetxattr(file, POOL_XATTR, NULL, 0) < 0 && errno == EOPNOTSUPP))
        return 0;
    return err_set(e, ESTALE, "the old copy of %s bears no tag of ours", request->name);
}

static int gone(const struct dir *dir, const struct pool_request *request, struct err *e)
{
    return err_set(e, ESTALE, "the old copy of %s is gone from %s", request->name, dir->path);
}

/* Its mode takes the power from an ACL that it may have. */
static int take_possession(int file, const struct pool_request *request, struct err *e)
{
    struct stat st;

    if (fstat(file, &st) < 0)
        return err_set(e, errno, "cannot look at %s: %s", request->name, strerror(errno));
    if (st.st_uid != geteuid() && fchown(file, geteuid(), getegid()) < 0)
        return err_set(e, errno, "cannot own the old copy of %s: %s", request->name,
                       strerror(errno));
    if ((st.st_mode & 07777) != 0600 && fchmod(file, 0600) < 0)
        return err_set(e, errno, "cannot close the old copy of %s: %s", request->name,
                       strerror(errno));
    return 0;
}

static int retain(const struct dir *dir, const struct pool_request *request, const char *hidden,
                  int file, struct err *e)
{
    int r = dir_hide(dir, request, hidden, e);

    CRASH_POINT("pool-retain-hidden");
    if (r == 0)
        r = dir_is_at(dir, hidden, &request->expect, NULL, e);
    if (r == 0) /* it was taken away just now */
        return gone(dir, request, e);
    r = r < 0 ? r : 0;
    if (r == 0)
        r = take_possession(file, request, e);
    CRASH_POINT("pool-retain-owned");
    if (r == 0)
        r = dir_sync(file, hidden, e);
    if (r == 0)
        r = dir_sync(dir->root, dir->path, e);
    CRASH_POINT("pool-retain-done");
    return r;
}

static int open_hidden(const struct dir *dir, const struct pool_request *request,
                       const char *hidden, int *ret_fd, struct err *e)
{
    int r = dir_open_expected(dir, hidden, O_RDONLY, &request->expect, ret_fd, e);

    if (r == -ENOENT || r == -EMEDIUMTYPE)
        return gone(dir, request, e);
    return r < 0 ? r : check_tag(*ret_fd, request, e);
}

int dir_examine_retained(const struct dir *dir, const struct pool_request *request,
                         struct pool_reply *reply, struct err *e)
{
    char hidden[POOL_HIDDEN_BYTES];
    OWNED(fd) int file = -1;
    int r;

    backend_hidden_name(request->cid, hidden);
    r = open_hidden(dir, request, hidden, &file, e);
    if (r == 0)
        r = dir_describe(file, reply, e);
    if (r < 0)
        return r;
    if (reply->size_bytes != request->size_bytes || reply->mtime_ns != request->mtime_ns)
        return err_set(e, ESTALE, "the old copy of %s on %s was written since", request->name,
                       dir->path);
    reply->found = POOL_FOUND_HIDDEN;
    return 0;
}

int dir_retain(struct dir *dir, const struct pool_request *request, int fd,
               struct pool_reply *reply, int *ret_fd, struct err *e)
{
    char hidden[POOL_HIDDEN_BYTES];
    OWNED(fd) int file = -1;
    struct stat st;
    int r, is_named;

    (void)fd;
    (void)ret_fd;
    backend_hidden_name(request->cid, hidden);
    is_named = dir_is_at(dir, request->name, &request->expect, &st, e);
    r = is_named > 0 ? dir_may_hide(dir, request, &st, hidden, e) : is_named;
    if (r < 0)
        return r;
    r = dir_open_expected(dir, is_named ? request->name : hidden, O_RDONLY, &request->expect, &file,
                          e);
    if (r == -ENOENT || r == -EMEDIUMTYPE)
        return gone(dir, request, e);
    if (r == 0)
        r = is_named ? tag(file, request, e) : check_tag(file, request, e);
    CRASH_POINT("pool-retain-tagged");
    if (r == 0)
        r = retain(dir, request, hidden, file, e);
    return r < 0 ? r : dir_describe(file, reply, e);
}
