/*
 * A transfer that does not begin and end at a server's units goes through a buffer of whole ones,
 * and a write reads them first. Two such writes to one unit at a time would undo each other, so
 * whoever sends them sends one at a time (job_is_ragged).
 */
#include "copy/endpoint/nbd_job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/endpoint/nbd_library.h"

#define ZERO_MAX_BYTES (UINT64_C(1) << 30) /* of one command, which has 32 bits for it */

static bool is_transfer(const struct nbd_job *job)
{
    return job->kind == NBD_JOB_READ || job->kind == NBD_JOB_WRITE;
}

static uint64_t unit_start(const struct nbd_job *job, const struct nbd_facts *facts)
{
    return job->offset - job->offset % facts->unit_bytes;
}

static uint64_t unit_end(const struct nbd_job *job, const struct nbd_facts *facts)
{
    uint64_t end = job->offset + job->n_bytes, over = end % facts->unit_bytes;

    if (over > 0)
        end = end - over + facts->unit_bytes;
    return end < facts->size_bytes ? end : facts->size_bytes;
}

static bool is_whole(const struct nbd_job *job, const struct nbd_facts *facts)
{
    return unit_start(job, facts) == job->offset &&
           unit_end(job, facts) == job->offset + job->n_bytes;
}

bool job_is_ragged(const struct nbd_job *job, const struct nbd_facts *facts)
{
    return job->kind == NBD_JOB_WRITE && !is_whole(job, facts);
}

int job_begin(struct nbd_job *job, const struct nbd_facts *facts)
{
    job->start = job->offset;
    job->end = job->offset + job->n_bytes;
    job->reading = job->kind == NBD_JOB_READ;
    job->bounce = NULL;
    if (is_transfer(job) && !is_whole(job, facts)) {
        job->start = unit_start(job, facts);
        job->end = unit_end(job, facts);
        job->reading = true;
        job->bounce = malloc((size_t)(job->end - job->start));
        if (!job->bounce)
            return -ENOMEM;
    }
    job->at = job->next = job->start;
    return 0;
}

/* libnbd's entries: a length and flags, by turns. What does not fit is asked for again one day. */
static int take_extents(void *arg, const char *context, uint64_t offset, uint32_t *entries,
                        size_t n_entries, int *error)
{
    struct nbd_extents *extents = ((struct nbd_job *)arg)->extents;

    (void)error;
    if (extents->n > 0)
        return 0; /* it was told already */
    if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0 || offset != extents->start_bytes)
        return 0;
    for (size_t i = 0; i + 1 < n_entries; i += 2) {
        if (!extents_add(extents, entries[i], (entries[i + 1] & LIBNBD_STATE_ZERO) != 0))
            break;
    }
    return 0;
}

/* libnbd does not look whether the parts of an answer make a whole. */
static int take_part(void *arg, const void *bytes, size_t n, uint64_t offset, unsigned status,
                     int *error)
{
    struct nbd_job *job = arg;

    (void)bytes;
    (void)offset;
    (void)error;
    job->n_told += status == LIBNBD_READ_ERROR ? 0 : n;
    return 0;
}

static int64_t send_transfer(struct nbd_job *job, uint64_t n, uint32_t flags,
                             struct nbd_handle *handle, nbd_completion_callback answered)
{
    unsigned char *to = job->bounce ? job->bounce : job->buf;
    const unsigned char *from = job->bounce ? job->bounce : job->from;
    uint64_t done = job->at - job->start;

    if (job->reading)
        return libnbd.aio_pread_structured(handle, to + done, (size_t)n, job->at,
                                           (nbd_chunk_callback){take_part, job, NULL}, answered, 0);
    return libnbd.aio_pwrite(handle, from + done, (size_t)n, job->at, answered, flags);
}

static int64_t send_command(struct nbd_job *job, const struct nbd_facts *facts,
                            struct nbd_handle *handle, nbd_completion_callback answered)
{
    uint32_t flags = facts->can_flush || !facts->can_write_through ? 0 : LIBNBD_CMD_FLAG_FUA;
    uint64_t n = job->next - job->at;

    switch (job->kind) {
    case NBD_JOB_ZERO:
        return libnbd.aio_zero(handle, n, job->at, answered, flags);
    case NBD_JOB_FLUSH:
        return libnbd.aio_flush(handle, answered, 0);
    case NBD_JOB_EXTENTS:
        return libnbd.aio_block_status(handle, n, job->at,
                                       (nbd_extent_callback){take_extents, job, NULL}, answered, 0);
    case NBD_JOB_READ:
    case NBD_JOB_WRITE:
        break;
    }
    return send_transfer(job, n, flags, handle, answered);
}

int job_send(struct nbd_job *job, const struct nbd_facts *facts, struct nbd_handle *handle,
             int (*answered)(void *job, int *error))
{
    uint64_t left = job->end - job->at;
    uint64_t max = is_transfer(job) ? facts->max_bytes : ZERO_MAX_BYTES;

    job->next = job->at + (left < max || job->kind == NBD_JOB_EXTENTS ? left : max);
    job->n_told = 0;
    if (send_command(job, facts, handle, (nbd_completion_callback){answered, job, NULL}) < 0)
        return libnbd.get_errno() > 0 ? -libnbd.get_errno() : -EIO;
    return 0;
}

bool job_advance(struct nbd_job *job)
{
    if (job->r == 0 && job->reading && job->n_told != job->next - job->at)
        job->r = -EPROTO;
    if (job->r < 0)
        return false;
    job->at = job->next;
    if (!job->bounce)
        job->n_done = job->at - job->start;
    if (job->at < job->end)
        return true;
    if (job->kind != NBD_JOB_WRITE || !job->reading)
        return false;
    memcpy(job->bounce + (job->offset - job->start), job->from, (size_t)job->n_bytes);
    job->reading = false;
    job->at = job->start;
    return true;
}

void job_end(struct nbd_job *job, int r)
{
    OWNED(mem) unsigned char *bounce = take_ptr(job->bounce);

    job->r = r;
    if (r == 0)
        job->n_done = job->n_bytes;
    if (r == 0 && bounce && job->kind == NBD_JOB_READ)
        memcpy(job->buf, bounce + (job->offset - job->start), (size_t)job->n_bytes);
    job->over(job);
}
