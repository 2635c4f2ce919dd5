#include "copy/repair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"

/* The first byte where the two differ; the start of the block if only the digest does. */
static uint64_t first_difference(const struct slot *slot, const unsigned char *found)
{
    size_t n = slot_bytes(slot), at = 0;

    while (at < n && slot->buf[at] == found[at])
        at++;
    return slot->piece.start_bytes + (at < n ? at : 0);
}

static void *memory_for(size_t n)
{
    return aligned_alloc(ENDPOINT_GRAIN_BYTES,
                         (n / ENDPOINT_GRAIN_BYTES + 1) * ENDPOINT_GRAIN_BYTES);
}

static int read_block(struct slot *slot, struct endpoint *ep, void *buf)
{
    return transfer_read(ep, buf, slot_bytes(slot), slot->piece.start_bytes, slot->task.slots->stop,
                         &slot->error);
}

/* Returns 0 or why, with slot->error filled in. */
static int write_again(const struct engine_job *job, struct slot *slot)
{
    struct endpoint *destination = job->destination;
    uint64_t start = slot->piece.start_bytes;
    size_t n = slot_bytes(slot);
    int r = read_block(slot, job->source, slot->buf);

    if (r < 0)
        return r;
    slot->rewritten = true;
    r = transfer_write(destination, slot->buf, n, start, job->never_sparse, &slot->error);
    if (r < 0)
        return r;
    r = destination->ops->flush(destination);
    slot->flush_error = r;
    if (r < 0)
        return transfer_fail(&slot->error, r, start, "cannot flush what was written again");
    r = endpoint_drop(destination);
    if (r < 0)
        return transfer_fail(&slot->error, r, start, "cannot drop what was written again");
    return 0;
}

static int read_back(const struct engine_job *job, struct slot *slot)
{
    size_t n = slot_bytes(slot);
    OWNED(mem) unsigned char *found = memory_for(n);
    struct digest digest;
    int r;

    if (!found)
        return transfer_fail(&slot->error, -ENOMEM, slot->piece.start_bytes, "cannot read back");
    r = read_block(slot, job->destination, found);
    if (r < 0)
        return r;
    digest_of(found, n, &digest);
    if (digest_same(&digest, &slot->expected))
        return 0;
    return transfer_fail(&slot->error, -EILSEQ, first_difference(slot, found),
                         "it differs after it was written again");
}

int repair_block(const struct engine_job *job, struct slot *slot)
{
    int r;

    CRASH_POINT("worker-before-repair");
    slot->rewritten = false;
    slot->flush_error = 0;
    r = write_again(job, slot);
    if (r == 0)
        r = read_back(job, slot);
    CRASH_POINT("worker-after-repair");
    return r;
}

int repair_tell_difference(const struct engine_job *job, struct slot *slot)
{
    size_t n = slot_bytes(slot);
    OWNED(mem) unsigned char *found = memory_for(n);
    int r;

    if (!found)
        return transfer_fail(&slot->error, -ENOMEM, slot->piece.start_bytes, "cannot compare");
    r = read_block(slot, job->source, slot->buf);
    if (r == 0)
        r = read_block(slot, job->destination, found);
    if (r < 0)
        return r;
    return transfer_fail_at(&slot->error, -EILSEQ, first_difference(slot, found), "they differ");
}
