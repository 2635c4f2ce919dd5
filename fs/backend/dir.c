#include "fs/backend/dir.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"

#define MARKER_BYTES UUID_STR_LEN /* a uuid and a newline */

static struct dir *dir_of(struct backend *backend)
{
    return (struct dir *)backend;
}

static void dir_detach(struct backend *backend)
{
    struct dir *dir = dir_of(backend);

    if (!dir)
        return;
    dir_unwatch(dir);
    name_set_deinit(&dir->held);
    name_set_deinit(&dir->soon);
    owned_fd(&dir->marker);
    owned_fd(&dir->root);
    free(dir);
}

static void owned_dir(struct dir **dir)
{
    if (*dir)
        dir_detach(&(*dir)->base);
}

/* With a slash behind it O_NOFOLLOW would not keep a symlink out. */
static int keep_path(struct dir *dir, const char *path, struct err *e)
{
    size_t n = strlen(path);

    if (path[0] != '/')
        return err_set(e, EINVAL, "%s is not an absolute path", path);
    if (n >= sizeof(dir->path))
        return err_set(e, ENAMETOOLONG, "the path is too long");
    while (n > 1 && path[n - 1] == '/')
        n--;
    memcpy(dir->path, path, n);
    return 0;
}

/* Leases bind those who open a file here; behind these, others may write, and what is refused may
 * be refused because a server has not granted it. Source: statfs(2), and setlease of each. */
static bool is_local(int fd)
{
    static const unsigned long shared[] = {
        FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC,   SMB_SUPER_MAGIC,  CIFS_SUPER_MAGIC,
        SMB2_SUPER_MAGIC, V9FS_MAGIC,        AFS_SUPER_MAGIC,  AFS_FS_MAGIC,
        CEPH_SUPER_MAGIC, OCFS2_SUPER_MAGIC, CODA_SUPER_MAGIC,
    };
    struct statfs fs;
    bool local = fstatfs(fd, &fs) == 0;

    for (size_t i = 0; i < ARRAY_N(shared) && local; i++)
        local = (unsigned long)fs.f_type != shared[i];
    return local;
}

static int open_root(struct dir *dir, struct err *e)
{
    struct stat st;

    dir->root = open(dir->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir->root < 0)
        return err_set(e, errno, "cannot open the directory %s: %s", dir->path, strerror(errno));
    if (fstat(dir->root, &st) < 0 || io_identify(dir->root, &dir->root_is) < 0)
        return err_set(e, errno, "cannot look at %s: %s", dir->path, strerror(errno));
    dir->device = st.st_dev;
    dir->local = is_local(dir->root);
    return 0;
}

/* To lock it over NFS it must be open for writing, and on a read-only mount it cannot be. */
static int open_marker(struct dir *dir)
{
    int fd = io_open_regular(dir->root, POOL_MARKER, O_RDWR);

    if (fd == -EROFS || fd == -EACCES)
        fd = io_open_regular(dir->root, POOL_MARKER, O_RDONLY);
    return fd;
}

/*
 * The kernel moves the position of a file no further than one can be large, and asks no disk.
 * pathconf(_PC_FILESIZEBITS) knows names of file systems only.
 */
static uint64_t max_file_bytes(int fd)
{
    off_t fits = 0, least_not = INT64_MAX;

    if (lseek(fd, least_not, SEEK_SET) == least_not)
        return (uint64_t)least_not;
    while (least_not - fits > 1) {
        off_t middle = fits + (least_not - fits) / 2;

        if (lseek(fd, middle, SEEK_SET) == middle)
            fits = middle;
        else
            least_not = middle;
    }
    return (uint64_t)fits;
}

static int read_marker(struct dir *dir, uuid_t ret_uuid, struct err *e)
{
    char text[MARKER_BYTES + 1] = "";
    size_t n;
    int r;

    r = open_marker(dir);
    if (r == -ENOENT)
        return r;
    if (r < 0)
        return err_set(e, -r, "cannot open %s/%s: %s", dir->path, POOL_MARKER, strerror(-r));
    dir->marker = r;
    dir->max_file_bytes = max_file_bytes(dir->marker);
    r = io_identify(dir->marker, &dir->marker_is);
    if (r == 0)
        r = io_pread(dir->marker, text, sizeof(text), 0, &n);
    if (r < 0)
        return err_set(e, -r, "cannot read %s/%s: %s", dir->path, POOL_MARKER, strerror(-r));
    if (n != MARKER_BYTES || text[n - 1] != '\n')
        return err_set(e, EUCLEAN, "%s/%s is not a marker", dir->path, POOL_MARKER);
    text[n - 1] = '\0';
    if (uuid_parse(text, ret_uuid) < 0 || uuid_is_null(ret_uuid))
        return err_set(e, EUCLEAN, "%s/%s holds no uuid", dir->path, POOL_MARKER);
    return 0;
}

static int dir_attach(const char *path, struct backend **ret, int *ret_has_marker, uuid_t ret_uuid,
                      struct err *e)
{
    OWNED(dir) struct dir *dir = calloc(1, sizeof(*dir));
    int r;

    if (!dir)
        return err_set(e, ENOMEM, "no memory");
    dir->base.ops = &dir_backend;
    dir->root = dir->marker = dir->watch = dir->inotify = dir->pause = dir->opens = -1;
    r = keep_path(dir, path, e);
    if (r < 0)
        return r;
    r = open_root(dir, e);
    if (r < 0)
        return r;
    r = read_marker(dir, ret_uuid, e);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret_has_marker = r == 0;
    *ret = &take_ptr(dir)->base;
    return 0;
}

/* A file without a name, or where there is no such thing one with a name nobody else would use. */
static int make_marker_file(const struct dir *dir, const char *unused_name, bool *ret_named)
{
    int fd = openat(dir->root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    *ret_named = false;
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
        return fd < 0 ? -errno : fd;
    if (unlinkat(dir->root, unused_name, 0) < 0 && errno != ENOENT)
        return -errno;
    *ret_named = true;
    return io_open_beneath(dir->root, unused_name, O_RDWR | O_CREAT | O_EXCL, 0600);
}

static int name_marker(const struct dir *dir, int fd, const char *unused_name, bool named)
{
    char path[64];
    int r;

    if (named)
        r = linkat(dir->root, unused_name, dir->root, POOL_MARKER, 0) < 0 ? -errno : 0;
    else {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        r = linkat(AT_FDCWD, path, dir->root, POOL_MARKER, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
    }
    if (named && unlinkat(dir->root, unused_name, 0) < 0 && r == 0)
        r = -errno;
    return r;
}

static int write_marker(const struct dir *dir, const char *text)
{
    char unused_name[sizeof(POOL_MARKER) + MARKER_BYTES + 1];
    OWNED(fd) int fd = -1;
    bool named;
    int r;

    snprintf(unused_name, sizeof(unused_name), "%s.%.36s", POOL_MARKER, text);
    CRASH_POINT("pool-mark-begin");
    r = make_marker_file(dir, unused_name, &named);
    if (r < 0)
        return r;
    fd = r;
    r = io_write(fd, text, strlen(text));
    if (r == 0)
        r = io_sync(fd);
    CRASH_POINT("pool-mark-written");
    if (r == 0)
        r = name_marker(dir, fd, unused_name, named);
    CRASH_POINT("pool-mark-linked");
    if (r == 0)
        r = io_sync(dir->root);
    CRASH_POINT("pool-mark-done");
    return r;
}

static int dir_mark(struct backend *backend, const uuid_t uuid, struct err *e)
{
    const struct dir *dir = dir_of(backend);
    char unparsed[UUID_STR_LEN], text[MARKER_BYTES + 1];
    int r;

    uuid_unparse_lower(uuid, unparsed);
    snprintf(text, sizeof(text), "%s\n", unparsed);
    r = write_marker(dir, text);
    if (r < 0)
        return err_set(e, -r, "cannot make %s/%s: %s", dir->path, POOL_MARKER, strerror(-r));
    return 0;
}

static int dir_lock_fd(struct backend *backend)
{
    return dir_of(backend)->marker;
}

static int dir_check(struct backend *backend, struct err *e)
{
    const struct dir *dir = dir_of(backend);
    struct io_identity now;
    struct stat st;
    int r;

    r = io_identify_at(AT_FDCWD, dir->path, &now, &st);
    if (r < 0)
        return err_set(e, -r, "%s: %s", dir->path, strerror(-r));
    if (st.st_dev != dir->device || !io_same(&now, &dir->root_is))
        return err_set(e, ENODEV, "%s is not the directory any more that it was", dir->path);
    if (dir->marker < 0)
        return 0;
    r = io_identify_at(dir->root, POOL_MARKER, &now, NULL);
    if (r < 0 && r != -ENOENT)
        return err_set(e, -r, "%s/%s: %s", dir->path, POOL_MARKER, strerror(-r));
    if (r < 0 || !io_same(&now, &dir->marker_is))
        return err_set(e, ENODEV, "somebody took %s away from %s", POOL_MARKER, dir->path);
    return 0;
}

static uint64_t bytes_of(uint64_t n, uint64_t block_bytes)
{
    uint64_t bytes;

    return __builtin_mul_overflow(n, block_bytes, &bytes) ? UINT64_MAX : bytes;
}

static int dir_space(struct backend *backend, struct pool_space *ret)
{
    uint64_t at_ns = io_now_ns();
    struct statvfs fs;

    if (fstatvfs(dir_of(backend)->root, &fs) < 0)
        return -errno;
    *ret = (struct pool_space){
        .kind = POOL_SPACE,
        .read_only = fs.f_flag & ST_RDONLY ? 1 : 0,
        .at_ns = at_ns,
        .capacity_bytes = bytes_of(fs.f_blocks, fs.f_frsize),
        .free_bytes = bytes_of(fs.f_bavail, fs.f_frsize),
        .max_file_bytes = dir_of(backend)->max_file_bytes,
    };
    return 0;
}

enum needs { NEEDS_NAME = 1, NEEDS_CID = 2, NEEDS_EXPECT = 4, NEEDS_FD = 8 };

static const struct operation {
    dir_operation *run;
    unsigned needs;
} operations[] = {
    [POOL_CLAIM] = {dir_claim, NEEDS_NAME},
    [POOL_SERVE] = {dir_serve, NEEDS_NAME | NEEDS_EXPECT},
    [POOL_OPEN] = {dir_open, NEEDS_NAME},
    [POOL_ADMIT] = {dir_admit, NEEDS_NAME | NEEDS_FD},
    [POOL_RESERVE] = {dir_reserve, NEEDS_CID},
    [POOL_EXAMINE] = {dir_examine, NEEDS_NAME | NEEDS_CID},
    [POOL_PUBLISH] = {dir_publish, NEEDS_NAME | NEEDS_CID | NEEDS_EXPECT | NEEDS_FD},
    [POOL_ADOPT] = {dir_adopt, NEEDS_NAME | NEEDS_EXPECT | NEEDS_FD},
    [POOL_REMOVE] = {dir_remove, NEEDS_NAME | NEEDS_CID},
    [POOL_RETAIN] = {dir_retain, NEEDS_NAME | NEEDS_CID | NEEDS_EXPECT},
};

static int dir_operate(struct backend *backend, const struct pool_request *request, int fd,
                       struct pool_reply *reply, int *ret_fd, struct err *e)
{
    const struct operation *op =
        request->kind < ARRAY_N(operations) ? &operations[request->kind] : NULL;
    bool terminated = memchr(request->name, '\0', sizeof(request->name)) != NULL;

    if (!op || !op->run)
        return err_set(e, EOPNOTSUPP, "no such operation: %u", request->kind);
    if ((op->needs & NEEDS_NAME && (!terminated || !text_is_volume_name(request->name))) ||
        (op->needs & NEEDS_CID && uuid_is_null(request->cid)) ||
        (op->needs & NEEDS_EXPECT && !request->has_expect) || (op->needs & NEEDS_FD && fd < 0))
        return err_set(e, EINVAL, "a malformed request for operation %u", request->kind);
    return op->run(dir_of(backend), request, fd, reply, ret_fd, e);
}

const struct backend_ops dir_backend = {
    .name = "dir",
    .attach = dir_attach,
    .detach = dir_detach,
    .mark = dir_mark,
    .lock_fd = dir_lock_fd,
    .check = dir_check,
    .watch_fd = dir_watch_fd,
    .changed = dir_changed,
    .look = dir_look_again,
    .scan = dir_scan,
    .space = dir_space,
    .operate = dir_operate,
};
