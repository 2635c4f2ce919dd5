#include "fs/mount/data.h"

#include <errno.h>
#include <stdlib.h>

#include "copy/base/cleanup.h"
#include "fs/live/live.h"
#include "fs/mount/serve.h"
#include "fs/mount/state.h"

static void on_told(struct request *request, int result)
{
    (void)result;
    live_put(request->live); /* of an owner that does not listen any more */
    free(request);
}

int data_prepare(struct handle *handle)
{
    struct request *request = calloc(1, sizeof(*request));

    if (!request)
        return -ENOMEM;
    request->carry_out = service_close_data;
    request->subject.volume = handle->node.number;
    request->caller = handle->caller;
    request->attr = handle->node.attr->name;
    request->answer = on_told;
    handle->closing = request;
    return 0;
}

void data_begin(struct mount *mount, struct handle *handle, struct live *live)
{
    pthread_mutex_lock(&mount->lock);
    handle->live = live;
    pthread_mutex_unlock(&mount->lock);
}

/* Nobody has a request under way on a file that is released: what it has may go. */
void data_end(struct mount *mount, struct handle *handle)
{
    struct request *request = take_ptr(handle->closing);

    if (!request)
        return;
    pthread_mutex_lock(&mount->lock);
    request->live = take_ptr(handle->live);
    pthread_mutex_unlock(&mount->lock);
    service_submit(mount->service, request);
}

void data_read(fuse_req_t req, const struct handle *handle, size_t size, off_t offset)
{
    struct server *server = serve_leave(mount_of(req));
    void *bytes = serve_buffer(server, size);
    int64_t n = bytes ? live_read(handle->live, bytes, size, (uint64_t)offset) : -ENOMEM;

    if (n < 0)
        fuse_reply_err(req, (int)-n);
    else
        fuse_reply_buf(req, bytes, (size_t)n);
    serve_return(server);
}

void data_write(fuse_req_t req, const struct handle *handle, const char *bytes, size_t n,
                off_t offset)
{
    struct server *server = serve_leave(mount_of(req));
    int64_t done = live_write(handle->live, bytes, n, (uint64_t)offset);

    if (done < 0)
        fuse_reply_err(req, (int)-done);
    else
        fuse_reply_write(req, (size_t)done);
    serve_return(server);
}

void data_fsync(fuse_req_t req, const struct handle *handle, bool data_only)
{
    struct server *server = serve_leave(mount_of(req));

    fuse_reply_err(req, -live_sync(handle->live, data_only));
    serve_return(server);
}

void data_fallocate(fuse_req_t req, const struct handle *handle, int mode, off_t offset, off_t n)
{
    struct server *server = serve_leave(mount_of(req));

    fuse_reply_err(req, -live_allocate(handle->live, mode, (uint64_t)offset, (uint64_t)n));
    serve_return(server);
}

void data_lseek(fuse_req_t req, const struct handle *handle, off_t offset, int whence)
{
    struct server *server = serve_leave(mount_of(req));
    int64_t found = live_seek(handle->live, (uint64_t)offset, whence);

    if (found < 0)
        fuse_reply_err(req, (int)-found);
    else
        fuse_reply_lseek(req, found);
    serve_return(server);
}
