/*
 * A thread that serves waits in read(2), where the kernel wakes one for each request and asks for
 * no other system call, and is cancelled there: read is a point of cancellation, so that no moment
 * is left in which a thread that was told to stop falls asleep.
 *
 * One that is about to wait for storage leaves: it goes on with its request, and another is started
 * in its place where too few are left. It comes back when it has answered, and ends where there are
 * more than enough.
 */
#include "fs/mount/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/base/log.h"
#include "fs/mount/session.h"
#include "fs/mount/state.h"
#include "fs/mount/touch.h"

#define PAGE_BYTES 4096
#define STOP_MS    1000
#define SPARE_MAX  12 /* that come back from storage and stay, beyond those that serve always */

struct server {
    struct mount *mount;
    struct server *next, *next_ended;
    pthread_t thread;
    void *bytes; /* of a request */
    void *io;    /* serve_buffer, for n_io bytes; NULL: it was not asked for yet */
    size_t n_io;
    atomic_bool over;       /* it does no more */
    _Atomic uint64_t turns; /* odd while it serves a request */
    uint64_t seen;          /* to serve_is_alive */
};

static _Thread_local struct server *self;

/* Only here can a thread be cancelled: between requests. */
static int await(struct mount *mount, struct fuse_buf *buf)
{
    int r;

    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    r = session_receive(mount, buf);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    return r;
}

static void say_end(struct mount *mount, int error)
{
    if (error != -ENODEV)
        log_say(LOG_ERR, "cannot serve requests: %s", strerror(-error));
    fuse_session_exit(mount->session); /* it need not complain that nobody takes its answers */
    if (eventfd_write(mount->ended_fd, 1) < 0)
        log_say(LOG_ERR, "cannot tell that the mount is over: %s", strerror(errno));
}

/* A start fails as a whole: nobody is served until all who serve are there. */
static void wait_for_all(struct mount *mount)
{
    pthread_mutex_lock(&mount->lock);
    pthread_mutex_unlock(&mount->lock);
}

static void serve_one(struct server *server, const struct fuse_buf *buf)
{
    atomic_fetch_add_explicit(&server->turns, 1, memory_order_relaxed);
    fuse_session_process_buf(server->mount->session, buf);
    atomic_fetch_add_explicit(&server->turns, 1, memory_order_relaxed);
}

/* The last of too many that serve; it is not counted any more. */
static bool is_spare(struct mount *mount)
{
    unsigned n = atomic_load(&mount->n_serving);

    while (n > mount->n_threads + SPARE_MAX)
        if (atomic_compare_exchange_weak(&mount->n_serving, &n, n - 1))
            return true;
    return false;
}

/* Also of a thread that is cancelled. */
static void tell_over(void *arg)
{
    struct server *server = arg;

    atomic_store(&server->over, true);
    if (eventfd_write(server->mount->over_fd, 1) < 0 && errno != EAGAIN)
        log_say(LOG_ERR, "cannot tell that a thread has ended: %s", strerror(errno));
}

static void *serve(void *arg)
{
    struct server *server = arg;
    struct mount *mount = server->mount;
    struct fuse_buf buf = {.mem = server->bytes};
    int r = 1;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cleanup_push(tell_over, server);
    self = server;
    wait_for_all(mount);
    while (r > 0 && !atomic_load(&mount->stopping) && !is_spare(mount)) {
        r = await(mount, &buf);
        if (r > 0)
            serve_one(server, &buf);
    }
    if (r < 0)
        say_end(mount, r);
    free(take_ptr(server->bytes));
    free(take_ptr(server->io));
    pthread_mutex_lock(&mount->lock);
    server->next_ended = mount->ended;
    mount->ended = server;
    pthread_mutex_unlock(&mount->lock);
    pthread_cleanup_pop(1);
    return NULL;
}

static void free_server(struct server *server)
{
    free(server->bytes);
    free(server->io);
    free(server);
}

static int add(struct mount *mount)
{
    struct server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return -ENOMEM;
    server->mount = mount;
    server->bytes = malloc(SESSION_REQUEST_BYTES);
    r = server->bytes ? -pthread_create(&server->thread, NULL, serve, server) : -ENOMEM;
    if (r < 0) {
        free_server(server);
        return r;
    }
    atomic_fetch_add(&mount->n_serving, 1);
    server->next = mount->servers;
    mount->servers = server;
    return 0;
}

/* With the lock: they need it no more, and wait for nothing. */
static void join_ended(struct mount *mount)
{
    while (mount->ended) {
        struct server *server = mount->ended, **at = &mount->servers;

        mount->ended = server->next_ended;
        while (*at != server)
            at = &(*at)->next;
        *at = server->next;
        pthread_join(server->thread, NULL);
        free_server(server);
    }
}

/* Signals are for the main thread. */
static int start_until(struct mount *mount, unsigned n)
{
    sigset_t all, before;
    int r = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&mount->lock);
    if (!atomic_load(&mount->stopping)) /* else they are the stopping thread's */
        join_ended(mount);
    while (r == 0 && atomic_load(&mount->n_serving) < n && !atomic_load(&mount->stopping))
        r = add(mount);
    pthread_mutex_unlock(&mount->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

int serve_start(struct mount *mount)
{
    sigset_t all, before;
    int r = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&mount->lock);
    while (atomic_load(&mount->n_serving) < mount->n_threads && r == 0)
        r = add(mount);
    if (r == 0)
        r = touch_start(mount);
    if (r < 0)
        atomic_store(&mount->stopping, true);
    pthread_mutex_unlock(&mount->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

struct server *serve_leave(struct mount *mount)
{
    int r = 0;

    atomic_fetch_add_explicit(&self->turns, 1, memory_order_relaxed);
    if (atomic_fetch_sub(&mount->n_serving, 1) <= mount->n_threads)
        r = start_until(mount, mount->n_threads);
    if (r < 0)
        log_say(LOG_ERR, "cannot start a thread to serve: %s", strerror(-r));
    return self;
}

void serve_return(struct server *server)
{
    atomic_fetch_add(&server->mount->n_serving, 1);
    atomic_fetch_add_explicit(&server->turns, 1, memory_order_relaxed);
}

void *serve_buffer(struct server *server, size_t n)
{
    if (server->io && n <= server->n_io)
        return server->io;
    free(server->io);
    server->n_io = (n / PAGE_BYTES + 1) * PAGE_BYTES;
    server->io = aligned_alloc(PAGE_BYTES, server->n_io);
    if (!server->io)
        server->n_io = 0;
    return server->io;
}

bool serve_is_alive(struct mount *mount)
{
    bool alive = true;

    pthread_mutex_lock(&mount->lock);
    for (struct server *server = mount->servers; server; server = server->next) {
        uint64_t turns = atomic_load_explicit(&server->turns, memory_order_relaxed);

        alive &= turns % 2 == 0 || turns != server->seen;
        server->seen = turns;
    }
    pthread_mutex_unlock(&mount->lock);
    return alive;
}

static bool all_are_over(const struct server *servers)
{
    for (const struct server *server = servers; server; server = server->next)
        if (!atomic_load(&server->over))
            return false;
    return true;
}

/* One that is at a request whose storage hangs ends when that does. */
static int await_all(const struct mount *mount, const struct server *servers)
{
    struct pollfd one = {.fd = mount->over_fd, .events = POLLIN};
    uint64_t began_ns = io_now_ns();
    eventfd_t n;

    while (!all_are_over(servers)) {
        uint64_t spent_ms = (io_now_ns() - began_ns) / 1000000;

        if (spent_ms >= STOP_MS)
            return -ETIMEDOUT;
        if (poll(&one, 1, (int)(STOP_MS - spent_ms)) == 1 && eventfd_read(mount->over_fd, &n) < 0)
            return -errno;
    }
    return 0;
}

/* No thread is started any more, and those that have ended are joined with the others. */
int serve_stop(struct mount *mount)
{
    struct server *servers;
    int r;

    pthread_mutex_lock(&mount->lock);
    atomic_store(&mount->stopping, true);
    join_ended(mount);
    servers = take_ptr(mount->servers);
    for (struct server *server = servers; server; server = server->next)
        pthread_cancel(server->thread);
    pthread_mutex_unlock(&mount->lock);
    r = await_all(mount, servers);
    while (servers && r == 0) {
        struct server *server = servers;

        servers = server->next;
        pthread_join(server->thread, NULL);
        free_server(server);
    }
    return r;
}
