#include "fs/mount/data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/live/live.h"
#include "fs/mount/serve.h"
#include "fs/mount/state.h"

static void on_told(struct request *request, int result)
{
    (void)result;
    live_let_go(request->live); /* of an owner that does not listen any more */
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
    atomic_store(&handle->errors, live_errors(live));
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

/*
 * A request that waits for storage. On the stack of the thread that serves it; where as many as may
 * are at that volume already, a copy of it waits in the volume's queue.
 */
struct data_job {
    struct live_wait wait; /* first */
    void (*run)(const struct data_job *job, struct server *server);
    fuse_req_t req;
    struct handle *handle;
    const char *bytes; /* that are written */
    size_t n;
    off_t offset;
    int flags; /* as the request has them */
};

/* With a reference to its handle, and the bytes behind it. */
static struct data_job *copy_of(const struct data_job *job)
{
    size_t n_bytes = job->bytes ? job->n : 0;
    struct data_job *copy = malloc(sizeof(*copy) + n_bytes);

    if (!copy)
        return NULL;
    *copy = *job;
    handle_ref(copy->handle);
    if (job->bytes) {
        memcpy(copy + 1, job->bytes, n_bytes);
        copy->bytes = (const char *)(copy + 1);
    }
    return copy;
}

static void free_job(struct data_job *job)
{
    handle_put(job->handle);
    free(job);
}

/* The request, and whatever waits by the time it is done. */
static void work(const struct data_job *job)
{
    struct live *live = live_ref(job->handle->live);
    struct server *server = serve_leave(mount_of(job->req));
    struct live_wait *next;

    job->run(job, server);
    while ((next = live_leave(live))) {
        struct data_job *waited = (struct data_job *)next;

        waited->run(waited, server);
        free_job(waited);
    }
    live_put(live); /* the last one may wait too */
    serve_return(server);
}

static void submit(struct data_job *job)
{
    struct data_job *copy;

    if (live_enter(job->handle->live, NULL)) {
        work(job);
        return;
    }
    copy = copy_of(job);
    if (!copy) {
        fuse_reply_err(job->req, ENOMEM);
        return;
    }
    if (!live_enter(copy->handle->live, &copy->wait))
        return; /* and it may be done and gone by now */
    work(copy);
    free_job(copy);
}

static void run_read(const struct data_job *job, struct server *server)
{
    void *bytes = serve_buffer(server, job->n);
    int64_t n =
        bytes ? live_read(job->handle->live, bytes, job->n, (uint64_t)job->offset) : -ENOMEM;

    if (n < 0)
        fuse_reply_err(job->req, (int)-n);
    else
        fuse_reply_buf(job->req, bytes, (size_t)n);
}

static void run_write(const struct data_job *job, struct server *server)
{
    int64_t n = live_write(job->handle->live, job->bytes, job->n, (uint64_t)job->offset);

    (void)server;
    if (n < 0)
        fuse_reply_err(job->req, (int)-n);
    else
        fuse_reply_write(job->req, (size_t)n);
}

static void run_fsync(const struct data_job *job, struct server *server)
{
    (void)server;
    fuse_reply_err(job->req, -live_sync(job->handle->live, job->flags != 0, &job->handle->errors));
}

static void run_fallocate(const struct data_job *job, struct server *server)
{
    (void)server;
    fuse_reply_err(job->req,
                   -live_allocate(job->handle->live, job->flags, (uint64_t)job->offset, job->n));
}

static void run_lseek(const struct data_job *job, struct server *server)
{
    int64_t found = live_seek(job->handle->live, (uint64_t)job->offset, job->flags);

    (void)server;
    if (found < 0)
        fuse_reply_err(job->req, (int)-found);
    else
        fuse_reply_lseek(job->req, found);
}

void data_read(fuse_req_t req, struct handle *handle, size_t n, off_t offset)
{
    struct data_job job = {.run = run_read, .req = req, .handle = handle, .n = n, .offset = offset};

    submit(&job);
}

void data_write(fuse_req_t req, struct handle *handle, const char *bytes, size_t n, off_t offset)
{
    struct data_job job = {
        .run = run_write, .req = req, .handle = handle, .bytes = bytes, .n = n, .offset = offset};

    submit(&job);
}

void data_fsync(fuse_req_t req, struct handle *handle, bool data_only)
{
    struct data_job job = {.run = run_fsync, .req = req, .handle = handle, .flags = data_only};

    submit(&job);
}

void data_fallocate(fuse_req_t req, struct handle *handle, int mode, off_t offset, off_t n)
{
    struct data_job job = {.run = run_fallocate,
                           .req = req,
                           .handle = handle,
                           .n = (size_t)n,
                           .offset = offset,
                           .flags = mode};

    submit(&job);
}

void data_lseek(fuse_req_t req, struct handle *handle, off_t offset, int whence)
{
    struct data_job job = {
        .run = run_lseek, .req = req, .handle = handle, .offset = offset, .flags = whence};

    submit(&job);
}
