#include "copy/endpoint/nbd_connection.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/endpoint/nbd_handle.h"
#include "copy/endpoint/nbd_library.h"

#define PATIENCE_S 30
#define GOODBYE_MS 200
#define NS_PER_MS  UINT64_C(1000000)

struct connection {
    const char *uri;
    const struct nbd_facts *like;
    pthread_t thread;
    int event_fd; /* readable: look at inbox and stopping */

    pthread_mutex_t lock; /* guards what follows up to here: */
    pthread_cond_t changed;
    struct nbd_jobs inbox;
    bool stopping;
    struct err err; /* why it is not ready */
    /* changes under the lock, is looked at without */
    _Atomic enum connection_state state;
    atomic_uint n_jobs;

    /* The thread's alone; facts stay as they are once it is ready. */
    struct nbd_handle *handle;
    struct nbd_facts facts;
    struct nbd_jobs sent, answered;
    struct nbd_jobs waiting; /* ragged ones, until the one on its way is over */
    struct nbd_job *ragged;
};

enum connection_state connection_state(const struct connection *connection)
{
    return atomic_load(&connection->state);
}

unsigned connection_load(const struct connection *connection)
{
    return atomic_load_explicit(&connection->n_jobs, memory_order_relaxed);
}

const struct nbd_facts *connection_facts(const struct connection *connection)
{
    return &connection->facts;
}

static void wake(struct connection *connection)
{
    eventfd_write(connection->event_fd, 1);
}

bool connection_submit(struct connection *connection, struct nbd_job *job)
{
    bool ready, first;

    pthread_mutex_lock(&connection->lock);
    ready = connection_state(connection) == CONNECTION_READY && !connection->stopping;
    first = TAILQ_EMPTY(&connection->inbox);
    if (ready) {
        job->connection = connection;
        atomic_fetch_add_explicit(&connection->n_jobs, 1, memory_order_relaxed);
        TAILQ_INSERT_TAIL(&connection->inbox, job, link);
        if (first)
            wake(connection);
    }
    pthread_mutex_unlock(&connection->lock);
    return ready;
}

static void set_state(struct connection *connection, enum connection_state state)
{
    pthread_mutex_lock(&connection->lock);
    atomic_store(&connection->state, state);
    pthread_cond_broadcast(&connection->changed);
    pthread_mutex_unlock(&connection->lock);
}

/* Why it does not come to be, unless it was told already. */
static void note_error(struct connection *connection, int code, const char *why)
{
    if (connection->err.code == 0)
        err_set(&connection->err, code, "%s", why);
}

static void note_libnbd_error(struct connection *connection)
{
    const char *why = libnbd.get_error();

    note_error(connection, libnbd.get_errno() > 0 ? libnbd.get_errno() : ECONNABORTED,
               why ? why : "the server has hung up");
}

/* Called within libnbd, which must not be called from there. */
static int note_answer(void *arg, int *error)
{
    struct nbd_job *job = arg;
    struct connection *connection = job->connection;

    job->r = -*error;
    TAILQ_REMOVE(&connection->sent, job, link);
    TAILQ_INSERT_TAIL(&connection->answered, job, link);
    return 1;
}

/*
 * Where the connection is lost while it sends, libnbd answers at once, and then returns the cookie
 * of a command that it has freed: what it says may be a failure of the call, but the job is over.
 * Source: libnbd 1.14.2, nbd_internal_command_common in lib/rw.c.
 */
static void send_job(struct connection *connection, struct nbd_job *job)
{
    int error;

    TAILQ_INSERT_TAIL(&connection->sent, job, link);
    job->r = 1; /* no answer yet */
    error = -job_send(job, &connection->facts, connection->handle, note_answer);
    if (error > 0 && handle_is_gone(connection->handle))
        error = ENOTCONN; /* which libnbd calls EINVAL */
    if (error > 0 && job->r == 1)
        note_answer(job, &error);
}

static void begin_job(struct connection *connection, struct nbd_job *job)
{
    bool ragged = job_is_ragged(job, &connection->facts);
    int r;

    if (ragged && connection->ragged) {
        TAILQ_INSERT_TAIL(&connection->waiting, job, link);
        return;
    }
    if (ragged)
        connection->ragged = job;
    r = job_begin(job, &connection->facts);
    if (r == 0) {
        send_job(connection, job);
        return;
    }
    job->r = r;
    TAILQ_INSERT_TAIL(&connection->answered, job, link);
}

static void end_job(struct connection *connection, struct nbd_job *job, int r)
{
    struct nbd_job *next = NULL;

    if (connection->ragged == job) {
        connection->ragged = NULL;
        next = TAILQ_FIRST(&connection->waiting);
    }
    if (next)
        TAILQ_REMOVE(&connection->waiting, next, link);
    atomic_fetch_sub_explicit(&connection->n_jobs, 1, memory_order_relaxed);
    job_end(job, r);
    if (next)
        begin_job(connection, next);
}

/* All that can be done without waiting. When a job ends by the loss of the connection, it is known
 * already that it is lost, so whoever tries again gets another: that is left to lose(). */
static void work(struct connection *connection)
{
    struct nbd_jobs jobs = TAILQ_HEAD_INITIALIZER(jobs);
    struct nbd_job *job;

    pthread_mutex_lock(&connection->lock);
    TAILQ_CONCAT(&jobs, &connection->inbox, link);
    pthread_mutex_unlock(&connection->lock);
    while ((job = TAILQ_FIRST(&jobs))) {
        TAILQ_REMOVE(&jobs, job, link);
        begin_job(connection, job);
    }
    while ((job = TAILQ_FIRST(&connection->answered))) {
        if (job->r < 0 && handle_is_gone(connection->handle))
            return;
        TAILQ_REMOVE(&connection->answered, job, link);
        if (job_advance(job))
            send_job(connection, job);
        else
            end_job(connection, job, job->r);
    }
}

static void fail_all(struct connection *connection, struct nbd_jobs *jobs)
{
    struct nbd_job *job;

    while ((job = TAILQ_FIRST(jobs))) {
        TAILQ_REMOVE(jobs, job, link);
        atomic_fetch_sub_explicit(&connection->n_jobs, 1, memory_order_relaxed);
        job_end(job, -ENOTCONN);
    }
}

/* libnbd touches no buffer any more once its handle is closed. */
static void lose(struct connection *connection)
{
    bool was_ready = connection_state(connection) == CONNECTION_READY;

    set_state(connection, was_ready ? CONNECTION_LOST : CONNECTION_REFUSED);
    libnbd.close(connection->handle);
    fail_all(connection, &connection->answered);
    fail_all(connection, &connection->sent);
    fail_all(connection, &connection->waiting);
    fail_all(connection, &connection->inbox);
}

/* The handshake is over. */
static int begin_service(struct connection *connection)
{
    int r = facts_ask(connection->handle, &connection->facts);

    if (r == 0 && connection->like && !facts_alike(connection->like, &connection->facts))
        r = -EPROTO;
    if (r < 0) {
        note_error(connection, -r, "the server says things that cannot be");
        return r;
    }
    handle_watch_peer(connection->handle);
    set_state(connection, CONNECTION_READY);
    return 0;
}

static void say_goodbye(struct connection *connection)
{
    uint64_t until_ns = io_now_ns() + GOODBYE_MS * NS_PER_MS;
    uint64_t now_ns;

    if (handle_is_gone(connection->handle) || libnbd.aio_disconnect(connection->handle, 0) < 0)
        return;
    while (!handle_is_gone(connection->handle) && (now_ns = io_now_ns()) < until_ns) {
        if (handle_wait(connection->handle, connection->event_fd,
                        (int)((until_ns - now_ns) / NS_PER_MS) + 1) < 0)
            return;
    }
}

static bool is_stopping(struct connection *connection)
{
    bool stopping;

    pthread_mutex_lock(&connection->lock);
    stopping = connection->stopping;
    pthread_mutex_unlock(&connection->lock);
    return stopping;
}

/* One turn. Returns 0 or a negative errno: it is over. */
static int turn(struct connection *connection)
{
    int r = 0;

    if (connection_state(connection) == CONNECTION_BEGUN &&
        libnbd.aio_is_ready(connection->handle) > 0)
        r = begin_service(connection);
    if (r < 0)
        return r;
    work(connection);
    if (handle_is_gone(connection->handle) ||
        handle_wait(connection->handle, connection->event_fd, -1) < 0) {
        note_libnbd_error(connection);
        return -ENOTCONN;
    }
    return 0;
}

static void *run(void *arg)
{
    struct connection *connection = arg;
    int r = handle_connect(connection->handle, connection->uri);

    if (r < 0)
        note_libnbd_error(connection);
    while (r == 0 && !is_stopping(connection))
        r = turn(connection);
    if (r == 0 && connection_state(connection) == CONNECTION_READY)
        say_goodbye(connection);
    lose(connection);
    return NULL;
}

/* Signals are for the threads of whoever uses us. */
static int start_thread(struct connection *connection)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&connection->thread, NULL, run, connection);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

static void free_connection(struct connection *connection)
{
    close(connection->event_fd);
    pthread_mutex_destroy(&connection->lock);
    pthread_cond_destroy(&connection->changed);
    free(connection);
}

int connection_open(const char *uri, const struct nbd_facts *like, struct connection **ret)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    pthread_condattr_t attr;
    int r;

    if (!connection)
        return -ENOMEM;
    connection->uri = uri;
    connection->like = like;
    TAILQ_INIT(&connection->inbox);
    TAILQ_INIT(&connection->sent);
    TAILQ_INIT(&connection->answered);
    TAILQ_INIT(&connection->waiting);
    pthread_mutex_init(&connection->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&connection->changed, &attr);
    pthread_condattr_destroy(&attr);
    connection->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    connection->handle = libnbd.create();
    r = connection->event_fd < 0 ? -errno : start_thread(connection);
    if (r < 0) {
        libnbd.close(connection->handle);
        free_connection(connection);
        return r;
    }
    *ret = connection;
    return 0;
}

int connection_wait(struct connection *connection, struct err *e)
{
    struct timespec until;
    int error = 0, r = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&connection->lock);
    while (connection_state(connection) == CONNECTION_BEGUN && error == 0)
        error = pthread_cond_timedwait(&connection->changed, &connection->lock, &until);
    if (connection_state(connection) == CONNECTION_BEGUN)
        r = err_set(e, ETIMEDOUT, "no answer within %d s", PATIENCE_S);
    else if (connection_state(connection) != CONNECTION_READY)
        r = err_set(e, connection->err.code, "%s", connection->err.text);
    pthread_mutex_unlock(&connection->lock);
    return r;
}

void connection_close(struct connection *connection)
{
    if (!connection)
        return;
    pthread_mutex_lock(&connection->lock);
    connection->stopping = true;
    pthread_mutex_unlock(&connection->lock);
    wake(connection);
    pthread_join(connection->thread, NULL);
    free_connection(connection);
}
