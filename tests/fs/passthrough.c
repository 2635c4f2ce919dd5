/*
 * passthrough FOLDER MOUNTPOINT: FOLDER once more, through a FUSE server that asks for every flush.
 * Stopped (SIGSTOP), it is storage that hangs: then close(2) of its files waits too. In the
 * foreground; direct I/O is not passed on.
 */
#define FUSE_USE_VERSION 312

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static int folder;

/* The working directory is FOLDER. */
static const char *here(const char *path)
{
    return path[1] ? path + 1 : ".";
}

static int done(int r)
{
    return r < 0 ? -errno : r;
}

static void *init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    (void)connection;
    config->use_ino = 1;
    config->attr_timeout = config->entry_timeout = 0;
    if (fchdir(folder) < 0) /* only now: libfuse goes to / */
        fuse_exit(fuse_get_context()->fuse);
    return NULL;
}

static int get_attr(const char *path, struct stat *ret, struct fuse_file_info *file)
{
    (void)file;
    return done(lstat(here(path), ret));
}

static int read_dir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset,
                    struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
    DIR *dir = opendir(here(path));
    struct dirent *entry;

    (void)offset;
    (void)file;
    (void)flags;
    if (!dir)
        return -errno;
    while ((entry = readdir(dir))) {
        struct stat st = {.st_ino = entry->d_ino, .st_mode = DTTOIF(entry->d_type)};

        fill(buf, entry->d_name, &st, 0, 0);
    }
    closedir(dir);
    return 0;
}

static int create_file(const char *path, mode_t mode, struct fuse_file_info *file)
{
    int fd = open(here(path), file->flags & ~O_DIRECT, mode);

    file->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}

static int open_file(const char *path, struct fuse_file_info *file)
{
    return create_file(path, 0, file);
}

static int read_file(const char *path, char *buf, size_t n, off_t offset,
                     struct fuse_file_info *file)
{
    (void)path;
    return done((int)pread((int)file->fh, buf, n, offset));
}

static int write_file(const char *path, const char *buf, size_t n, off_t offset,
                      struct fuse_file_info *file)
{
    (void)path;
    return done((int)pwrite((int)file->fh, buf, n, offset));
}

static int flush_file(const char *path, struct fuse_file_info *file)
{
    (void)path;
    (void)file;
    return 0;
}

static int release_file(const char *path, struct fuse_file_info *file)
{
    (void)path;
    return done(close((int)file->fh));
}

static int sync_file(const char *path, int data_only, struct fuse_file_info *file)
{
    (void)path;
    (void)data_only;
    return done(fsync((int)file->fh));
}

static int truncate_file(const char *path, off_t size, struct fuse_file_info *file)
{
    (void)file;
    return done(truncate(here(path), size));
}

static int rename_file(const char *path, const char *new_path, unsigned flags)
{
    return done(renameat2(AT_FDCWD, here(path), AT_FDCWD, here(new_path), flags));
}

static int link_file(const char *path, const char *new_path)
{
    return done(link(here(path), here(new_path)));
}

static int unlink_file(const char *path)
{
    return done(unlink(here(path)));
}

static int change_mode(const char *path, mode_t mode, struct fuse_file_info *file)
{
    (void)file;
    return done(chmod(here(path), mode));
}

static int change_owner(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *file)
{
    (void)file;
    return done(lchown(here(path), uid, gid));
}

static int change_times(const char *path, const struct timespec times[2],
                        struct fuse_file_info *file)
{
    (void)file;
    return done(utimensat(AT_FDCWD, here(path), times, AT_SYMLINK_NOFOLLOW));
}

static int set_xattr(const char *path, const char *name, const char *value, size_t n, int flags)
{
    return done(lsetxattr(here(path), name, value, n, flags));
}

static int get_xattr(const char *path, const char *name, char *value, size_t n)
{
    return done((int)lgetxattr(here(path), name, value, n));
}

static int list_xattrs(const char *path, char *list, size_t n)
{
    return done((int)llistxattr(here(path), list, n));
}

static int remove_xattr(const char *path, const char *name)
{
    return done(lremovexattr(here(path), name));
}

static int stat_fs(const char *path, struct statvfs *ret)
{
    return done(statvfs(here(path), ret));
}

static const struct fuse_operations operations = {
    .init = init,
    .getattr = get_attr,
    .readdir = read_dir,
    .create = create_file,
    .open = open_file,
    .read = read_file,
    .write = write_file,
    .flush = flush_file,
    .release = release_file,
    .fsync = sync_file,
    .truncate = truncate_file,
    .rename = rename_file,
    .link = link_file,
    .unlink = unlink_file,
    .chmod = change_mode,
    .chown = change_owner,
    .utimens = change_times,
    .setxattr = set_xattr,
    .getxattr = get_xattr,
    .listxattr = list_xattrs,
    .removexattr = remove_xattr,
    .statfs = stat_fs,
};

int main(int argc, char **argv)
{
    char foreground[] = "-f";
    char option[] = "-oallow_other";
    char *fuse_argv[] = {argv[0], foreground, option, argc == 3 ? argv[2] : NULL, NULL};

    folder = argc == 3 ? open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0) {
        perror(argc == 3 ? argv[1] : "usage: passthrough FOLDER MOUNTPOINT");
        return 1;
    }
    umask(0);
    return fuse_main(4, fuse_argv, &operations, NULL);
}
