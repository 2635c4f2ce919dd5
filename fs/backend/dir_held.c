/*
 * Who holds a file is asked with a read lease, which the kernel grants while nobody has the file
 * open for writing; it is given back at once. Whoever opens the file for writing in between waits
 * for that long, or with O_NONBLOCK gets EWOULDBLOCK. Source: fcntl(2), F_SETLEASE.
 *
 * A lease asked for ever so often would be asked for in vain most of the time, so all files are
 * looked at once, and then those that somebody opens: fanotify(7) names them, with the process,
 * where inotify would not tell our own look from another's. For a file that is held nothing tells
 * when a lock is given up, and what tells of a close comes before the kernel lets go of the file:
 * it is looked at after the next pause, and every RELOOK_NS. Where an older kernel has no such
 * watch, every scan looks at all.
 */
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/xattr.h>

#include "copy/base/cleanup.h"
#include "fs/backend/dir.h"

#define RELOOK_NS   UINT64_C(2000000000)
#define EVENT_BYTES 65536 /* at once, */
#define READS_MAX   64    /* so often in one turn */

bool dir_is_locked(int fd, pid_t *ret_pid)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return false; /* where locks are not kept, nobody has one */
    *ret_pid = lock.l_pid;
    return true;
}

static bool is_written(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return errno == EAGAIN;
    (void)fcntl(fd, F_SETLEASE, F_UNLCK); /* of what was just granted; else the close ends it */
    return false;
}

/* A copy that is not adopted yet is held by nobody but ourselves. Of a file system that others use
 * too, nothing that can be seen here says who does. */
static bool is_held(const struct dir *dir, const char *name)
{
    OWNED(fd) int fd = dir->local ? io_open_regular(dir->root, name, O_RDONLY) : -1;
    pid_t pid;

    if (fd < 0)
        return fd == -EWOULDBLOCK; /* somebody has a lease */
    return (is_written(fd) || dir_is_locked(fd, &pid)) && fgetxattr(fd, POOL_XATTR, NULL, 0) < 0;
}

static bool is_used(const struct dir *dir, const char *name)
{
    return dir->base.used && name_set_have(dir->base.used, name);
}

bool dir_see_held(struct dir *dir, const char *name, bool look)
{
    bool was = name_set_have(&dir->held, name), held;

    held = (look || was) && !is_used(dir, name) && is_held(dir, name);

    if (!held)
        name_set_remove(&dir->held, name);
    return held && name_set_add(&dir->held, name) == 0;
}

/* Marks are of the directory, not of its path: a fanotify_mark(2) without one. */
static int begin(struct dir *dir)
{
    const unsigned flags = FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_CLOEXEC | FAN_NONBLOCK;

    dir->opens = fanotify_init(flags, O_RDONLY | O_CLOEXEC);
    if (dir->opens < 0)
        return -errno;
    return fanotify_mark(dir->opens, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FAN_OPEN | FAN_EVENT_ON_CHILD,
                         dir->root, NULL) < 0
               ? -errno
               : 0;
}

void dir_opens_begin(struct dir *dir)
{
    if (dir->local && begin(dir) < 0)
        dir_opens_end(dir);
}

void dir_opens_end(struct dir *dir)
{
    owned_fd(&dir->opens);
    dir->opens = -1;
    dir->looked = false;
}

/* The name, in the record behind an event, whose parts need an alignment of 4 and have it; or "".
 */
static const char *name_of(const struct fanotify_event_metadata *event, const char *record)
{
    const struct fanotify_event_info_fid *info = (const void *)record;
    const struct file_handle *handle = (const void *)info->handle;

    if (event->event_len <= event->metadata_len ||
        info->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME)
        return "";
    return (const char *)handle->f_handle + handle->handle_bytes;
}

static void take_event(struct dir *dir, const struct fanotify_event_metadata *event,
                       const char *record, struct name_set *names)
{
    const char *name = event->mask & FAN_Q_OVERFLOW ? NULL : name_of(event, record);

    if (!name || (name[0] && name[0] != '.' && name_set_add(names, name) < 0))
        dir->looked = false; /* the next scan looks at all */
}

/* Events stand behind each other with an alignment of 4, and need 8. Source: fanotify(7). */
static bool take_events(struct dir *dir, const char *at, const char *end, struct name_set *names)
{
    struct fanotify_event_metadata event;
    bool any = false;

    for (; end - at >= (ptrdiff_t)sizeof(event); at += event.event_len) {
        memcpy(&event, at, sizeof(event));
        if (event.event_len < sizeof(event) || event.event_len > end - at)
            break;
        if (event.pid == getpid())
            continue;
        take_event(dir, &event, at + event.metadata_len, names);
        any = true;
    }
    return any;
}

bool dir_opens_drain(struct dir *dir, struct name_set *names)
{
    _Alignas(struct fanotify_event_metadata) char events[EVENT_BYTES];
    bool any = false;

    for (int i = 0; i < READS_MAX && dir->opens >= 0; i++) {
        ssize_t n = read(dir->opens, events, sizeof(events));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            dir_opens_end(dir);
        if (n <= 0)
            break;
        any |= take_events(dir, events, events + n, names);
    }
    return any;
}

static int add(const char *name, void *arg)
{
    return name_set_add(arg, name);
}

uint64_t dir_held_left_ns(const struct dir *dir)
{
    uint64_t spent_ns = io_now_ns() - dir->held_ns;

    if (!dir->held.root)
        return 0;
    return spent_ns < RELOOK_NS ? RELOOK_NS - spent_ns : 1;
}

void dir_held_again(struct dir *dir, struct name_set *names)
{
    uint64_t now_ns = io_now_ns();

    if (now_ns - dir->held_ns < RELOOK_NS)
        return;
    dir->held_ns = now_ns;
    (void)name_set_each(&dir->held, add, names); /* those left out are looked at the next time */
}
