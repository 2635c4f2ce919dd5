/*
 * A program for faults to happen to.
 *
 *   victim CALL PATH TIMES       that call, so often; a line for each: `ok`, the bytes it
 * transferred, or the errno victim crowd PATH TIMES      pwrite from two threads in each of two
 * processes, so often each victim sandbox PATH TIMES    pwrite where nothing but pwrite, futex and
 * exit is allowed
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char eight[8] = "12345678";

static long do_pwrite(int fd, const char *path)
{
    (void)path;
    return pwrite(fd, eight, sizeof(eight), 0);
}
static long do_pread(int fd, const char *path)
{
    char bytes[8];

    (void)path;
    return pread(fd, bytes, sizeof(bytes), 0);
}
static long do_fsync(int fd, const char *path)
{
    (void)path;
    return fsync(fd);
}
static long do_fdatasync(int fd, const char *path)
{
    (void)path;
    return fdatasync(fd);
}
static long do_ftruncate(int fd, const char *path)
{
    (void)path;
    return ftruncate(fd, 8);
}
static long do_fallocate(int fd, const char *path)
{
    (void)path;
    return fallocate(fd, 0, 0, 8);
}
static long do_renameat2(int fd, const char *path)
{
    (void)fd;
    return renameat2(AT_FDCWD, path, AT_FDCWD, path, 0);
}
static long do_unlinkat(int fd, const char *path)
{
    (void)fd;
    return unlinkat(AT_FDCWD, path, 0);
}
static long do_openat(int fd, const char *path)
{
    (void)fd;
    return open(path, O_RDONLY | O_CLOEXEC) < 0 ? -1 : 0;
}
static long do_openat2(int fd, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};

    (void)fd;
    return syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)) < 0 ? -1 : 0;
}
static long do_malloc(int fd, const char *path)
{
    void *volatile p = malloc(8);

    (void)fd;
    (void)path;
    free(p);
    return p ? 0 : -1;
}

static const struct {
    const char *name;
    long (*run)(int fd, const char *path);
} calls[] = {
    {"pwrite", do_pwrite},       {"pread", do_pread},         {"fsync", do_fsync},
    {"fdatasync", do_fdatasync}, {"ftruncate", do_ftruncate}, {"fallocate", do_fallocate},
    {"renameat2", do_renameat2}, {"unlinkat", do_unlinkat},   {"openat", do_openat},
    {"openat2", do_openat2},     {"malloc", do_malloc},
};

struct work {
    int fd;
    unsigned times;
};

static void *write_often(void *arg)
{
    const struct work *work = arg;

    for (unsigned i = 0; i < work->times; i++)
        if (pwrite(work->fd, eight, sizeof(eight), 0) < 0)
            return NULL;
    return NULL;
}

static int crowd(int fd, unsigned times)
{
    struct work work = {fd, times};
    pthread_t thread;
    pid_t child = fork();

    if (child < 0 || pthread_create(&thread, NULL, write_often, &work) != 0)
        return 1;
    write_often(&work);
    pthread_join(thread, NULL);
    if (child == 0)
        _exit(0);
    return wait(NULL) == child ? 0 : 1;
}

static int sandbox(int fd, unsigned times)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwrite64, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sigaltstack, 2, 0), /* the sanitizers' way out */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        return 1;
    for (unsigned i = 0; i < times; i++)
        if (pwrite(fd, eight, sizeof(eight), 0) < 0)
            _exit(errno);
    _exit(0);
}

static int plainly(const char *name, int fd, const char *path, unsigned times)
{
    for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
        if (strcmp(name, calls[c].name) != 0)
            continue;
        for (unsigned i = 0; i < times; i++) {
            long r = calls[c].run(fd, path);
            int error = errno;
            char line[32];

            if (r < 0)
                snprintf(line, sizeof(line), "%s\n", strerrorname_np(error));
            else
                snprintf(line, sizeof(line), r > 0 ? "%ld\n" : "ok\n", r);
            if (write(STDOUT_FILENO, line, strlen(line)) < 0)
                return 1;
        }
        return 0;
    }
    return 2;
}

int main(int argc, char **argv)
{
    unsigned times;
    int fd;

    if (argc != 4)
        return 2;
    fd = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return 3;
    times = (unsigned)strtoul(argv[3], NULL, 10);
    if (strcmp(argv[1], "crowd") == 0)
        return crowd(fd, times);
    if (strcmp(argv[1], "sandbox") == 0)
        return sandbox(fd, times);
    return plainly(argv[1], fd, argv[2], times);
}
