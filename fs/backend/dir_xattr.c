#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "copy/base/cleanup.h"
#include "fs/backend/dir.h"

#define XATTRS_BYTES                                                                               \
    65536 /* of all names together, and of one value: XATTR_LIST_MAX, XATTR_SIZE_MAX */
#define ACL_PREFIX "system.posix_acl_"
#define ACL_XFS    "trusted.SGI_ACL_" /* xfs shows the ACL a second time, in its own encoding */

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Set by the system itself, and by root alone. */
static bool may_be_left_behind(const char *name)
{
    return geteuid() != 0 && (starts_with(name, "security.") || starts_with(name, "trusted."));
}

/* What is there already is not set again: a pool that is full might not take even that. */
static bool has(int fd, const char *name, const char *value, size_t n, char *found)
{
    return fgetxattr(fd, name, found, XATTRS_BYTES) == (ssize_t)n && memcmp(found, value, n) == 0;
}

static int copy_xattr(int from, int to, const char *name, char *value, struct err *e)
{
    ssize_t n;

    if (starts_with(name, ACL_PREFIX) || starts_with(name, ACL_XFS) ||
        strcmp(name, POOL_XATTR) == 0)
        return 0;
    n = fgetxattr(from, name, value, XATTRS_BYTES);
    if (n < 0 && errno == ENODATA) /* gone since it was listed */
        return 0;
    if (n < 0 && may_be_left_behind(name))
        return 0;
    if (n < 0)
        return err_set(e, errno, "cannot read the xattr %s: %s", name, strerror(errno));
    if (has(to, name, value, (size_t)n, value + XATTRS_BYTES) ||
        fsetxattr(to, name, value, (size_t)n, 0) == 0)
        return 0;
    if ((errno == EOPNOTSUPP || errno == EPERM) && may_be_left_behind(name))
        return 0;
    return err_set(e, errno, "the pool does not take the xattr %s: %s", name, strerror(errno));
}

/* An earlier run may have copied what the volume has no more. */
static int drop_xattr(int from, int to, const char *name, char *value, struct err *e)
{
    (void)value;
    if (!starts_with(name, "user.") || strcmp(name, POOL_XATTR) == 0 ||
        fgetxattr(from, name, NULL, 0) >= 0)
        return 0;
    if (!dir_is_absent(errno))
        return err_set(e, errno, "cannot read the xattr %s: %s", name, strerror(errno));
    if (fremovexattr(to, name) < 0 && !dir_is_absent(errno))
        return err_set(e, errno, "cannot remove the xattr %s: %s", name, strerror(errno));
    return 0;
}

typedef int xattr_fn(int from, int to, const char *name, char *value, struct err *e);

static int each_xattr(int of, int from, int to, xattr_fn *fn, struct err *e)
{
    OWNED(mem) char *names = malloc(XATTRS_BYTES);
    OWNED(mem) char *value = malloc((size_t)2 * XATTRS_BYTES); /* one of each file */
    ssize_t n;
    int r = 0;

    if (!names || !value)
        return err_set(e, ENOMEM, "no memory");
    n = flistxattr(of, names, XATTRS_BYTES);
    if (n < 0 && errno == EOPNOTSUPP)
        return 0;
    if (n < 0)
        return err_set(e, errno, "cannot list the volume's xattrs: %s", strerror(errno));
    for (const char *name = names; r == 0 && name < names + n; name += strlen(name) + 1)
        r = fn(from, to, name, value, e);
    return r;
}

int dir_copy_xattrs(int from, int to, struct err *e)
{
    int r = each_xattr(from, from, to, copy_xattr, e);

    return r < 0 ? r : each_xattr(to, from, to, drop_xattr, e);
}
