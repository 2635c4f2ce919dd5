/*
 * A real mount over a made-up service, for the tests of fs/mount.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "tests/unit/made-up-service.h"

struct mounted {
    char dir[32];
    struct service *service;
    struct mount *mount;
};

/* A test that hangs in its own mount could not even be killed: abort the connection. */
static char watched[sizeof(((struct mounted *)0)->dir)];

static inline void give_up(int number)
{
    static const char says[] = "Bail out! this takes too long\n";

    (void)number;
    umount2(watched, MNT_FORCE);
    umount2(watched, MNT_DETACH);
    _exit(write(1, says, sizeof(says) - 1) > 0 ? 1 : 2);
}

static inline void mounted_open(struct mounted *m)
{
    const struct mount_config config = {
        .path = m->dir, .source = "test", .group = 6 /* disk */, .allow_other = true};
    struct err e = {0};

    if (mount_open(&config, m->service, &m->mount, &e) < 0) {
        printf("Bail out! %s\n", e.text);
        exit(1);
    }
    m->service->mount = m->mount;
    REQUIRE(mount_serve(m->mount) == 0);
    strcpy(watched, m->dir);
    REQUIRE(signal(SIGALRM, give_up) != SIG_ERR);
    alarm(120);
}

static inline struct mounted mounted_begin(size_t n_volumes)
{
    struct mounted m = {.dir = "/tmp/mount-test-XXXXXX"};

    REQUIRE(mkdtemp(m.dir));
    m.service = service_begin(n_volumes);
    mounted_open(&m);
    return m;
}

static inline void mounted_end(struct mounted *m)
{
    mount_close(m->mount);
    service_end(m->service);
    CHECK_EQ(rmdir(m->dir), 0);
}

/* The path of a file of the mount; valid until the next but three. */
static inline const char *at(const struct mounted *m, const char *name)
{
    static __thread char paths[4][512];
    static __thread unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", m->dir, name);
    return path;
}

static inline int open_at(const struct mounted *m, const char *name, int flags)
{
    int fd = open(at(m, name), flags | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static inline const char *text_at(const struct mounted *m, const char *name)
{
    static __thread char bytes[65536];
    OWNED(fd) int fd = open_at(m, name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes) - 1);

    if (n < 0)
        return NULL;
    bytes[n] = '\0';
    return bytes;
}

/* Write as one command: 0 or a negative errno; -EIO where it was short. */
static inline int write_fd(int fd, const char *bytes, size_t n)
{
    ssize_t written = write(fd, bytes, n);

    if (written < 0)
        return -errno;
    return (size_t)written == n ? 0 : -EIO;
}

static inline int write_at(const struct mounted *m, const char *name, const char *word)
{
    OWNED(fd) int fd = open_at(m, name, O_WRONLY);

    return fd < 0 ? fd : write_fd(fd, word, strlen(word));
}

/* Wait for what another thread or process does; 10 s at most. */
#define until_true(condition)                                                                      \
    do {                                                                                           \
        bool was_ = false;                                                                         \
        for (int ms_ = 0; ms_ < 10000 && !(was_ = (condition)); ms_++)                             \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                               \
        CHECK(was_ || !#condition); /* it may be over again by now */                              \
    } while (0)

/* Whether a thread of ours sleeps in this system call. */
static inline bool sleeps_in(pid_t tid, long number)
{
    char path[64], line[64] = "";
    OWNED(fd) int fd = -1;

    snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, line, sizeof(line) - 1) > 0 && strtol(line, NULL, 10) == number &&
           strncmp(line, "running", 7) != 0;
}

/* poll(2) for `ms`; what came, 0: nothing. */
static inline short polled(int fd, short events, int ms)
{
    struct pollfd pfd = {.fd = fd, .events = events};

    return poll(&pfd, 1, ms) > 0 ? pfd.revents : 0;
}
