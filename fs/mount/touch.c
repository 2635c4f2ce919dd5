/*
 * A process that is killed while one of its threads waits for an answer from its own file system
 * would never end: the wait ends when /dev/fuse is closed, which waits for the last thread that has
 * it open. So this thread has a table of descriptors of its own, with nothing in it. It must not
 * log for the same reason: syslog(3) keeps the number of a descriptor for all threads.
 */
#include "fs/mount/touch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "fs/mount/mountpoint.h"
#include "fs/mount/state.h"

struct news {
    enum about about;
    uint32_t events;
    uint64_t number;
};

struct toucher {
    struct mount *mount;
    pthread_t thread;
    bool started; /* to who opens and closes */
    _Atomic pid_t tid;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool stop;
    struct news *news;
    size_t n_news, cap;
};

static bool touches(const struct attr_dir *dir, const struct attr *attr, const struct news *news)
{
    const struct node node = {dir, attr, news->number};

    return attr->touched && node_wakes(&node, news->about, news->number, news->events);
}

static bool is_touched(const struct news *news)
{
    for (int id = 0; id < ATTR_DIR_N; id++)
        for (size_t i = 0; i < attr_dirs[id]->n_attrs; i++)
            if (touches(attr_dirs[id], &attr_dirs[id]->attrs[i], news))
                return true;
    return false;
}

static int by_thing(const void *a, const void *b)
{
    const struct news *x = a, *y = b;

    if (x->about != y->about)
        return x->about < y->about ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* One for each thing. */
static size_t merge(struct news *news, size_t n)
{
    size_t kept = 0;

    qsort(news, n, sizeof(*news), by_thing);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && by_thing(&news[kept - 1], &news[i]) == 0)
            news[kept - 1].events |= news[i].events;
        else
            news[kept++] = news[i];
    }
    return kept;
}

/* Without memory an inotify event is lost, no more. */
static void push(struct toucher *toucher, const struct news *news)
{
    struct news *all = toucher->news;
    size_t cap = toucher->cap ? toucher->cap * 2 : 64;

    if (toucher->n_news == toucher->cap && toucher->cap > 0)
        toucher->n_news = merge(all, toucher->n_news);
    if (toucher->n_news >= toucher->cap / 2 + toucher->cap / 4) {
        all = realloc(all, cap * sizeof(*all));
        if (!all)
            return;
        toucher->news = all;
        toucher->cap = cap;
    }
    all[toucher->n_news++] = *news;
}

void touch_tell(struct mount *mount, enum about about, uint64_t number, uint32_t events)
{
    struct toucher *toucher = mount->toucher;
    const struct news news = {about, events, number};

    if (!is_touched(&news))
        return;
    pthread_mutex_lock(&toucher->lock);
    push(toucher, &news);
    pthread_cond_signal(&toucher->wake);
    pthread_mutex_unlock(&toucher->lock);
}

bool touch_is_own(struct mount *mount, pid_t tid)
{
    return tid != 0 && atomic_load(&mount->toucher->tid) == tid;
}

static int add_path(const struct attr_dir *dir, const struct attr_of *of, char *path, size_t cap)
{
    const char *name = dir->name;
    int n = 0, more;

    if (dir->id != dir->parent)
        n = add_path(attr_dirs[dir->parent], of, path, cap);
    if (n < 0 || dir->id == dir->parent)
        return n;
    if (!name)
        name = of->volume ? of->volume->name : of->host->name;
    more = snprintf(path + n, cap - (size_t)n, "%s/", name);
    return more < 0 || (size_t)more >= cap - (size_t)n ? -ENAMETOOLONG : n + more;
}

/* What fails is gone meanwhile, or the mount is, and nothing hangs on it. */
static void touch(int root_fd, const char *path)
{
    const struct open_how how = {.flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
                                 .resolve =
                                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    OWNED(fd) int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

    if (fd < 0 && errno == EACCES && utimensat(root_fd, path, times, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (fd >= 0 && write(fd, "\n", 1) < 0)
        return;
}

/* The files that the news is about. */
static void touch_all(struct mount *mount, int root_fd, const struct news *news)
{
    OWNED(view) struct view *view = view_get(mount->views);

    for (int id = 0; id < ATTR_DIR_N; id++) {
        const struct attr_dir *dir = attr_dirs[id];

        for (size_t i = 0; i < dir->n_attrs; i++) {
            const struct node node = {dir, &dir->attrs[i], news->number};
            char path[PATH_MAX];
            struct attr_of of;
            int n;

            if (!touches(dir, node.attr, news) || node_find(view, &node, &of) < 0)
                continue;
            n = add_path(dir, &of, path, sizeof(path));
            if (n < 0 || (size_t)n + strlen(node.attr->name) >= sizeof(path))
                continue;
            snprintf(path + n, sizeof(path) - (size_t)n, "%s", node.attr->name);
            touch(root_fd, path);
        }
    }
}

/* Wait for news and take them all. False: stop. */
static bool take_news(struct toucher *toucher, struct news **ret, size_t *ret_n)
{
    bool stop;

    pthread_mutex_lock(&toucher->lock);
    while (!toucher->stop && toucher->n_news == 0)
        pthread_cond_wait(&toucher->wake, &toucher->lock);
    stop = toucher->stop;
    *ret = take_ptr(toucher->news);
    *ret_n = toucher->n_news;
    toucher->n_news = toucher->cap = 0;
    pthread_mutex_unlock(&toucher->lock);
    return !stop;
}

static bool stopped(struct toucher *toucher)
{
    bool stop;

    pthread_mutex_lock(&toucher->lock);
    stop = toucher->stop;
    pthread_mutex_unlock(&toucher->lock);
    return stop;
}

static void tell_all(struct toucher *toucher, const struct news *news, size_t n)
{
    struct mount *mount = toucher->mount;
    OWNED(fd) int root_fd = mountpoint_open(mount->path, mount->dev);

    for (size_t i = 0; i < n && root_fd >= 0 && !stopped(toucher); i++)
        touch_all(mount, root_fd, &news[i]);
}

static void *run(void *arg)
{
    struct toucher *toucher = arg;
    bool go_on = true;

    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_UNSHARE) < 0)
        return NULL;
    atomic_store(&toucher->tid, gettid());
    while (go_on) {
        OWNED(mem) struct news *news = NULL;
        size_t n;

        go_on = take_news(toucher, &news, &n);
        if (go_on)
            tell_all(toucher, news, merge(news, n));
    }
    return NULL;
}

int touch_open(struct mount *mount)
{
    struct toucher *toucher = calloc(1, sizeof(*toucher));

    if (!toucher)
        return -ENOMEM;
    toucher->mount = mount;
    pthread_mutex_init(&toucher->lock, NULL);
    pthread_cond_init(&toucher->wake, NULL);
    mount->toucher = toucher;
    return 0;
}

void touch_close(struct mount *mount)
{
    struct toucher *toucher = mount->toucher;

    if (!toucher)
        return;
    pthread_cond_destroy(&toucher->wake);
    pthread_mutex_destroy(&toucher->lock);
    free(toucher->news);
    free(toucher);
}

int touch_start(struct mount *mount)
{
    struct toucher *toucher = mount->toucher;
    int r = pthread_create(&toucher->thread, NULL, run, toucher);

    toucher->started = r == 0;
    return -r;
}

void touch_stop(struct mount *mount)
{
    struct toucher *toucher = mount->toucher;

    if (!toucher->started)
        return;
    pthread_mutex_lock(&toucher->lock);
    toucher->stop = true;
    pthread_cond_signal(&toucher->wake);
    pthread_mutex_unlock(&toucher->lock);
    pthread_join(toucher->thread, NULL);
    toucher->started = false;
}
