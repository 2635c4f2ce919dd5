#include "fs/migrate/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"

struct worker {
    struct loop *loop;
    struct child child;
    int sock;
    struct wire_memory *memory;
    const struct worker_events *events;
    void *arg;
    struct loop_source *sock_source, *child_source;
};

/* Returns whether there may be more. */
static bool take_reply(struct worker *worker)
{
    struct wire_reply reply;
    size_t n;
    OWNED(fd) int fd = -1;
    int r;

    r = io_receive(worker->sock, &reply, sizeof(reply), &n, &fd);
    if (r == -EAGAIN)
        return false;
    if (r < 0 || n != sizeof(reply) ||
        reply.version != WIRE_VERSION) { /* its death says the rest */
        loop_remove(take_ptr(worker->sock_source));
        child_kill(&worker->child);
        return false;
    }
    reply.text[sizeof(reply.text) - 1] = '\0';
    worker->events->reply(worker->arg, &reply);
    return true;
}

static void on_socket(void *arg, uint32_t events)
{
    (void)events;
    take_reply(arg);
}

static void on_death(void *arg, uint32_t events)
{
    struct worker *worker = arg;
    char how[64];
    int status;

    (void)events;
    loop_remove(take_ptr(worker->child_source)); /* before its descriptor goes */
    if (child_reap(&worker->child, &status) <= 0)
        snprintf(how, sizeof(how), "it cannot be reaped");
    else
        child_describe(status, how, sizeof(how));
    while (worker->sock_source && take_reply(worker)) /* its last words first */
        ;
    worker->events->died(worker->arg, how);
}

/* Shared memory without a name: the worker gets its descriptor. It reads zero: nothing may begin.
 */
static int make_memory(struct worker *worker)
{
    int fd = memfd_create("ferryfs-worker", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    worker->memory = MAP_FAILED;
    if (ftruncate(fd, WIRE_MEMORY_BYTES) == 0)
        worker->memory = mmap(NULL, WIRE_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (worker->memory == MAP_FAILED) {
        int saved = errno;

        worker->memory = NULL;
        close(fd);
        return -saved;
    }
    return fd;
}

static int start(struct worker *worker, const char *path, int source_fd, int destination_fd,
                 int held_fd)
{
    OWNED(mem) char *program = strdup(path);
    OWNED(fd) int theirs = -1, shared = -1;
    char *argv[] = {program, NULL};
    int pair[2], fds[5], r;

    if (!program)
        return -ENOMEM;
    shared = make_memory(worker);
    if (shared < 0)
        return shared;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    worker->sock = pair[0];
    theirs = pair[1];
    if (fcntl(worker->sock, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    memcpy(fds, (int[]){theirs, shared, source_fd, destination_fd, held_fd}, sizeof(fds));
    r = child_start(&worker->child, argv, fds, held_fd < 0 ? 4 : 5);
    if (r < 0)
        return r;
    r = loop_add_fd(worker->loop, worker->child.pidfd, EPOLLIN, on_death, worker,
                    &worker->child_source);
    if (r < 0)
        return r;
    return loop_add_fd(worker->loop, worker->sock, EPOLLIN, on_socket, worker,
                       &worker->sock_source);
}

int worker_open(struct loop *loop, const char *path, int source_fd, int destination_fd, int held_fd,
                const struct worker_events *events, void *arg, struct worker **ret)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    int r;

    if (!worker)
        return -ENOMEM;
    *worker = (struct worker){
        .loop = loop, .child = CHILD_NONE, .sock = -1, .events = events, .arg = arg};
    r = start(worker, path, source_fd, destination_fd, held_fd);
    if (r < 0) {
        worker_close(worker);
        return r;
    }
    *ret = worker;
    return 0;
}

int worker_ask(struct worker *worker, const struct wire_request *request)
{
    return io_send(worker->sock, request, sizeof(*request), -1);
}

const struct progress *worker_progress(const struct worker *worker)
{
    return &worker->memory->progress;
}

void worker_set_speed(struct worker *worker, uint64_t bytes_per_s)
{
    atomic_store(&worker->memory->steering.speed_bytes_per_s, bytes_per_s);
}

void worker_kill(struct worker *worker)
{
    child_kill(&worker->child);
}

void worker_close(struct worker *worker)
{
    if (!worker)
        return;
    child_kill(&worker->child);
    loop_remove(worker->sock_source);
    loop_remove(worker->child_source);
    owned_fd(&worker->sock);
    owned_fd(&worker->child.pidfd);
    if (worker->memory)
        munmap(worker->memory, WIRE_MEMORY_BYTES);
    free(worker);
}
