/*
 * One system call at a time, and its answer in words: what a shell cannot see, which call failed
 * and with which errno. A line on stdout, `ok` or `CALL ERRNO`; exit status 0 for `ok`, 1 for an
 * error, 2 for usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define VALUE_MAX (1 << 20)

static int failed(const char *call)
{
    printf("%s %s\n", call, strerrorname_np(errno));
    return 1;
}

static int fine(void)
{
    puts("ok");
    return 0;
}

static int open_flags(const char *word)
{
    int flags = strchr(word, 'w') ? (strchr(word, 'r') ? O_RDWR : O_WRONLY) : O_RDONLY;

    flags |= strchr(word, 'a') ? O_APPEND : 0;
    flags |= strchr(word, 't') ? O_TRUNC : 0;
    flags |= strchr(word, 'c') ? O_CREAT : 0;
    flags |= strchr(word, 'd') ? O_DIRECTORY : 0;
    flags |= strchr(word, 'n') ? O_NONBLOCK : 0;
    return flags | O_CLOEXEC;
}

/* Everything from offset 0 on, into a buffer that is never freed. */
static ssize_t read_whole(int fd, char **ret)
{
    char *bytes = calloc(1, VALUE_MAX + 1);
    size_t n = 0;
    ssize_t got = 1;

    while (bytes && n < VALUE_MAX && (got = pread(fd, bytes + n, VALUE_MAX - n, (off_t)n)) > 0)
        n += (size_t)got;
    *ret = bytes;
    return !bytes || got < 0 ? -1 : (ssize_t)n;
}

static int write_bytes(const char *path, int flags, const char *bytes, size_t n, off_t offset)
{
    int fd = open(path, flags, 0666);
    ssize_t done;

    if (fd < 0)
        return failed("open");
    done = offset < 0 ? write(fd, bytes, n) : pwrite(fd, bytes, n, offset);
    if (done < 0)
        return failed("write");
    if (close(fd) < 0)
        return failed("close");
    if ((size_t)done != n) {
        printf("short %zd\n", done);
        return 1;
    }
    return fine();
}

/* PATH TEXT: no newline is added */
static int do_write(char **args)
{
    return write_bytes(args[0], O_WRONLY, args[1], strlen(args[1]), -1);
}

/* PATH COUNT: that many bytes `x` in one call */
static int do_write_count(char **args)
{
    size_t n = strtoull(args[1], NULL, 10);
    char *bytes = malloc(n + 1);

    if (!bytes)
        return failed("malloc");
    memset(bytes, 'x', n);
    return write_bytes(args[0], O_WRONLY, bytes, n, -1);
}

/* PATH FLAGS: what stdin holds, in one call */
static int do_write_stdin(char **args)
{
    char *bytes = malloc(VALUE_MAX);
    size_t n = bytes ? fread(bytes, 1, VALUE_MAX, stdin) : 0;

    return bytes ? write_bytes(args[0], open_flags(args[1]), bytes, n, -1) : failed("malloc");
}

/* PATH OFFSET TEXT */
static int do_pwrite(char **args)
{
    return write_bytes(args[0], O_WRONLY, args[2], strlen(args[2]),
                       (off_t)strtoull(args[1], NULL, 10));
}

/* PATH FLAGS: letters of r w a(ppend) t(runcate) c(reate) d(irectory) */
static int do_open(char **args)
{
    int fd = open(args[0], open_flags(args[1]), 0666);

    return fd < 0 ? failed("open") : fine();
}

/* PATH FLAGS: say `held`, keep it open until stdin ends */
static int do_hold(char **args)
{
    int fd = open(args[0], open_flags(args[1]), 0666);
    char byte;

    if (fd < 0)
        return failed("open");
    puts("held");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    return close(fd) < 0 ? failed("close") : 0;
}

/* PATH MS: read it, say `armed`, wait for POLLPRI until it has another value, print that, or
 * `timeout` */
static int do_poll(char **args)
{
    struct pollfd p = {.fd = open(args[0], O_RDONLY | O_CLOEXEC), .events = POLLPRI};
    char *value, *now;
    int r;

    if (p.fd < 0)
        return failed("open");
    if (read_whole(p.fd, &value) < 0)
        return failed("read");
    puts("armed");
    fflush(stdout);
    do {
        r = poll(&p, 1, (int)strtol(args[1], NULL, 10));
        if (r < 0)
            return failed("poll");
        if (r == 0) {
            puts("timeout");
            return 1;
        }
        if (!(p.revents & POLLPRI) || read_whole(p.fd, &now) < 0)
            return failed("read");
    } while (strcmp(now, value) == 0);
    fputs(now, stdout);
    return 0;
}

/* PATH: is it readable now, as poll(2) says? */
static int do_pollin(char **args)
{
    struct pollfd p = {.fd = open(args[0], O_RDONLY | O_CLOEXEC), .events = POLLIN};

    if (p.fd < 0)
        return failed("open");
    if (poll(&p, 1, 5000) != 1) {
        puts("timeout");
        return 1;
    }
    return p.revents & POLLIN ? fine() : failed("poll");
}

/* PATH: as a shared mapping shows it */
static int do_mmap(char **args)
{
    int fd = open(args[0], O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *map;

    if (fd < 0)
        return failed("open");
    if (fstat(fd, &st) < 0)
        return failed("fstat");
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return failed("mmap");
    return fwrite(map, 1, (size_t)st.st_size, stdout) == (size_t)st.st_size ? 0 : 1;
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* PATH TIMES: the longest open + read + close, in microseconds */
static int do_slowest(char **args)
{
    uint64_t worst = 0, n = strtoull(args[1], NULL, 10);
    char bytes[4096];

    for (uint64_t i = 0; i < n; i++) {
        uint64_t began = now_us(), took;
        int fd = open(args[0], O_RDONLY | O_CLOEXEC);

        if (fd < 0)
            return failed("open");
        if (read(fd, bytes, sizeof(bytes)) < 0)
            return failed("read");
        close(fd);
        took = now_us() - began;
        worst = took > worst ? took : worst;
    }
    printf("%" PRIu64 "\n", worst);
    return 0;
}

/* PATH TEXT: write it, print the microseconds that took, or the error */
static int do_write_us(char **args)
{
    uint64_t began = now_us();
    int fd = open(args[0], O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return failed("open");
    if (write(fd, args[1], strlen(args[1])) < 0)
        return failed("write");
    printf("%" PRIu64 "\n", now_us() - began);
    return 0;
}

/* One of the crowd: wait until everybody is there, then open and write. Exit status: the errno. */
static void crowd_one(const char *path, const char *word, int gate)
{
    char byte;
    int fd;

    while (read(gate, &byte, 1) > 0)
        ;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, word, strlen(word)) < 0)
        _exit(errno);
    _exit(0);
}

/* PATH COUNT WORD [WORD]: that many writers at once, taking turns with the words; `RESULT COUNT`
 * lines */
static int do_crowd(char **args)
{
    unsigned n = (unsigned)strtoul(args[1], NULL, 10), results[256] = {0};
    int gate[2];

    if (pipe(gate) < 0)
        return failed("pipe");
    for (unsigned i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid < 0)
            return failed("fork");
        if (pid == 0) {
            close(gate[1]);
            crowd_one(args[0], args[3] && i % 2 ? args[3] : args[2], gate[0]);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (int status; wait(&status) > 0;)
        results[WIFEXITED(status) ? WEXITSTATUS(status) : 255]++;
    for (int e = 0; e < 256; e++)
        if (results[e])
            printf("%s %u\n", e ? strerrorname_np(e) : "ok", results[e]);
    return 0;
}

static int call_mkdir(char **args)
{
    return mkdir(args[0], 0755);
}
static int call_rmdir(char **args)
{
    return rmdir(args[0]);
}
static int call_unlink(char **args)
{
    return unlink(args[0]);
}
static int call_rename(char **args)
{
    return rename(args[0], args[1]);
}
static int call_link(char **args)
{
    return link(args[0], args[1]);
}
static int call_symlink(char **args)
{
    return symlink(args[0], args[1]);
}
static int call_mknod(char **args)
{
    return mknod(args[0], S_IFREG | 0644, 0);
}
static int call_create(char **args)
{
    return open(args[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
}
static int call_chmod(char **args)
{
    return chmod(args[0], 0600);
}
static int call_chown(char **args)
{
    return chown(args[0], 1, 1);
}
static int call_truncate(char **args)
{
    return truncate(args[0], 0);
}
static int call_utimes(char **args)
{
    return utimensat(AT_FDCWD, args[0], NULL, 0);
}
static int call_setxattr(char **args)
{
    return setxattr(args[0], "user.a", "b", 1, 0);
}
static int call_stat(char **args)
{
    struct stat st;

    return lstat(args[0], &st);
}

struct row {
    const char *name;
    int (*run)(char **args);
    int n_args;
};

static const struct row calls[] = {
    {"mkdir", call_mkdir, 1},       {"rmdir", call_rmdir, 1},   {"unlink", call_unlink, 1},
    {"rename", call_rename, 2},     {"link", call_link, 2},     {"symlink", call_symlink, 2},
    {"mknod", call_mknod, 1},       {"create", call_create, 1}, {"chmod", call_chmod, 1},
    {"chown", call_chown, 1},       {"utimes", call_utimes, 1}, {"truncate", call_truncate, 1},
    {"setxattr", call_setxattr, 1}, {"stat", call_stat, 1},
};

static const struct row commands[] = {
    {"write", do_write, 2},
    {"write-count", do_write_count, 2},
    {"write-stdin", do_write_stdin, 2},
    {"write-us", do_write_us, 2},
    {"pwrite", do_pwrite, 3},
    {"open", do_open, 2},
    {"hold", do_hold, 2},
    {"poll", do_poll, 2},
    {"pollin", do_pollin, 1},
    {"mmap", do_mmap, 1},
    {"slowest", do_slowest, 2},
    {"crowd", do_crowd, 3},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0 && argc >= 2 + commands[i].n_args)
            return commands[i].run(argv + 2);
    for (size_t i = 0; argc > 1 && i < sizeof(calls) / sizeof(calls[0]); i++)
        if (strcmp(argv[1], calls[i].name) == 0 && argc == 2 + calls[i].n_args)
            return calls[i].run(argv + 2) < 0 ? failed(argv[1]) : fine();
    fprintf(stderr, "op: unknown call, or too few arguments\n");
    return 2;
}
