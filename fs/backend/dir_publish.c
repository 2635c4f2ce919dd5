#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>
#include <sys/xattr.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"
#include "fs/backend/dir.h"

#define ACL "system.posix_acl_access"

/*
 * The ACL itself is set when the copy is adopted, when there is no way back: whether the pool keeps
 * any must be known now. This one says no more than mode 0600, which the copy has.
 */
static int try_acl(int from, int to, struct err *e)
{
    const struct {
        struct posix_acl_xattr_header header;
        struct posix_acl_xattr_entry entries[3];
    } acl = {
        .header.a_version = POSIX_ACL_XATTR_VERSION, /* little-endian, as everywhere we run */
        .entries = {{ACL_USER_OBJ, ACL_READ | ACL_WRITE, (uint32_t)ACL_UNDEFINED_ID},
                    {ACL_GROUP_OBJ, 0, (uint32_t)ACL_UNDEFINED_ID},
                    {ACL_OTHER, 0, (uint32_t)ACL_UNDEFINED_ID}},
    };

    if (fgetxattr(from, ACL, NULL, 0) < 0)
        return dir_is_absent(errno)
                   ? 0
                   : err_set(e, errno, "cannot read the volume's ACL: %s", strerror(errno));
    if (fsetxattr(to, ACL, &acl, sizeof(acl), 0) < 0)
        return err_set(e, errno, "the pool does not keep the volume's ACL: %s", strerror(errno));
    return 0;
}

static int give_name(const struct dir *dir, const char *hidden, const char *name, struct err *e)
{
    int r = dir_rename(dir, hidden, name);

    if (r == -EEXIST)
        return err_set(e, EEXIST, "%s has something of the name %s", dir->path, name);
    if (r < 0)
        return err_set(e, -r, "cannot name the copy %s: %s", name, strerror(-r));
    return 0;
}

static int publish(const struct dir *dir, const struct pool_request *request, const char *hidden,
                   int source, struct err *e)
{
    OWNED(fd) int file = -1;
    int r;

    r = dir_open_expected(dir, hidden, O_RDWR, &request->expect, &file, e);
    if (r < 0)
        return r;
    CRASH_POINT("pool-publish-begin");
    r = dir_copy_xattrs(source, file, e);
    if (r == 0)
        r = try_acl(source, file, e);
    CRASH_POINT("pool-publish-attributes");
    if (r == 0)
        r = dir_sync(file, hidden, e);
    CRASH_POINT("pool-publish-synced");
    if (r == 0)
        r = give_name(dir, hidden, request->name, e);
    CRASH_POINT("pool-publish-renamed");
    return r;
}

int dir_publish(struct dir *dir, const struct pool_request *request, int fd,
                struct pool_reply *reply, int *ret_fd, struct err *e)
{
    char hidden[POOL_HIDDEN_BYTES];
    int is_hidden, is_published, r = 0;

    (void)reply;
    (void)ret_fd;
    backend_hidden_name(request->cid, hidden);
    is_hidden = dir_is_at(dir, hidden, &request->expect, NULL, e);
    if (is_hidden < 0)
        return is_hidden;
    is_published = dir_is_at(dir, request->name, &request->expect, NULL, e);
    if (is_published < 0)
        return is_published;
    if (!is_hidden && !is_published)
        return err_set(e, ESTALE, "the copy of %s is gone from %s", request->name, dir->path);
    if (!is_published)
        r = publish(dir, request, hidden, fd, e);
    else if (is_hidden && unlinkat(dir->root, hidden, 0) < 0) /* killed between link and unlink */
        r = err_set(e, errno, "cannot unlink %s: %s", hidden, strerror(errno));
    if (r == 0)
        r = dir_sync(dir->root, dir->path, e);
    CRASH_POINT("pool-publish-done");
    return r;
}
