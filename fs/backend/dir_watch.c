/*
 * A file that is being written causes thousands of events a second. What bounds them is a pause:
 * the events of one drain name each changed file once, each is looked at once, and then the queue
 * is left alone for PAUSE_NS. What happens meanwhile waits in the kernel and is drained when the
 * pause is over, so the last state of a file is always told, and the first without delay.
 *
 * The descriptor that the agent polls is an epoll: of what was changed and of who was opened
 * (dir_held.c), not during a pause, and of the timer that ends it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

#include "copy/base/cleanup.h"
#include "fs/backend/dir.h"

#define NS_PER_S    UINT64_C(1000000000)
#define PAUSE_NS    (NS_PER_S / 10)
#define DRAIN_BYTES 65536 /* of events at once, */
#define DRAINS_MAX  64    /* so often in one turn */
#define LOST        (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)
#define WATCHED                                                                                    \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE |            \
     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

void dir_unwatch(struct dir *dir)
{
    owned_fd(&dir->watch);
    owned_fd(&dir->inotify);
    owned_fd(&dir->pause);
    dir->watch = dir->inotify = dir->pause = -1;
    dir_opens_end(dir);
}

static int begin(struct dir *dir)
{
    struct epoll_event event = {.events = EPOLLIN};
    char path[64];

    dir->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    dir->pause = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    dir->watch = epoll_create1(EPOLL_CLOEXEC);
    if (dir->inotify < 0 || dir->pause < 0 || dir->watch < 0)
        return -errno;
    /* The directory that is open, whatever its path leads to by now. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", dir->root);
    if (inotify_add_watch(dir->inotify, path, WATCHED | IN_ONLYDIR) < 0)
        return -errno;
    if (epoll_ctl(dir->watch, EPOLL_CTL_ADD, dir->inotify, &event) < 0 ||
        epoll_ctl(dir->watch, EPOLL_CTL_ADD, dir->pause, &event) < 0)
        return -errno;
    return 0;
}

static void watch_opens(struct dir *dir)
{
    struct epoll_event event = {.events = EPOLLIN};

    dir_opens_begin(dir);
    if (dir->opens >= 0 && epoll_ctl(dir->watch, EPOLL_CTL_ADD, dir->opens, &event) < 0)
        dir_opens_end(dir);
}

int dir_watch_fd(struct backend *backend)
{
    struct dir *dir = (struct dir *)backend;

    if (dir->watch < 0 && begin(dir) < 0)
        dir_unwatch(dir);
    else if (dir->opens < 0)
        watch_opens(dir);
    return dir->watch;
}

/* Returns 0, -EOVERFLOW or -ENODEV. */
static int take_event(const struct inotify_event *event, struct name_set *names)
{
    if (event->mask & IN_Q_OVERFLOW)
        return -EOVERFLOW;
    if (event->mask & LOST)
        return -ENODEV;
    if (event->len == 0 && event->mask & IN_ATTRIB) /* of the directory: whom it lets in */
        return -EOVERFLOW;
    if (event->len == 0 || event->name[0] == '.')
        return 0;
    return name_set_add(names, event->name) < 0 ? -EOVERFLOW : 0; /* no memory: look at all */
}

/* *ret_any: there were events, of whatever. Everything is drained, also after -EOVERFLOW. */
static int drain(struct dir *dir, struct name_set *names, bool *ret_any)
{
    _Alignas(struct inotify_event) char events[DRAIN_BYTES];
    int result = 0;

    for (int i = 0; i < DRAINS_MAX; i++) {
        ssize_t n = read(dir->inotify, events, sizeof(events));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* EAGAIN; nothing else is possible */
        *ret_any = true;
        for (const char *at = events; at < events + n;) {
            const struct inotify_event *event = (const void *)at;
            int r = take_event(event, names);

            if (r == -ENODEV)
                return r;
            result = r < 0 ? r : result;
            at += sizeof(*event) + event->len;
        }
    }
    return result;
}

/* Pause after events; listen again after a pause without any, until what is held is to be looked at
 * again. */
static int pause_or_listen(struct dir *dir, bool any)
{
    struct epoll_event event = {.events = any ? 0 : EPOLLIN};
    uint64_t left_ns = any ? PAUSE_NS : dir_held_left_ns(dir);
    const struct itimerspec end = {.it_value = {.tv_sec = (time_t)(left_ns / NS_PER_S),
                                                .tv_nsec = (long)(left_ns % NS_PER_S)}};

    if (timerfd_settime(dir->pause, 0, &end, NULL) < 0 ||
        epoll_ctl(dir->watch, EPOLL_CTL_MOD, dir->inotify, &event) < 0 ||
        (dir->opens >= 0 && epoll_ctl(dir->watch, EPOLL_CTL_MOD, dir->opens, &event) < 0))
        return -errno;
    return 0;
}

struct telling {
    struct dir *dir;
    const struct name_set *told; /* by another telling */
    backend_entry_fn *fn;
    void *arg;
};

static int tell_changed(const char *name, void *arg)
{
    const struct telling *telling = arg;
    struct pool_entry entry;

    if (dir_look(telling->dir, name, true, &entry) < 0)
        return 0;
    if (entry.held)
        (void)name_set_add(&telling->dir->soon, name); /* else it is its turn a little later */
    return telling->fn(&entry, telling->arg);
}

/* An opener changes nothing else. */
static int tell_if_held_anew(const char *name, void *arg)
{
    const struct telling *telling = arg;
    bool was = name_set_have(&telling->dir->held, name);
    struct pool_entry entry;

    if (name_set_have(telling->told, name) || dir_look(telling->dir, name, true, &entry) < 0 ||
        (entry.kind == POOL_ENTRY_VOLUME && was == (entry.held != 0)))
        return 0;
    return telling->fn(&entry, telling->arg);
}

static void owned_names(struct name_set *names)
{
    name_set_deinit(names);
}

int dir_changed(struct backend *backend, backend_entry_fn *fn, void *arg)
{
    struct dir *dir = (struct dir *)backend;
    OWNED(names) struct name_set changed = {0}, opened = dir->soon;
    struct telling telling = {.dir = dir, .told = &changed, .fn = fn, .arg = arg};
    bool any = false;
    int r, paused;

    dir->soon = (struct name_set){0};
    if (dir->watch < 0)
        return 0;
    r = drain(dir, &changed, &any);
    any |= dir_opens_drain(dir, &opened);
    dir_held_again(dir, &opened);
    if (r == 0)
        r = name_set_each(&changed, tell_changed, &telling);
    if (r == 0)
        r = name_set_each(&opened, tell_if_held_anew, &telling);
    paused = pause_or_listen(dir, any);
    return r < 0 ? r : paused;
}
