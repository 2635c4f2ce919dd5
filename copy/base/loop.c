/*
 * A turn is: wait, call the sources that have events, call the timers that are due, call `after`,
 * free what was removed meanwhile.
 *
 * An event names its source by a number that is never given twice, not by its address: an event may
 * outlive its source by any time. epoll watches an open file until its last descriptor is closed,
 * and a child between fork and exec has copies of all of ours; where a descriptor was closed before
 * its source was removed, nothing can take it out of epoll any more.
 */
#include "copy/base/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"

#define EVENTS_MAX 64 /* fetched in one turn; the rest comes in the next */
#define NS_PER_MS  UINT64_C(1000000)
#define AT_REST    UINT64_MAX

struct loop_source {
    LIST_ENTRY(loop_source) entry; /* among loop->fds, ->timers (the earliest first) or ->removed */
    struct loop *loop;
    uint64_t number; /* of its events; 0 is the wake */
    int fd;          /* -1: a timer */
    bool removed;
    uint64_t due_ns;
    union {
        loop_fd_fn *fd_fn;
        loop_fn *fn;
    };
    void *arg;
};

LIST_HEAD(source_list, loop_source);

struct loop {
    int epoll, wake;
    bool stopped;
    uint64_t last_number;
    loop_fn *after;
    void *after_arg;
    struct source_list fds, timers, removed;
};

int loop_open(struct loop **ret)
{
    OWNED(loop) struct loop *loop = NULL;
    struct epoll_event event = {.events = EPOLLIN};

    loop = calloc(1, sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    loop->epoll = loop->wake = -1;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0)
        return -errno;
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) < 0)
        return -errno;
    *ret = take_ptr(loop);
    return 0;
}

static void free_list(struct source_list *list)
{
    while (!LIST_EMPTY(list)) {
        struct loop_source *source = LIST_FIRST(list);

        LIST_REMOVE(source, entry);
        free(source);
    }
}

void loop_close(struct loop *loop)
{
    if (!loop)
        return;
    free_list(&loop->fds);
    free_list(&loop->timers);
    free_list(&loop->removed);
    owned_fd(&loop->wake);
    owned_fd(&loop->epoll);
    owned_mem(&loop);
}

static struct loop_source *new_source(struct loop *loop, int fd, void *arg)
{
    struct loop_source *source = calloc(1, sizeof(*source));

    if (!source)
        return NULL;
    source->loop = loop;
    source->number = ++loop->last_number;
    source->fd = fd;
    source->due_ns = AT_REST;
    source->arg = arg;
    return source;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg,
                struct loop_source **ret)
{
    OWNED(mem) struct loop_source *source = new_source(loop, fd, arg);
    struct epoll_event event = {.events = events};

    if (!source)
        return -ENOMEM;
    source->fd_fn = fn;
    event.data.u64 = source->number;
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    LIST_INSERT_HEAD(&loop->fds, source, entry);
    *ret = take_ptr(source);
    return 0;
}

/* In the order of due_ns, behind its equals. */
static void insert_timer(struct source_list *timers, struct loop_source *timer)
{
    struct loop_source *last = NULL, *other;

    LIST_FOREACH(other, timers, entry)
    {
        if (other->due_ns > timer->due_ns)
            break;
        last = other;
    }
    if (last)
        LIST_INSERT_AFTER(last, timer, entry);
    else
        LIST_INSERT_HEAD(timers, timer, entry);
}

int loop_add_timer(struct loop *loop, loop_fn *fn, void *arg, struct loop_source **ret)
{
    struct loop_source *timer = new_source(loop, -1, arg);

    if (!timer)
        return -ENOMEM;
    timer->fn = fn;
    insert_timer(&loop->timers, timer);
    *ret = timer;
    return 0;
}

static void move_timer(struct loop_source *timer, uint64_t due_ns)
{
    if (timer->removed)
        return;
    LIST_REMOVE(timer, entry);
    timer->due_ns = due_ns;
    insert_timer(&timer->loop->timers, timer);
}

void loop_set_timer(struct loop_source *timer, uint64_t delay_ns)
{
    uint64_t due_ns;

    if (__builtin_add_overflow(io_now_ns(), delay_ns, &due_ns))
        due_ns = AT_REST - 1;
    move_timer(timer, due_ns);
}

void loop_stop_timer(struct loop_source *timer)
{
    move_timer(timer, AT_REST);
}

void loop_remove(struct loop_source *source)
{
    if (!source || source->removed)
        return;
    if (source->fd >= 0)
        epoll_ctl(source->loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    source->removed = true;
    LIST_REMOVE(source, entry);
    LIST_INSERT_HEAD(&source->loop->removed, source, entry);
}

void loop_set_after(struct loop *loop, loop_fn *fn, void *arg)
{
    loop->after = fn;
    loop->after_arg = arg;
}

void loop_wake(struct loop *loop)
{
    const uint64_t one = 1;
    int saved = errno;

    /* It fails only when the counter is full, and then a wake is under way. */
    while (write(loop->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    errno = saved;
}

static void drain_wake(struct loop *loop)
{
    uint64_t n;

    while (read(loop->wake, &n, sizeof(n)) < 0 && errno == EINTR)
        continue;
}

/* Rounded up: a timer is never early. */
static int timeout_ms(const struct loop *loop)
{
    const struct loop_source *first = LIST_FIRST(&loop->timers);
    uint64_t now = io_now_ns(), ms;

    if (!first || first->due_ns == AT_REST)
        return -1;
    if (first->due_ns <= now)
        return 0;
    ms = (first->due_ns - now - 1) / NS_PER_MS + 1;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* Timers set by a callback of this turn wait for the next one, or 0 ns would never let it end. */
static void call_timers(struct loop *loop, uint64_t now)
{
    struct loop_source *timer;

    while ((timer = LIST_FIRST(&loop->timers)) && timer->due_ns <= now) {
        move_timer(timer, AT_REST);
        timer->fn(timer->arg);
    }
}

static void call_fd(struct loop *loop, const struct epoll_event *event)
{
    struct loop_source *source;

    LIST_FOREACH(source, &loop->fds, entry)
    {
        if (source->number == event->data.u64)
            break;
    }
    if (source)
        source->fd_fn(source->arg, event->events);
    else if (event->data.u64 == 0)
        drain_wake(loop);
}

static int turn(struct loop *loop)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now;
    int n;

    n = epoll_wait(loop->epoll, events, EVENTS_MAX, timeout_ms(loop));
    if (n < 0 && errno != EINTR)
        return -errno;
    now = io_now_ns();
    for (int i = 0; i < n; i++)
        call_fd(loop, &events[i]);
    call_timers(loop, now);
    if (loop->after)
        loop->after(loop->after_arg);
    free_list(&loop->removed);
    return 0;
}

int loop_run(struct loop *loop)
{
    int r = 0;

    while (r == 0 && !loop->stopped)
        r = turn(loop);
    loop->stopped = false;
    return r;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}
