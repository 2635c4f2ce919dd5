/*
 * A file that is being written causes thousands of events a second. What bounds them is a pause:
 * the events of one drain name each changed file once, each is looked at once, and then the queue
 * is left alone for PAUSE_NS. What happens meanwhile waits in the kernel and is drained when the
 * pause is over, so the last state of a file is always told, and the first without delay.
 *
 * The descriptor that the agent polls is an epoll of two: the events, not during a pause, and the
 * timer that ends it.
 */
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

#include "copy/base/cleanup.h"
#include "fs/backend/dir.h"

#define PAUSE_NS    100000000
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

int dir_watch_fd(struct backend *backend)
{
    struct dir *dir = (struct dir *)backend;

    if (dir->watch < 0 && begin(dir) < 0)
        dir_unwatch(dir);
    return dir->watch;
}

/* A set of names, a tree of tsearch(3). */
struct names {
    void *root;
};

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int names_add(struct names *names, const char *name)
{
    OWNED(mem) char *copy = NULL;
    char **at;

    if (tfind(name, &names->root, compare))
        return 0;
    copy = strdup(name);
    at = copy ? tsearch(copy, &names->root, compare) : NULL;
    if (!at)
        return -ENOMEM;
    take_ptr(copy);
    return 1;
}

static void owned_names(struct names *names)
{
    tdestroy(names->root, free);
}

/* Returns 0, -EOVERFLOW or -ENODEV. */
static int take_event(const struct inotify_event *event, struct names *names)
{
    if (event->mask & IN_Q_OVERFLOW)
        return -EOVERFLOW;
    if (event->mask & LOST)
        return -ENODEV;
    if (event->len == 0 || event->name[0] == '.')
        return 0;
    return names_add(names, event->name) < 0 ? -EOVERFLOW : 0; /* no memory: look at all */
}

/* *ret_any: there were events, of whatever. Everything is drained, also after -EOVERFLOW. */
static int drain(struct dir *dir, struct names *names, bool *ret_any)
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

/* Pause after events; listen again after a pause without any. */
static int pause_or_listen(struct dir *dir, bool any)
{
    struct epoll_event event = {.events = any ? 0 : EPOLLIN};
    struct itimerspec end = {.it_value.tv_nsec = any ? PAUSE_NS : 0};

    if (timerfd_settime(dir->pause, 0, &end, NULL) < 0 ||
        epoll_ctl(dir->watch, EPOLL_CTL_MOD, dir->inotify, &event) < 0)
        return -errno;
    return 0;
}

struct telling {
    const struct dir *dir;
    backend_entry_fn *fn;
    void *arg;
    int r;
};

static void tell(const void *node, VISIT order, void *arg)
{
    struct telling *telling = arg;
    struct pool_entry entry;

    if ((order != postorder && order != leaf) || telling->r < 0)
        return;
    if (dir_look(telling->dir, *(const char *const *)node, &entry) == 0)
        telling->r = telling->fn(&entry, telling->arg);
}

int dir_changed(struct backend *backend, backend_entry_fn *fn, void *arg)
{
    struct dir *dir = (struct dir *)backend;
    struct telling telling = {.dir = dir, .fn = fn, .arg = arg};
    OWNED(names) struct names names = {0};
    bool any = false;
    int r, paused;

    if (dir->watch < 0)
        return 0;
    r = drain(dir, &names, &any);
    paused = pause_or_listen(dir, any);
    if (r < 0)
        return r;
    if (paused < 0)
        return paused;
    twalk_r(names.root, tell, &telling);
    return telling.r;
}
