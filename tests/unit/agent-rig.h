/*
 * A real agent process, driven over its socket as the daemon does it.
 */
#pragma once

#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fs/backend/backend.h"
#include "tests/unit/pool-mounts.h"

#define PATIENCE_MS 20000

struct rig {
    pid_t agent;
    int sock;
    char path[256];
    uuid_t uuid; /* of the pool, as HELLO told */
    uint32_t next_id;
};

union message {
    uint32_t kind;
    struct pool_hello hello;
    struct pool_entries entries;
    struct pool_scanned scanned;
    struct pool_space space;
    struct pool_lost lost;
    struct pool_reply reply;
};

static inline void be_agent(int sock, pid_t parent)
{
    REQUIRE(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent);
    REQUIRE(dup2(sock, POOL_FD_SOCKET) == POOL_FD_SOCKET);
    REQUIRE(close_range(POOL_FD_SOCKET + 1, ~0U, 0) == 0);
    exit(backend_agent_main());
}

static inline struct rig start(const char *path)
{
    struct rig rig = {0};
    pid_t parent = getpid();
    int pair[2];

    snprintf(rig.path, sizeof(rig.path), "%s", path);
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    fflush(stdout);
    rig.agent = fork();
    REQUIRE(rig.agent >= 0);
    if (rig.agent == 0)
        be_agent(pair[1], parent);
    close(pair[1]);
    rig.sock = pair[0];
    return rig;
}

static inline void send_attach(struct rig *rig, const char *driver, const uuid_t expect)
{
    struct pool_attach attach = {.kind = POOL_ATTACH};

    snprintf(attach.driver, sizeof(attach.driver), "%s", driver);
    snprintf(attach.path, sizeof(attach.path), "%s", rig->path);
    uuid_copy(attach.expect, expect);
    REQUIRE(io_send(rig->sock, &attach, sizeof(attach), -1) == 0);
}

/* 0 at the end of the stream, -1 when nothing came in time. */
static inline int next(struct rig *rig, union message *m, int *ret_fd, int wait_ms)
{
    struct pollfd ready = {.fd = rig->sock, .events = POLLIN};
    int fd = -1;
    size_t n;

    if (poll(&ready, 1, wait_ms) == 0)
        return -1;
    if (io_receive(rig->sock, m, sizeof(*m), &n, &fd) < 0 || n == 0)
        return 0;
    if (ret_fd)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return (int)m->kind;
}

/* The next message but POOL_SPACE is of this kind. */
static inline void expect(struct rig *rig, enum pool_event kind, union message *m, int *ret_fd)
{
    int got;

    do {
        got = next(rig, m, ret_fd, PATIENCE_MS);
    } while (got == POOL_SPACE && kind != POOL_SPACE);
    if (got != (int)kind)
        printf("# message %d instead of %d\n", got, (int)kind);
    if (got != (int)kind && got == POOL_LOST)
        printf("# lost: %s\n", m->lost.text);
    REQUIRE(got == (int)kind);
}

/* Attach, mark if need be, and wait for the first scan. Returns how many entries it had. */
static inline unsigned come_up(struct rig *rig)
{
    struct pool_request mark = {.kind = POOL_MARK};
    unsigned n = 0;
    union message m;
    int lock = -1;

    expect(rig, POOL_HELLO, &m, NULL);
    if (m.hello.marker == POOL_MARKER_NONE) {
        uuid_generate(mark.volume);
        REQUIRE(io_send(rig->sock, &mark, sizeof(mark), -1) == 0);
        expect(rig, POOL_HELLO, &m, NULL);
        CHECK_EQ(uuid_compare(m.hello.uuid, mark.volume), 0);
    }
    CHECK_EQ(m.hello.marker, POOL_MARKER_FREE);
    uuid_copy(rig->uuid, m.hello.uuid);
    expect(rig, POOL_UP, &m, &lock);
    CHECK(lock >= 0);
    close(lock);
    for (;;) {
        int kind = next(rig, &m, NULL, PATIENCE_MS);

        REQUIRE(kind == POOL_ENTRIES || kind == POOL_SCANNED);
        if (kind == POOL_SCANNED)
            break;
        n += m.entries.n;
    }
    CHECK_EQ(m.scanned.complete, 1);
    expect(rig, POOL_SPACE, &m, NULL);
    return n;
}

static inline struct rig up(const char *path)
{
    struct rig rig = start(path);
    uuid_t any = {0};

    send_attach(&rig, "dir", any);
    come_up(&rig);
    return rig;
}

static inline int await_end(struct rig *rig)
{
    int status = -1;

    REQUIRE(waitpid(rig->agent, &status, 0) == rig->agent);
    rig->agent = 0;
    return status;
}

/* As the daemon ends: its end of the socket goes, and nothing else. */
static inline void end(struct rig *rig)
{
    close(rig->sock);
    rig->sock = -1;
    if (rig->agent)
        CHECK_EQ(await_end(rig), 0);
}

static inline uint32_t ask(struct rig *rig, struct pool_request *request)
{
    request->id = ++rig->next_id;
    REQUIRE(io_send(rig->sock, request, sizeof(*request), -1) == 0);
    return request->id;
}

static inline struct pool_request a_request(enum pool_op op, const char *name)
{
    struct pool_request request = {.kind = op, .size_bytes = 4096, .epoch = 1};

    snprintf(request.name, sizeof(request.name), "%s", name);
    uuid_generate(request.cid);
    uuid_generate(request.volume);
    return request;
}

/* The next message tells of this name alone, and a batch ends. */
static inline struct pool_entry change(struct rig *rig)
{
    struct pool_entry entry;
    union message m;

    expect(rig, POOL_ENTRIES, &m, NULL);
    CHECK_EQ(m.entries.n, 1);
    entry = m.entries.entries[0];
    expect(rig, POOL_SCANNED, &m, NULL);
    CHECK_EQ(m.scanned.complete, 0);
    return entry;
}

/* Read on until this was told. */
static inline struct pool_entry await_entry(struct rig *rig, enum pool_entry_kind kind,
                                            const char *name)
{
    for (;;) {
        union message m;
        int got = next(rig, &m, NULL, PATIENCE_MS);

        REQUIRE(got > 0);
        for (unsigned i = 0; got == POOL_ENTRIES && i < m.entries.n; i++) {
            if (m.entries.entries[i].kind == kind && strcmp(m.entries.entries[i].name, name) == 0)
                return m.entries.entries[i];
        }
    }
}

static inline void path_of(const struct rig *rig, const char *name, char out[1024])
{
    snprintf(out, 1024, "%s/%s", rig->path, name);
}

#define EACH_POOL(path)                                                                            \
    for (unsigned fs_ = 0; fs_ < POOLS_N; fs_++)                                                   \
        for (char path[256] = ""; path[0] == '\0' && (pools_fresh(fs_, path, sizeof(path)), true);)
