#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"
#include "fs/backend/dir.h"

#define ACL       "system.posix_acl_access"
#define ACL_BYTES 65536 /* XATTR_SIZE_MAX */

/* Our own file in somebody's directory may have got an ACL from that directory. */
static int copy_acl(int from, int to, struct err *e)
{
    OWNED(mem) char *acl = malloc(ACL_BYTES);
    ssize_t n;

    if (!acl)
        return err_set(e, ENOMEM, "no memory");
    n = fgetxattr(from, ACL, acl, ACL_BYTES);
    if (n < 0 && !dir_is_absent(errno))
        return err_set(e, errno, "cannot read the volume's ACL: %s", strerror(errno));
    if (n < 0 && fremovexattr(to, ACL) < 0 && !dir_is_absent(errno))
        return err_set(e, errno, "cannot remove an ACL: %s", strerror(errno));
    if (n >= 0 && fsetxattr(to, ACL, acl, (size_t)n, 0) < 0)
        return err_set(e, errno, "cannot set the volume's ACL: %s", strerror(errno));
    return 0;
}

/* The last step, which says that all before it was done. An owner who is not root may have given
 * away his right to write, and takes it back for that moment. */
static int remove_tag(int fd, mode_t mode, struct err *e)
{
    int r = fremovexattr(fd, POOL_XATTR) < 0 ? -errno : 0;

    if (r == -EACCES && fchmod(fd, mode | S_IWUSR) == 0) {
        r = fremovexattr(fd, POOL_XATTR) < 0 ? -errno : 0;
        if (fchmod(fd, mode) < 0 && r == 0)
            r = -errno;
    }
    if (r < 0 && !dir_is_absent(-r))
        return err_set(e, -r, "cannot remove the xattr %s: %s", POOL_XATTR, strerror(-r));
    return 0;
}

/*
 * The owner before the mode: a change of owner clears set-uid, and a set-uid bit must never be
 * there for another owner. It clears file capabilities too, hence the xattrs after it; while they
 * are set the copy is as it was made, whatever mode an earlier run has given it: its owner, who
 * need not be root, could not set them otherwise. A copy without the tag was adopted already: what
 * its owner has made of it since is his.
 */
static int adopt(int from, int to, const struct stat *st, struct err *e)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};
    int r;

    if (fgetxattr(to, POOL_XATTR, NULL, 0) < 0 && errno == ENODATA)
        return 0;
    CRASH_POINT("pool-adopt-begin");
    if (fchmod(to, S_IRUSR | S_IWUSR) < 0)
        return err_set(e, errno, "cannot set the mode: %s", strerror(errno));
    if (fchown(to, st->st_uid, st->st_gid) < 0)
        return err_set(e, errno, "cannot set the owner: %s", strerror(errno));
    CRASH_POINT("pool-adopt-owner");
    r = dir_copy_xattrs(from, to, e);
    if (r < 0)
        return r;
    CRASH_POINT("pool-adopt-xattrs");
    r = copy_acl(from, to, e);
    if (r < 0)
        return r;
    CRASH_POINT("pool-adopt-acl");
    if (fchmod(to, st->st_mode & 07777) < 0)
        return err_set(e, errno, "cannot set the mode: %s", strerror(errno));
    CRASH_POINT("pool-adopt-mode");
    if (futimens(to, times) < 0)
        return err_set(e, errno, "cannot set the time: %s", strerror(errno));
    CRASH_POINT("pool-adopt-mtime");
    r = remove_tag(to, st->st_mode & 07777, e);
    CRASH_POINT("pool-adopt-untagged");
    return r;
}

int dir_adopt(struct dir *dir, const struct pool_request *request, int fd, struct pool_reply *reply,
              int *ret_fd, struct err *e)
{
    OWNED(fd) int file = -1;
    struct stat st;
    int r;

    (void)ret_fd;
    if (fstat(fd, &st) < 0)
        return err_set(e, errno, "cannot look at the volume: %s", strerror(errno));
    r = dir_open_expected(dir, request->name, O_RDONLY, &request->expect, &file, e);
    if (r == -ENOENT || r == -EMEDIUMTYPE)
        return err_set(e, ESTALE, "the copy of %s is gone from %s", request->name, dir->path);
    if (r == 0)
        r = adopt(fd, file, &st, e);
    if (r == 0)
        r = dir_sync(file, request->name, e);
    CRASH_POINT("pool-adopt-done");
    return r < 0 ? r : dir_describe(file, reply, e);
}
