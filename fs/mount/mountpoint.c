#include "fs/mount/mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/base/log.h"

#define TYPE_BYTES 64
#define DEAD_MAX   16 /* dead mounts on top of each other */

static void owned_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

static void owned_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* What the kernel knows of the inode by itself: no request is sent. */
static int look(int dirfd, const char *path, int flags, struct statx *ret)
{
    flags |= AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    return statx(dirfd, path, flags, STATX_TYPE | STATX_INO, ret) < 0 ? -errno : 0;
}

int mountpoint_device(const char *path, dev_t *ret)
{
    struct statx stx;
    int r = look(AT_FDCWD, path, 0, &stx);

    if (r < 0)
        return r;
    *ret = makedev(stx.stx_dev_major, stx.stx_dev_minor);
    return 0;
}

int mountpoint_open(const char *path, dev_t dev)
{
    /* Not O_DIRECTORY: it would spring what mounts by itself there, when we are gone already */
    OWNED(fd) int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct statx stx;
    int r;

    if (fd < 0)
        return -errno;
    r = look(fd, "", AT_EMPTY_PATH, &stx);
    if (r < 0)
        return r;
    if (makedev(stx.stx_dev_major, stx.stx_dev_minor) != dev)
        return -EXDEV;
    return take_fd(&fd);
}

/* As an ordinary user only the setuid helper can. argv[0] is its name. */
static int run_fusermount(char *const argv[], char *const env[], int *ret_status)
{
    pid_t pid;
    int r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, env);

    if (r != 0)
        return -r;
    while (waitpid(pid, ret_status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

#define WORD(literal) ((char[]){literal})

static int unmount_by_helper(const char *path)
{
    OWNED(mem) char *where = strdup(path);
    char *const argv[] = {WORD("fusermount3"), WORD("-u"), WORD("-q"), WORD("-z"),
                          WORD("--"),          where,      NULL};
    int status = 0, r;

    r = where ? run_fusermount(argv, environ, &status) : -ENOMEM;
    return r == 0 && status != 0 ? -EPERM : r;
}

static int mount_by_helper(const char *path, char *options, struct err *e)
{
    OWNED(mem) char *where = strdup(path);
    OWNED(fd) int ours = -1;
    OWNED(fd) int theirs = -1;
    char variable[32], said;
    char *const argv[] = {WORD("fusermount3"), WORD("-o"), options, WORD("--"), where, NULL};
    char *const env[] = {variable, NULL};
    int pair[2], fd = -1, status = 0, r;
    size_t n;

    if (!where || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    ours = pair[0];
    theirs = fcntl(pair[1], F_DUPFD, 3); /* the one that stays open in the helper */
    close(pair[1]);
    if (theirs < 0)
        return -errno;
    snprintf(variable, sizeof(variable), "_FUSE_COMMFD=%d", theirs);
    r = run_fusermount(argv, env, &status);
    close(take_fd(&theirs));
    if (r == 0)
        r = io_receive(ours, &said, sizeof(said), &n, &fd);
    if (r == 0 && fd < 0)
        r = -EPERM;
    if (r < 0)
        return err_set(e, -r, "fusermount3 cannot mount at %s: %s", path, strerror(-r));
    return fd;
}

#define OPTIONS "default_permissions%s"

int mountpoint_mount(const char *path, const char *source, bool allow_other, struct err *e)
{
    const char *others = allow_other ? ",allow_other" : "";
    OWNED(fd) int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    char options[256];

    if (fd >= 0) {
        snprintf(options, sizeof(options), OPTIONS ",fd=%d,rootmode=40000,user_id=%u,group_id=%u",
                 others, fd, getuid(), getgid());
        if (mount(source, path, MOUNTPOINT_FSTYPE, MS_NOSUID | MS_NODEV | MS_NOEXEC, options) == 0)
            return take_fd(&fd);
    }
    if (errno != EPERM && errno != EACCES)
        return err_set(e, errno, "cannot mount at %s: %s%s", path, fd < 0 ? "/dev/fuse: " : "",
                       strerror(errno));
    snprintf(options, sizeof(options),
             OPTIONS ",fsname=ferryfs,subtype=ferryfs,nosuid,nodev,noexec", others);
    return mount_by_helper(path, options, e);
}

int mountpoint_unmount(const char *path, dev_t dev)
{
    OWNED(fd) int fd = mountpoint_open(path, dev);
    char by_fd[32];

    if (fd < 0)
        return fd;
    /* By descriptor: what is unmounted is what was looked at. */
    snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
    if (umount2(by_fd, MNT_DETACH) == 0)
        return 0;
    return errno == EPERM ? unmount_by_helper(path) : -errno;
}

/* "\040" to " ", in place: a backslash is always followed by three octal digits. Source: proc(5).
 */
static void unescape(char *s)
{
    char *to = s;

    for (; *s; s++) {
        if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3) {
            *to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

/* The type of what is mounted on top at path; "": nothing. */
static void mounted_type(const char *path, char type[TYPE_BYTES])
{
    OWNED(file) FILE *file = fopen("/proc/self/mountinfo", "re");
    OWNED(mem) char *line = NULL;
    size_t cap = 0;

    *type = '\0';
    while (file && getline(&line, &cap, file) > 0) {
        OWNED(mem) char *where = NULL;
        char *rest = strstr(line, " - ");

        if (sscanf(line, "%*d %*d %*s %*s %ms", &where) != 1)
            continue;
        unescape(where);
        if (rest && strcmp(where, path) == 0 && sscanf(rest, " - %63s", type) != 1)
            *type = '\0';
    }
}

static bool is_dead(const char *path)
{
    struct statx stx;

    return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, STATX_MTIME, &stx) <
               0 &&
           (errno == ENOTCONN || errno == ECONNABORTED);
}

static int check_empty(const char *path, struct err *e)
{
    OWNED(dir) DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir)
        return err_set(e, errno, "cannot look into %s: %s", path, strerror(errno));
    while ((errno = 0, entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return err_set(e, ENOTEMPTY, "%s is not empty", path);
    return errno ? err_set(e, errno, "cannot list %s: %s", path, strerror(errno)) : 0;
}

/* 0: a directory where nothing is mounted, or what mounts by itself. 1: a dead mount of ours was
 * taken away, look again. */
static int check_once(const char *path, struct err *e)
{
    char type[TYPE_BYTES];
    struct statx stx;
    dev_t dev;
    int r = look(AT_FDCWD, path, 0, &stx);

    if (r < 0)
        return err_set(e, -r, "cannot look at %s: %s", path, strerror(-r));
    if (S_ISLNK(stx.stx_mode))
        return err_set(e, ELOOP, "%s is a symbolic link", path);
    if (!S_ISDIR(stx.stx_mode))
        return err_set(e, ENOTDIR, "%s is not a directory", path);
    if (!(stx.stx_attributes & STATX_ATTR_MOUNT_ROOT))
        return check_empty(path, e);
    dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
    mounted_type(path, type);
    if (strcmp(type, "autofs") == 0)
        return 0; /* it waits for us: who looked into it would wait for us too, so would we */
    if (strcmp(type, MOUNTPOINT_FSTYPE) != 0 || !is_dead(path))
        return err_set(e, EBUSY, "something is mounted at %s already", path);
    r = mountpoint_unmount(path, dev);
    if (r < 0)
        return err_set(e, EBUSY, "cannot unmount what a dead ferryfs left at %s: %s", path,
                       strerror(-r));
    log_say(LOG_NOTICE, "unmounted what a dead ferryfs left at %s", path);
    return 1;
}

/* The path without a symbolic link on the way; its last component may not be one. */
static int resolve(const char *path, char **ret, struct err *e)
{
    OWNED(mem) char *bare = strdup(path);
    OWNED(mem) char *resolved = NULL;
    struct statx stx;
    size_t n;
    int r;

    if (!bare)
        return -ENOMEM;
    for (n = strlen(bare); n > 1 && bare[n - 1] == '/'; n--)
        bare[n - 1] = '\0';
    r = look(AT_FDCWD, bare, 0, &stx);
    if (r == 0 && S_ISLNK(stx.stx_mode))
        return err_set(e, ELOOP, "%s is a symbolic link", bare);
    resolved = r == 0 ? realpath(bare, NULL) : NULL;
    if (!resolved)
        return err_set(e, r < 0 ? -r : errno, "cannot look at %s: %s", bare,
                       strerror(r < 0 ? -r : errno));
    *ret = take_ptr(resolved);
    return 0;
}

int mountpoint_check(const char *path, char **ret_path, struct err *e)
{
    OWNED(mem) char *resolved = NULL;
    int r = resolve(path, &resolved, e);

    if (r < 0)
        return r;
    r = 1;
    for (int i = 0; i < DEAD_MAX && r == 1; i++)
        r = check_once(resolved, e);
    if (r == 1)
        return err_set(e, EBUSY, "too many dead mounts at %s", path);
    if (r == 0)
        *ret_path = take_ptr(resolved);
    return r;
}
