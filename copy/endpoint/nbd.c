#include "copy/endpoint/nbd.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/endpoint/nbd_group.h"
#include "copy/endpoint/queue.h"

#define CONNECTIONS_N     4
#define EXTENTS_MAX_BYTES (UINT64_C(2) << 30) /* asked for at a time: a count has 32 bits */

struct nbd {
    struct endpoint ep;
    struct nbd_group group;
    uint64_t room_bytes;             /* of the export, at most this much is used */
    atomic_bool no_zero, no_extents; /* tried in vain */
    pthread_mutex_t lock;            /* guards extents */
    struct nbd_extents *extents;     /* the last answer; NULL: none yet */
    unsigned n_drops;                /* an answer from before one is not kept */
};

static struct nbd *nbd_of(struct endpoint *ep)
{
    return (struct nbd *)ep;
}

static void complete(struct nbd_job *job)
{
    struct request *request = job->arg;
    int r = job->r;

    request->n_done = (size_t)job->n_done;
    free(job);
    request_complete(request, r);
}

static bool is_inside(const struct nbd *nbd, uint64_t offset, size_t n)
{
    return offset <= nbd->group.facts.size_bytes && n <= nbd->group.facts.size_bytes - offset;
}

static void nbd_submit(struct endpoint *ep, struct request *request)
{
    struct nbd_job *job;

    if (!is_inside(nbd_of(ep), request->offset, request->n_bytes)) {
        request_complete(request, request->kind == REQUEST_READ ? -ESTALE : -ENOSPC);
        return;
    }
    job = calloc(1, sizeof(*job));
    if (!job) {
        request_complete(request, -ENOMEM);
        return;
    }
    job->kind = request->kind == REQUEST_READ ? NBD_JOB_READ : NBD_JOB_WRITE;
    job->buf = request->buf;
    job->from = request->buf;
    job->offset = request->offset;
    job->n_bytes = request->n_bytes;
    job->over = complete;
    job->arg = request;
    group_submit(&nbd_of(ep)->group, job);
}

/* A short transfer is one that went wrong further on: the next one tells how. */
static int transfer(struct nbd *nbd, struct nbd_waited *waited, size_t *ret_n)
{
    int r = group_perform(&nbd->group, waited);

    if (r < 0 && waited->job.n_done == 0)
        return r;
    *ret_n = (size_t)waited->job.n_done;
    return 0;
}

static int nbd_pread(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    uint64_t size_bytes = nbd_of(ep)->group.facts.size_bytes;
    uint64_t left_bytes = offset < size_bytes ? size_bytes - offset : 0;
    struct nbd_waited read = {.job = {.kind = NBD_JOB_READ, .buf = buf, .offset = offset}};

    read.job.n_bytes = n < left_bytes ? n : left_bytes;
    if (read.job.n_bytes > 0)
        return transfer(nbd_of(ep), &read, ret_n);
    *ret_n = 0;
    return 0;
}

static int nbd_pwrite(struct endpoint *ep, const void *buf, size_t n, uint64_t offset,
                      size_t *ret_n)
{
    struct nbd_waited write = {
        .job = {.kind = NBD_JOB_WRITE, .from = buf, .offset = offset, .n_bytes = n}};

    if (!is_inside(nbd_of(ep), offset, n))
        return -ENOSPC;
    return transfer(nbd_of(ep), &write, ret_n);
}

static int nbd_zero(struct endpoint *ep, uint64_t offset, uint64_t n_bytes)
{
    struct nbd *nbd = nbd_of(ep);
    struct nbd_waited zero = {.job = {.kind = NBD_JOB_ZERO, .offset = offset, .n_bytes = n_bytes}};
    int r;

    if (!nbd->group.facts.can_zero || atomic_load(&nbd->no_zero))
        return -EOPNOTSUPP;
    r = group_perform(&nbd->group, &zero);
    if (r == -EOPNOTSUPP || r == -EINVAL) {
        atomic_store(&nbd->no_zero, true);
        return -EOPNOTSUPP;
    }
    return r;
}

static uint64_t nbd_zero_unit(const struct endpoint *ep)
{
    return ((const struct nbd *)ep)->group.facts.unit_bytes;
}

static int nbd_flush(struct endpoint *ep)
{
    struct nbd *nbd = nbd_of(ep);

    if (group_is_lost(&nbd->group))
        return -ENOTCONN;
    return ep->mode == ENDPOINT_WRITE && nbd->group.facts.can_flush ? group_flush(&nbd->group) : 0;
}

static int nbd_size(struct endpoint *ep, uint64_t *ret_bytes)
{
    struct nbd *nbd = nbd_of(ep);

    if (group_is_lost(&nbd->group))
        return -ENOTCONN;
    *ret_bytes = nbd->group.facts.size_bytes < nbd->room_bytes ? nbd->group.facts.size_bytes
                                                               : nbd->room_bytes;
    return 0;
}

static int nbd_resize(struct endpoint *ep, uint64_t size_bytes)
{
    if (size_bytes > nbd_of(ep)->group.facts.size_bytes)
        return -ENOSPC;
    nbd_of(ep)->room_bytes = size_bytes;
    return 0;
}

static bool find_extent(struct nbd *nbd, uint64_t offset, uint64_t *ret_end, bool *ret_hole)
{
    bool found;

    pthread_mutex_lock(&nbd->lock);
    found = nbd->extents && extents_find(nbd->extents, offset, ret_end, ret_hole);
    pthread_mutex_unlock(&nbd->lock);
    return found;
}

static int ask_extents(struct nbd *nbd, uint64_t start, uint64_t end)
{
    struct nbd_extents *extents = calloc(1, sizeof(*extents)), *before;
    struct nbd_waited ask = {
        .job = {.kind = NBD_JOB_EXTENTS, .offset = start, .n_bytes = end - start}};
    unsigned n_drops;
    int r;

    if (!extents)
        return -ENOMEM;
    pthread_mutex_lock(&nbd->lock);
    n_drops = nbd->n_drops;
    pthread_mutex_unlock(&nbd->lock);
    extents->start_bytes = start;
    ask.job.extents = extents;
    r = group_perform(&nbd->group, &ask);
    if (r == 0 && extents->n == 0)
        r = -EPROTO;
    pthread_mutex_lock(&nbd->lock);
    if (r == 0 && n_drops != nbd->n_drops)
        r = -EAGAIN;
    before = r == 0 ? nbd->extents : extents;
    if (r == 0)
        nbd->extents = extents;
    pthread_mutex_unlock(&nbd->lock);
    free(before);
    return r;
}

static int nbd_extent(struct endpoint *ep, uint64_t offset, uint64_t *ret_end, bool *ret_hole)
{
    struct nbd *nbd = nbd_of(ep);
    uint64_t size_bytes = nbd->group.facts.size_bytes, start, end;
    int r;

    if (offset >= size_bytes)
        return -ESTALE;
    *ret_hole = false;
    *ret_end = size_bytes;
    if (!nbd->group.facts.can_tell_extents || atomic_load(&nbd->no_extents))
        return 0;
    if (find_extent(nbd, offset, ret_end, ret_hole))
        return 0;
    start = offset - offset % nbd->group.facts.unit_bytes;
    end = size_bytes - start < EXTENTS_MAX_BYTES ? size_bytes : start + EXTENTS_MAX_BYTES;
    do
        r = ask_extents(nbd, start, end);
    while (r == -EAGAIN);
    if (r == -ENOTCONN)
        return r;
    if (r == -EOPNOTSUPP || r == -EINVAL)
        atomic_store(&nbd->no_extents, true);
    if (r < 0 || !find_extent(nbd, offset, ret_end, ret_hole))
        *ret_end = end;
    return 0;
}

/* What the server told of before a write is not true after it. */
static int nbd_drop(struct endpoint *ep)
{
    struct nbd *nbd = nbd_of(ep);

    pthread_mutex_lock(&nbd->lock);
    free(nbd->extents);
    nbd->extents = NULL;
    nbd->n_drops++;
    pthread_mutex_unlock(&nbd->lock);
    return 0;
}

static int nbd_set_connections(struct endpoint *ep, unsigned n)
{
    return group_set_size(&nbd_of(ep)->group, n);
}

static int nbd_close(struct endpoint *ep)
{
    struct nbd *nbd = nbd_of(ep);

    group_deinit(&nbd->group);
    pthread_mutex_destroy(&nbd->lock);
    free(nbd->extents);
    free(nbd);
    return 0;
}

/* Can it be written, and told to keep what was written? */
static int check_destination(const struct nbd *nbd, struct err *e)
{
    if (nbd->group.facts.read_only)
        return err_set(e, EROFS, "%s is exported read-only", nbd->group.uri);
    if (!nbd->group.facts.can_flush && !nbd->group.facts.can_write_through)
        return err_set(e, EOPNOTSUPP, "%s: the server cannot put anything on stable storage",
                       nbd->group.uri);
    return 0;
}

static int nbd_open(const char *uri, enum endpoint_mode mode, struct endpoint **ret, struct err *e)
{
    OWNED(endpoint) struct endpoint *ep = NULL;
    struct nbd *nbd = calloc(1, sizeof(*nbd));
    int r;

    if (!nbd)
        return err_set(e, ENOMEM, "no memory");
    ep = &nbd->ep;
    *ep = (struct endpoint){&nbd_endpoint, mode};
    pthread_mutex_init(&nbd->lock, NULL);
    nbd->room_bytes = UINT64_MAX;
    r = group_init(&nbd->group, uri, mode == ENDPOINT_WRITE, e);
    if (r == 0 && mode == ENDPOINT_WRITE)
        r = check_destination(nbd, e);
    if (r < 0)
        return r;
    r = group_set_size(&nbd->group, CONNECTIONS_N);
    if (r < 0)
        return err_set(e, -r, "cannot connect to %s: %s", uri, strerror(-r));
    *ret = take_ptr(ep);
    return 0;
}

const struct endpoint_ops nbd_endpoint = {
    .scheme = "nbd nbd+unix nbds nbds+unix",
    .takes_uri = true,
    .open = nbd_open,
    .close = nbd_close,
    .size = nbd_size,
    .resize = nbd_resize,
    .extent = nbd_extent,
    .pread = nbd_pread,
    .pwrite = nbd_pwrite,
    .zero = nbd_zero,
    .zero_unit = nbd_zero_unit,
    .flush = nbd_flush,
    .sync = nbd_flush,
    .drop = nbd_drop,
    .submit = nbd_submit,
    .set_connections = nbd_set_connections,
};
