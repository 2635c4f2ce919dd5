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

#define SPARE_MAX 12 /* that come back from storage and stay, beyond those that serve always */

struct server {
    struct mount *mount;
    struct server *next, *next_ended;
    pthread_t thread;
    void *bytes;            /* of a request */
    void *io;               /* serve_buffer; NULL: it was not asked for yet */
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

static void *serve(void *arg)
{
    struct server *server = arg;
    struct mount *mount = server->mount;
    struct fuse_buf buf = {.mem = server->bytes};
    int r = 1;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
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
    if (n > SESSION_IO_BYTES)
        return NULL;
    if (!server->io)
        server->io = io_buffers(SESSION_IO_BYTES);
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

/* No thread is started any more, and those that have ended are joined with the others. */
void serve_stop(struct mount *mount)
{
    struct server *servers;

    pthread_mutex_lock(&mount->lock);
    atomic_store(&mount->stopping, true);
    join_ended(mount);
    servers = take_ptr(mount->servers);
    for (struct server *server = servers; server; server = server->next)
        pthread_cancel(server->thread);
    pthread_mutex_unlock(&mount->lock);
    while (servers) {
        struct server *server = servers;

        servers = server->next;
        pthread_join(server->thread, NULL);
        free_server(server);
    }
}
