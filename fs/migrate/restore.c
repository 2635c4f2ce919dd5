/*
 * `restore`: is the retained copy still what it was, and the volume too? What a look can tell is
 * answered by the write; that their bytes are the same shows the job that it begins.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/admission.h"
#include "fs/migrate/refuse.h"

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
    return a->claim.mtime_ns != a->retained.volume_mtime_ns ||
           a->claim.size_bytes != a->retained.size_bytes ||
           a->retained.epoch + 1 != a->vol->record.epoch;
}

static int judge(struct service *s, struct vol *v, const struct copy *retained, struct choice *ret,
                 struct err *e)
{
    OWNED(view) struct view *view = NULL;
    struct view_volume *volume;
    int r;

    world_publish(s);
    view = view_get(s->views);
    volume = view_volume_by_number(view, v->record.number);
    if (!volume)
        return err_set(e, EAGAIN, "the volume is not recorded yet, try again");
    r = refuse_at_open(view, volume, e);
    return r < 0 ? r : admission_choose_hosts(view, volume, retained->host, ret, e);
}

void admission_restore(struct service *s, struct vol *v, struct request *request,
                       const struct copy *retained)
{
    struct choice choice = {0};
    struct err e = {0};
    int r = admission_is_free(v) ? judge(s, v, retained, &choice, &e)
                                 : err_set(&e, EALREADY, "another request is being checked");

    if (r == 0) {
        r = admission_begin(s, v, request, &choice, admission_on_claimed, CHECK_NS);
        if (r == 0) {
            v->admission->restores = true;
            v->admission->retained = *retained;
            return;
        }
        err_set(&e, -r, "%s cannot be asked: %s", v->record.host, strerror(-r));
    }
    free(choice.hosts);
    request_done(request, s, vol_refuse(v, request, &e));
}
