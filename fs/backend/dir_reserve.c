#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"
#include "fs/backend/dir.h"

static int is_name_free(const struct dir *dir, const char *name, struct err *e)
{
    struct stat st;

    if (fstatat(dir->root, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0)
        return err_set(e, EEXIST, "%s has something of the name %s", dir->path, name);
    if (errno != ENOENT)
        return err_set(e, errno, "cannot look for %s in %s: %s", name, dir->path, strerror(errno));
    return 0;
}

static int set_tag(int fd, const char *tag, const struct dir *dir, struct err *e)
{
    if (fsetxattr(fd, POOL_XATTR, tag, strlen(tag), 0) == 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == EPERM)
        return err_set(e, EOPNOTSUPP, "the file system at %s keeps no user xattrs", dir->path);
    return err_set(e, errno, "cannot set an xattr in %s: %s", dir->path, strerror(errno));
}

static int set_size(int fd, uint64_t size_bytes, const struct dir *dir, struct err *e)
{
    if (size_bytes > INT64_MAX)
        return err_set(e, EFBIG, "no file can have %llu bytes", (unsigned long long)size_bytes);
    if (ftruncate(fd, (off_t)size_bytes) < 0)
        return err_set(e, errno == EINVAL ? EFBIG : errno, "%s takes no file of %llu bytes: %s",
                       dir->path, (unsigned long long)size_bytes,
                       strerror(errno == EINVAL ? EFBIG : errno));
    return 0;
}

/* The copy gets its owner and mode after the switch, when there is no way back: whether they can be
 * had here must be known now. */
static int try_owner(int file, int source, const struct dir *dir, struct err *e)
{
    struct stat st;

    if (fstat(source, &st) < 0)
        return err_set(e, errno, "cannot look at the volume: %s", strerror(errno));
    if (fchown(file, st.st_uid, st.st_gid) < 0)
        return err_set(e, EACCES, "a copy in %s cannot have the volume's owner %u:%u: %s",
                       dir->path, st.st_uid, st.st_gid, strerror(errno));
    if (fchmod(file, st.st_mode & 07777) < 0)
        return err_set(e, EACCES, "a copy in %s cannot have the volume's mode %03o: %s", dir->path,
                       st.st_mode & 07777, strerror(errno));
    return 0;
}

/* Where a file cannot be without a name there is only the permission to ask for. */
static int may_create(const struct dir *dir, struct err *e)
{
    if (faccessat(dir->root, ".", W_OK | X_OK, AT_EACCESS) < 0)
        return err_set(e, errno, "cannot create files in %s: %s", dir->path, strerror(errno));
    return 0;
}

int dir_admit(struct dir *dir, const struct pool_request *request, int fd, struct pool_reply *reply,
              int *ret_fd, struct err *e)
{
    OWNED(fd) int file = -1;
    char tag[DIR_TAG_BYTES];
    int r;

    (void)reply;
    (void)ret_fd;
    r = is_name_free(dir, request->name, e);
    if (r < 0)
        return r;
    file = openat(dir->root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL))
        return may_create(dir, e);
    if (file < 0)
        return err_set(e, errno, "cannot create files in %s: %s", dir->path, strerror(errno));
    dir_tag(request, tag);
    r = set_tag(file, tag, dir, e);
    if (r == 0)
        r = try_owner(file, fd, dir, e);
    return r < 0 ? r : set_size(file, request->size_bytes, dir, e);
}

/* A tag can be forged, and what is written here may be secret: the file must be ours alone too. */
static int check_ours(int fd, const char *hidden, const char *tag, bool *ret_tagged, struct err *e)
{
    char found[DIR_TAG_BYTES] = "";
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return err_set(e, errno, "cannot look at %s: %s", hidden, strerror(errno));
    n = fgetxattr(fd, POOL_XATTR, found, sizeof(found) - 1);
    if (n < 0 && errno != ENODATA && errno != EOPNOTSUPP && errno != ERANGE)
        return err_set(e, errno, "cannot read the xattr of %s: %s", hidden, strerror(errno));
    *ret_tagged = n >= 0;
    if (st.st_uid == geteuid() && (st.st_mode & 07777) == 0600 &&
        (*ret_tagged ? strcmp(found, tag) == 0 : st.st_size == 0 && st.st_blocks == 0))
        return 0;
    return err_set(e, ESTALE, "%s is there and not ours", hidden);
}

/* The one that an earlier run made, and perhaps published. */
static int open_made(struct dir *dir, const struct pool_request *request, const char *hidden,
                     int *ret_fd, struct err *e)
{
    int r;

    if (request->has_expect)
        r = dir_open_expected(dir, hidden, O_RDWR, &request->expect, ret_fd, e);
    else
        r = dir_open_file(dir, hidden, O_RDWR, ret_fd, e);
    if (r == -ENOENT && request->has_expect)
        r = dir_open_expected(dir, request->name, O_RDWR, &request->expect, ret_fd, e);
    if (r == -ENOENT || r == -EMEDIUMTYPE || r == -EMLINK)
        return err_set(e, ESTALE, "%s is %s", hidden, r == -ENOENT ? "gone" : "not ours");
    return r;
}

static int open_or_make(struct dir *dir, const struct pool_request *request, const char *hidden,
                        int *ret_fd, struct err *e)
{
    int fd;

    if (request->has_expect)
        return open_made(dir, request, hidden, ret_fd, e);
    CRASH_POINT("pool-reserve-begin");
    fd = io_open_beneath(dir->root, hidden, O_RDWR | O_CREAT | O_EXCL, 0600);
    CRASH_POINT("pool-reserve-created");
    if (fd == -EEXIST)
        return open_made(dir, request, hidden, ret_fd, e);
    if (fd < 0)
        return err_set(e, -fd, "cannot create a file in %s: %s", dir->path, strerror(-fd));
    if (fcntl(fd, F_SETFL, 0) < 0) { /* O_NONBLOCK is for what might not be a file */
        owned_fd(&fd);
        return err_set(e, errno, "cannot create a file in %s: %s", dir->path, strerror(errno));
    }
    *ret_fd = fd;
    return 0;
}

static int complete(const struct dir *dir, const struct pool_request *request, int fd,
                    const char *hidden, struct err *e)
{
    char tag[DIR_TAG_BYTES];
    bool tagged = false;
    int r;

    dir_tag(request, tag);
    r = check_ours(fd, hidden, tag, &tagged, e);
    if (r == 0 && !tagged)
        r = set_tag(fd, tag, dir, e);
    CRASH_POINT("pool-reserve-tagged");
    if (r == 0)
        r = set_size(fd, request->size_bytes, dir, e);
    CRASH_POINT("pool-reserve-sized");
    if (r == 0)
        r = dir_sync(fd, hidden, e);
    CRASH_POINT("pool-reserve-synced");
    if (r == 0)
        r = dir_sync(dir->root, dir->path, e);
    CRASH_POINT("pool-reserve-done");
    return r;
}

/* Not by its blocks: an xattr may take one. Where the file system tells no holes it is all data. */
static bool is_empty(int fd)
{
    return lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO;
}

int dir_reserve(struct dir *dir, const struct pool_request *request, int fd,
                struct pool_reply *reply, int *ret_fd, struct err *e)
{
    char hidden[POOL_HIDDEN_BYTES];
    OWNED(fd) int file = -1;
    int r;

    (void)fd;
    backend_hidden_name(request->cid, hidden);
    r = open_or_make(dir, request, hidden, &file, e);
    if (r == 0)
        r = complete(dir, request, file, hidden, e);
    if (r == 0)
        r = dir_describe(file, reply, e);
    if (r < 0)
        return r;
    reply->empty = is_empty(file);
    *ret_fd = take_fd(&file);
    return 0;
}
