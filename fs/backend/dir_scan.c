#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "copy/base/cleanup.h"
#include "fs/backend/dir.h"

#define DRAIN_AFTER 1024

static const struct {
    unsigned type;
    const char *word;
} kinds[] = {
    {S_IFLNK, "symlink"}, {S_IFDIR, "directory"},        {S_IFIFO, "fifo"},
    {S_IFSOCK, "socket"}, {S_IFCHR, "character device"}, {S_IFBLK, "block device"},
};

/* Why a file is no volume; NULL: it is one. */
static const char *objection(const struct dir *dir, const char *name, const struct statx *stx)
{
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        if ((stx->stx_mode & S_IFMT) == kinds[i].type)
            return kinds[i].word;
    }
    if (!S_ISREG(stx->stx_mode))
        return "not a file";
    if (makedev(stx->stx_dev_major, stx->stx_dev_minor) != dir->device ||
        stx->stx_attributes & STATX_ATTR_MOUNT_ROOT)
        return "mount";
    if (stx->stx_nlink > 1)
        return "hard links";
    return text_is_volume_name(name) ? NULL : "no volume's name";
}

/* Of a file with an ACL the group's bits are its mask, which is nobody's right (acl(5)). What
 * cannot be told has one. */
static bool has_acl(const struct dir *dir, const char *name)
{
    char path[64 + NAME_MAX];

    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir->root, name);
    return lgetxattr(path, "system.posix_acl_access", NULL, 0) >= 0 || !dir_is_absent(errno);
}

/* Whom the directory keeps away from the file, it keeps away from its bytes. */
static uint32_t mode_of(const struct dir *dir, const char *name, const struct statx *stx)
{
    uint32_t mode = stx->stx_mode & 0777;
    struct stat st;

    if (!(mode & 0077))
        return mode;
    if (fstat(dir->root, &st) < 0 || has_acl(dir, ".") || has_acl(dir, name))
        return mode & 0700;
    if (!(st.st_mode & S_IXOTH))
        mode &= 0770;
    if (!(st.st_mode & (st.st_gid == stx->stx_gid ? S_IXGRP : S_IXOTH)))
        mode &= 0707;
    return mode;
}

static void describe(const struct statx *stx, struct pool_entry *ret)
{
    int64_t mtime_s = stx->stx_mtime.tv_sec;

    ret->identity = io_identity_of(stx);
    ret->size_bytes = stx->stx_size;
    ret->allocated_bytes = stx->stx_blocks * DIR_SECTOR_BYTES;
    ret->mtime_s = mtime_s > 0 && mtime_s <= UINT32_MAX ? (uint32_t)mtime_s : 0;
    ret->uid = stx->stx_uid;
    ret->gid = stx->stx_gid;
}

int dir_look(struct dir *dir, const char *name, bool held, struct pool_entry *ret)
{
    struct statx stx;
    const char *why;

    if (name[0] == '.' || strcmp(name, "lost+found") == 0) /* ext4 makes that one itself */
        return -ENODATA;
    *ret = (struct pool_entry){.kind = POOL_ENTRY_GONE};
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    if (statx(dir->root, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BASIC_STATS | STATX_BTIME, &stx) < 0) {
        why = err_name(errno);
        if (errno == ENOENT) {
            name_set_remove(&dir->held, name);
            return 0;
        }
    } else {
        describe(&stx, ret); /* also of what is no volume: is it the file that was one? */
        why = objection(dir, name, &stx);
        if (!why)
            ret->mode = mode_of(dir, name, &stx);
    }
    ret->kind = why ? POOL_ENTRY_UNLISTED : POOL_ENTRY_VOLUME;
    snprintf(ret->why, sizeof(ret->why), "%s", why ? why : "");
    if (!why) /* what was held and is no volume now may be one again, and is held then */
        ret->held = dir_see_held(dir, name, held);
    return 0;
}

int dir_look_again(struct backend *backend, const char *name, backend_entry_fn *fn, void *arg)
{
    struct pool_entry entry;

    return dir_look((struct dir *)backend, name, true, &entry) < 0 ? 0 : fn(&entry, arg);
}

static void owned_dirstream(DIR **stream)
{
    if (*stream)
        closedir(*stream);
}

/* A descriptor of its own: the place in the directory belongs to the open file. */
static int open_stream(const struct dir *dir, DIR **ret)
{
    int fd = openat(dir->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    *ret = fdopendir(fd);
    if (!*ret) {
        owned_fd(&fd);
        return -errno;
    }
    return 0;
}

static int look_and_tell(struct dir *dir, const char *name, backend_entry_fn *fn, void *arg)
{
    struct pool_entry entry;
    int r = dir_look(dir, name, !dir->looked, &entry);

    if (r < 0 || entry.kind == POOL_ENTRY_GONE) /* a dot-file, or gone since readdir saw it */
        return 0;
    return fn(&entry, arg);
}

int dir_scan(struct backend *backend, backend_entry_fn *fn, void *arg)
{
    struct dir *dir = (struct dir *)backend;
    OWNED(dirstream) DIR *stream = NULL;
    int r;

    r = open_stream(dir, &stream);
    for (unsigned n = 1; r == 0; n++) {
        struct dirent *d;

        if (n % DRAIN_AFTER == 0) /* our own looks would fill that queue */
            dir_opens_drain(dir, &dir->soon);

        errno = 0;
        d = readdir(stream);
        if (!d && errno == 0)
            dir->looked = dir->opens >= 0;
        if (!d)
            return -errno;
        r = look_and_tell(dir, d->d_name, fn, arg);
    }
    return r;
}
