#include "fs/backend/who.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/base/text.h"

#define FLAGS "flags:\t" /* in /proc/PID/fdinfo/FD; octal */

static void owned_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

static void owned_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

/* The first line of a small file of /proc or /sys, without its newline. */
static int read_line(int dirfd, const char *path, char *out, size_t cap)
{
    OWNED(fd) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    size_t n;
    int r;

    if (fd < 0)
        return -errno;
    r = io_read(fd, out, cap - 1, &n);
    out[r < 0 ? 0 : n] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return r;
}

void who_process(pid_t pid, char out[WHO_BYTES])
{
    char path[64], comm[32];

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    if (read_line(AT_FDCWD, path, comm, sizeof(comm)) < 0)
        snprintf(out, WHO_BYTES, "process %d", (int)pid);
    else
        snprintf(out, WHO_BYTES, "process %d (%s)", (int)pid, comm);
}

/* "1: FLOCK ADVISORY WRITE 1234 fd:00:5678 0 EOF"; one that waits has "->" behind the number. */
static bool is_flock_of(char *line, const char *file, uint64_t *ret_pid)
{
    char *fields[6] = {0}, *rest = NULL;

    for (size_t i = 0; i < ARRAY_N(fields); i++) {
        fields[i] = strtok_r(i == 0 ? line : NULL, " \n", &rest);
        if (!fields[i])
            return false;
    }
    return strcmp(fields[1], "FLOCK") == 0 && strcmp(fields[5], file) == 0 &&
           text_parse_u64(fields[4], ret_pid) == 0 && *ret_pid > 0 && *ret_pid <= INT_MAX;
}

void who_locks(const struct stat *st, char out[WHO_BYTES])
{
    OWNED(file) FILE *locks = fopen("/proc/locks", "re");
    char line[256], file[64];
    uint64_t pid;

    snprintf(out, WHO_BYTES, "another process");
    snprintf(file, sizeof(file), "%02x:%02x:%llu", major(st->st_dev), minor(st->st_dev),
             (unsigned long long)st->st_ino);
    while (locks && fgets(line, sizeof(line), locks)) {
        if (is_flock_of(line, file, &pid)) {
            who_process((pid_t)pid, out);
            return;
        }
    }
}

/* Another machine's disk may hang; what is cached must do. */
static bool is_file(int dirfd, const char *name, const struct stat *st)
{
    struct statx stx;

    return statx(dirfd, name, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_INO, &stx) == 0 &&
           stx.stx_ino == st->st_ino && makedev(stx.stx_dev_major, stx.stx_dev_minor) == st->st_dev;
}

/* Is that what is looked for of a process's descriptor? */
typedef bool wanted_fn(const char *pid, const char *fd);

static bool is_any(const char *pid, const char *fd)
{
    (void)pid;
    (void)fd;
    return true;
}

static bool is_writable(const char *pid, const char *fd)
{
    OWNED(file) FILE *info = NULL;
    char path[PATH_MAX], line[128];

    snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, fd);
    info = fopen(path, "re");
    while (info && fgets(line, sizeof(line), info)) {
        if (strncmp(line, FLAGS, strlen(FLAGS)) == 0)
            return (strtoul(line + strlen(FLAGS), NULL, 8) & O_ACCMODE) != O_RDONLY;
    }
    return false;
}

static bool process_has(const char *pid, const struct stat *st, wanted_fn *wanted)
{
    OWNED(dir) DIR *fds = NULL;
    char path[PATH_MAX];
    struct dirent *d;

    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    fds = opendir(path);
    while (fds && (d = readdir(fds))) {
        if (d->d_name[0] != '.' && is_file(dirfd(fds), d->d_name, st) && wanted(pid, d->d_name))
            return true;
    }
    return false;
}

static bool find_process(const struct stat *st, wanted_fn *wanted, char out[WHO_BYTES])
{
    OWNED(dir) DIR *proc = opendir("/proc");
    struct dirent *d;
    uint64_t pid;

    while (proc && (d = readdir(proc))) {
        if (text_parse_u64(d->d_name, &pid) == 0 && pid <= INT_MAX &&
            process_has(d->d_name, st, wanted)) {
            who_process((pid_t)pid, out);
            return true;
        }
    }
    return false;
}

static bool find_loop_device(const struct stat *st, char out[WHO_BYTES])
{
    OWNED(dir) DIR *block = opendir("/sys/block");
    struct dirent *d;

    while (block && (d = readdir(block))) {
        char attribute[NAME_MAX + sizeof("/loop/backing_file")], path[PATH_MAX];

        snprintf(attribute, sizeof(attribute), "%s/loop/backing_file", d->d_name);
        if (read_line(dirfd(block), attribute, path, sizeof(path)) == 0 &&
            is_file(AT_FDCWD, path, st)) {
            snprintf(out, WHO_BYTES, "the loop device /dev/%.32s", d->d_name);
            return true;
        }
    }
    return false;
}

static int who_has(const struct stat *st, wanted_fn *wanted, char out[WHO_BYTES])
{
    if (find_process(st, wanted, out) || find_loop_device(st, out))
        return 1;
    snprintf(out, WHO_BYTES, "somebody");
    return 0;
}

int who_writes(const struct stat *st, char out[WHO_BYTES])
{
    return who_has(st, is_writable, out);
}

int who_opens(const struct stat *st, char out[WHO_BYTES])
{
    return who_has(st, is_any, out);
}
