#include "fs/mount/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "copy/base/cleanup.h"
#include "fs/mount/command.h"
#include "fs/mount/data.h"
#include "fs/mount/park.h"
#include "fs/mount/state.h"
#include "fs/mount/touch.h"

static bool wants_write(const struct fuse_file_info *fi)
{
    return (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
}

/* What default_permissions has not refused already: root may not either. */
static int may_open(const struct node *node, const struct fuse_file_info *fi, bool own)
{
    if (node->attr->data) /* its size is what it is */
        return fi->flags & O_TRUNC ? -EPERM : 0;
    if ((fi->flags & O_ACCMODE) != O_WRONLY && !node->attr->show && !node->attr->feed)
        return -EACCES;
    if (wants_write(fi) && !node->attr->store && !own)
        return -EACCES;
    return 0;
}

static int begin(struct mount *mount, fuse_req_t req, fuse_ino_t ino,
                 const struct fuse_file_info *fi, struct handle **ret)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    const struct caller caller = {ctx->uid, ctx->gid, ctx->pid};
    bool own = touch_is_own(mount, ctx->pid);
    OWNED(view) struct view *view = view_get(mount->views);
    struct node node;
    struct attr_of of;
    int r;

    r = node_decode(ino, &node);
    if (r == 0)
        r = node_find(view, &node, &of);
    if (r == 0 && !node.attr)
        r = -EISDIR;
    if (r == 0)
        r = may_open(&node, fi, own);
    if (r == 0)
        r = handle_open(mount, &node, &caller, own, ret);
    if (r == 0 && node.attr->data) {
        node_stat(mount, &of, &node, &(*ret)->stat);
        r = data_prepare(*ret);
        if (r < 0) {
            handle_remove(mount, *ret);
            handle_put(take_ptr(*ret));
        }
    }
    if (r == 0 && node.attr->feed)
        feed_reader_init(&(*ret)->reader, node.attr->feed(&of));
    return r;
}

void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    struct handle *handle = NULL;
    int r = begin(mount, req, ino, fi, &handle);

    if (r < 0)
        fuse_reply_err(req, -r);
    else if (handle->node.attr->data ||
             (wants_write(fi) && handle->node.attr->admit && !handle->own))
        command_open(req, handle, fi);
    else
        reply_open(req, mount, handle, fi);
}

static int check_read(struct mount *mount, struct handle *handle, off_t offset, int flags)
{
    int r;

    if (!handle || (handle->node.attr->data && !handle->live))
        return -EBADF;
    if (!handle->node.attr->ready || (offset > 0 && handle_was_read(mount, handle)))
        return 1;
    r = park_ready(mount, &handle->node);
    return r == 0 && flags & O_NONBLOCK ? -EAGAIN : r;
}

/* What comes after this read is news. */
static void read_feed(fuse_req_t req, struct mount *mount, struct handle *handle, size_t size,
                      uint64_t offset)
{
    OWNED(feed_part) struct feed_part part = {0};

    pthread_mutex_lock(&mount->lock);
    handle->due = false;
    pthread_mutex_unlock(&mount->lock);
    feed_read(&handle->reader, offset, size, &part);
    fuse_reply_iov(req, part.iov, part.n_iov);
}

void file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    OWNED(handle) struct handle *handle = handle_get(mount, fi->fh, ino);
    int r = check_read(mount, handle, offset, fi->flags);

    if (r < 0)
        fuse_reply_err(req, -r);
    else if (handle->live)
        data_read(req, handle, size, offset);
    else if (handle->reader.feed)
        read_feed(req, mount, handle, size, (uint64_t)offset);
    else if (r == 0)
        park_read(mount, req, handle, size, (uint64_t)offset, fi->lock_owner);
    else
        reply_read(req, mount, handle, size, (uint64_t)offset);
}

void file_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t n, off_t offset,
                struct fuse_file_info *fi)
{
    OWNED(handle) struct handle *handle = handle_get(mount_of(req), fi->fh, ino);

    if (!handle)
        fuse_reply_err(req, EBADF);
    else if (handle->live)
        data_write(req, handle, bytes, n, offset);
    else if (fi->writepage)
        fuse_reply_err(req, EPERM); /* a store to a mapping is no write(2) and has no author */
    else if (handle->own)
        fuse_reply_write(req, n);
    else
        command_write(req, handle, bytes, n);
}

void file_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
    OWNED(handle) struct handle *handle = handle_get(mount_of(req), fi->fh, ino);

    if (handle && handle->live)
        data_fsync(req, handle, data_only != 0);
    else
        fuse_reply_err(req, handle ? 0 : EBADF);
}

void file_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t n,
                    struct fuse_file_info *fi)
{
    OWNED(handle) struct handle *handle = handle_get(mount_of(req), fi->fh, ino);

    if (handle && handle->live)
        data_fallocate(req, handle, mode, offset, n);
    else
        fuse_reply_err(req, handle ? EOPNOTSUPP : EBADF);
}

/* One stretch of data, as the kernel says itself of a file system that knows no holes. */
static void seek_in_text(fuse_req_t req, const struct node *node, off_t offset, int whence)
{
    struct mount *mount = mount_of(req);
    OWNED(view) struct view *view = view_get(mount->views);
    struct attr_of of;
    struct stat st;
    int r = node_find(view, node, &of);

    if (r == 0)
        r = node_stat(mount, &of, node, &st);
    if (r == 0 && offset >= st.st_size)
        r = -ENXIO;
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_lseek(req, whence == SEEK_HOLE ? st.st_size : offset);
}

void file_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
    OWNED(handle) struct handle *handle = handle_get(mount_of(req), fi->fh, ino);

    if (!handle)
        fuse_reply_err(req, EBADF);
    else if (handle->live)
        data_lseek(req, handle, offset, whence);
    else
        seek_in_text(req, &handle->node, offset, whence);
}

/* As in sysfs; of a file that blocks, whether it still would. */
static unsigned ready_events(struct mount *mount, const struct handle *handle, bool due)
{
    if (!handle->node.attr->ready)
        return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | (due ? POLLPRI | POLLERR : 0);
    return park_ready(mount, &handle->node) == 0 ? 0 : POLLIN | POLLRDNORM;
}

void file_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
               struct fuse_pollhandle *poll)
{
    struct mount *mount = mount_of(req);
    OWNED(handle) struct handle *handle = handle_get(mount, fi->fh, ino);
    struct fuse_pollhandle *old = handle ? NULL : poll;
    unsigned events = POLLERR;
    bool due;

    if (handle) {
        /* First where to call, then whether it is time: what comes between calls. */
        pthread_mutex_lock(&mount->lock);
        if (poll) {
            old = handle->poll;
            handle->poll = poll;
        }
        due = handle->due;
        pthread_mutex_unlock(&mount->lock);
        events = ready_events(mount, handle, due);
    }
    if (old)
        fuse_pollhandle_destroy(old);
    fuse_reply_poll(req, events);
}

void file_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    OWNED(handle) struct handle *handle = handle_get(mount, fi->fh, ino);

    if (handle && handle->node.attr->ready)
        park_end_owner(mount, handle, fi->lock_owner);
    fuse_reply_err(req, 0);
}

void file_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    OWNED(handle) struct handle *handle = handle_get(mount, fi->fh, ino);

    if (handle) {
        data_end(mount, handle);
        handle_remove(mount, handle);
    }
    fuse_reply_err(req, 0);
}

/* The open files that the change is news to, chained, with a reference each. */
static struct handle *collect(struct mount *mount, const struct view *view, enum about about,
                              uint64_t number, uint32_t events)
{
    bool members = about == ABOUT_SERVICE && events & EVENT_BIT(EVENT_MEMBERS);
    struct handle *due = NULL;
    struct attr_of of;

    pthread_mutex_lock(&mount->lock);
    for (uint32_t i = 0; i < mount->handles.n_slots; i++) {
        struct handle *handle = mount->handles.slots[i].handle;

        if (!handle || !(node_wakes(&handle->node, about, number, events) ||
                         (members && node_find(view, &handle->node, &of) < 0)))
            continue;
        handle->due = true;
        if (!handle->poll)
            continue;
        handle->next_due = due;
        due = handle_ref(handle);
    }
    pthread_mutex_unlock(&mount->lock);
    return due;
}

void file_changed(struct mount *mount, enum about about, uint64_t number, uint32_t events)
{
    OWNED(view) struct view *view = view_get(mount->views);
    struct handle *next;

    for (struct handle *due = collect(mount, view, about, number, events); due; due = next) {
        struct fuse_pollhandle *poll;

        next = due->next_due;
        pthread_mutex_lock(&mount->lock);
        poll = due->poll;
        due->poll = NULL;
        pthread_mutex_unlock(&mount->lock);
        if (poll) {
            fuse_lowlevel_notify_poll(poll);
            fuse_pollhandle_destroy(poll);
        }
        handle_put(due);
    }
}
