/*
 * `restore`: is the retained copy still what it was, and the volume too? What a look can tell is
 * answered by the write; that their bytes are the same shows the job that it begins.
 */
#include <errno.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/admission.h"

void admission_on_retained(void *arg, const struct pool_reply *reply, int fd)
{
    struct admission *a = arg;
    struct err e;

    a->ask = NULL;
    owned_fd(&fd);
    if (reply->error) {
        e = admission_err(reply);
        admission_try_next(a, &e);
    } else {
        admission_accept(a);
    }
}

/* What a look tells; that nothing was written shows only when all bytes are compared. */
bool admission_was_written(const struct admission *a)
{
    struct volume record;

    vol_recall(a->vol, &record);
    return a->claim.mtime_ns != a->retained.volume_mtime_ns ||
           a->claim.size_bytes != a->retained.size_bytes || a->retained.epoch + 1 != record.epoch;
}
