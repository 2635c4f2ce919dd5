/*
 * Old sources that are kept for a while: one a volume, of its last migration.
 *
 * From the switch on the record says `retained` and until when. When that time has come, on `drop`,
 * or when the volume is switched once more, one commit makes it a copy that is to be destroyed, and
 * then it goes as any other does (collect.c): only while the volume is seen where it should be, and
 * whenever its pool is there. A volume that is gone leaves its retained copy behind for a human: it
 * does not expire, as it may be all that is left of a file that was removed by mistake.
 *
 * The timer goes by the time of day, as `expires` does: setting the clock moves it, a restart finds
 * it in the records.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "copy/base/crash.h"
#include "copy/base/log.h"
#include "fs/migrate/admission.h"

#define AGAIN_S 5 /* after a commit that failed */

bool world_retained(struct service *s, const struct vol *v, struct copy *ret)
{
    return !uuid_is_null(v->retained) && catalog_get_copy(s->catalog, v->retained, ret) == 0 &&
           ret->role == COPY_RETAINED;
}

int world_stage_drop(struct service *s, struct copy *copy)
{
    copy->role = COPY_DELETE_PENDING;
    copy->expires_s = 0;
    return catalog_put_copy(s->catalog, copy);
}

void world_expect_expiry(struct service *s, uint64_t at_s)
{
    struct itimerspec when = {.it_value = {.tv_sec = at_s > 0 ? (time_t)at_s : 1}};

    if (s->next_expiry_s && s->next_expiry_s <= at_s)
        return;
    s->next_expiry_s = at_s > 0 ? at_s : 1;
    if (timerfd_settime(s->expiry_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        log_say(LOG_ERR, "retained copies do not expire until a restart: %s", strerror(errno));
}

/* Forget it in one commit; it is destroyed after that. */
static int drop(struct service *s, struct vol *v, struct copy *copy, struct err *e)
{
    int r = world_stage_drop(s, copy);

    CRASH_POINT("drop-before");
    if (r == 0)
        r = catalog_commit(s->catalog, e);
    CRASH_POINT("drop-after");
    if (r < 0) {
        catalog_cancel(s->catalog);
        return err_set(e, EIO, "the catalogue cannot be written");
    }
    uuid_clear(v->retained);
    world_touch(v, EVENT_BIT(EVENT_STATE));
    world_look_again(s);
    return 0;
}

/* A job has the volume: its end asks again. */
static bool is_busy(const struct vol *v)
{
    return v->migration || v->admission;
}

static void expire(struct service *s, struct vol *v, struct copy *copy)
{
    struct err e = {0};

    if (drop(s, v, copy, &e) < 0) {
        log_say(LOG_ERR, "volume %s: that its retained copy has expired cannot be recorded: %s",
                v->name, e.text);
        world_expect_expiry(s, world_now_s() + AGAIN_S);
        return;
    }
    log_say(LOG_NOTICE, "volume %s: its retained copy on %s has expired", v->name, copy->host);
}

static void on_expiry(void *arg, uint32_t events)
{
    struct service *s = arg;
    struct copy copy;
    uint64_t n;

    (void)events;
    if (read(s->expiry_fd, &n, sizeof(n)) < 0 || s->stopped)
        return; /* it was set anew meanwhile */
    s->next_expiry_s = 0;
    if (catalog_doubt(s->catalog)) /* until a restart, which looks again */
        return;
    for (size_t i = 0; i < s->by_number.table.n; i++) {
        struct vol *v = s->by_number.table.items[i];

        if (!world_retained(s, v, &copy) || v->migration)
            continue;
        if (copy.expires_s > world_now_s())
            world_expect_expiry(s, copy.expires_s);
        else if (is_busy(v)) /* a request is being checked, for 2 s at most */
            world_expect_expiry(s, world_now_s() + AGAIN_S);
        else
            expire(s, v, &copy);
    }
    migration_collect(s);
}

int world_open_expiry(struct service *s)
{
    s->expiry_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->expiry_fd < 0)
        return -errno;
    return loop_add_fd(s->loop, s->expiry_fd, EPOLLIN, on_expiry, s, &s->expiry);
}

static int load_copy(const struct copy *copy, void *arg)
{
    struct service *s = arg;
    struct vol *v = copy->role == COPY_RETAINED ? world_volume_by_uuid(s, copy->volume) : NULL;

    if (!v)
        return 0;
    uuid_copy(v->retained, copy->cid);
    world_expect_expiry(s, copy->expires_s);
    return 0;
}

int world_load_retained(struct service *s)
{
    return catalog_each_hidden(s->catalog, load_copy, s);
}

static int refuse_busy(const struct vol *v, struct err *e)
{
    return v->migration ? err_set(e, EBUSY, "a job is under way") : 0;
}

static int store_drop(struct service *s, struct vol *v, const struct request *request,
                      struct err *e)
{
    struct copy copy;
    int r;

    if (v->admission)
        return err_set(e, EBUSY, "another request is being checked");
    if (!world_retained(s, v, &copy)) {
        vol_say(v, "nothing is retained");
        return 0;
    }
    r = drop(s, v, &copy, e);
    if (r < 0)
        return r;
    vol_say(v, "dropped: the copy on %s", copy.host);
    log_say(LOG_NOTICE, "volume %s: its retained copy on %s was dropped by uid %u pid %d", v->name,
            copy.host, request->caller.uid, request->caller.pid);
    migration_collect(s);
    return 0;
}

/* Answered where it is carried out, or by what is to be said in e. */
static int store_restore(struct service *s, struct vol *v, struct request *request, struct err *e)
{
    struct copy copy;

    if (!world_retained(s, v, &copy))
        return err_set(e, ENOENT, "nothing is retained");
    if (!copy.hidden)
        return err_set(e, EAGAIN, "the copy on %s is not hidden yet", copy.host);
    admission_start(s, v, request, copy.host, &copy);
    return 0;
}

void service_store_retained(struct service *s, struct request *request)
{
    struct vol *v = world_volume_by_number(s, request->subject.volume);
    struct err e = {0};
    int r;

    if (!v) {
        request_done(request, s, -ENODEV);
        return;
    }
    r = refuse_busy(v, &e);
    if (r == 0 && strcmp(request->word, "restore") == 0) {
        r = store_restore(s, v, request, &e);
        if (r == 0)
            return;
    } else if (r == 0 && strcmp(request->word, "drop") == 0) {
        r = store_drop(s, v, request, &e);
    } else if (r == 0) {
        r = err_set(&e, EINVAL, "write drop or restore");
    }
    request_done(request, s, r < 0 ? vol_refuse(v, request, &e) : 0);
}

void service_admit_retained(struct service *s, struct request *request)
{
    struct vol *v = world_volume_by_number(s, request->subject.volume);
    struct err e = {0};
    int r = v ? refuse_busy(v, &e) : -ENODEV;

    if (v && r < 0)
        vol_refuse(v, request, &e);
    request_done(request, s, r);
}
