/*
 * Writes that change a setting: parse, store in the world, show. They live until changed or
 * restart.
 */
#include <stdlib.h>
#include <string.h>

#include "copy/base/log.h"
#include "fs/migrate/events.h"
#include "fs/migrate/migration.h"

static int set_option(struct vol *v, enum volume_option option, const char *word, struct err *e)
{
    const struct option_row *row = &volume_options[option];
    uint64_t value;

    if (option_parse(row, word, &value) < 0)
        return err_set(e, EINVAL, "%s takes %s", row->name, row->takes);
    if (!v->options) {
        v->options = malloc(VOLUME_OPTION_N * sizeof(*v->options));
        if (!v->options)
            return err_set(e, ENOMEM, "no memory for %s", row->name);
        for (int i = 0; i < VOLUME_OPTION_N; i++)
            v->options[i] = volume_options[i].preset;
    }
    v->options[option] = value;
    return 0;
}

static void store_volume_option(struct service *s, struct request *request,
                                enum volume_option option)
{
    const struct option_row *row = &volume_options[option];
    struct vol *v = world_volume_by_number(s, request->subject.volume);
    struct err e = {0};
    int r;

    if (!v) {
        request_done(request, s, -ENODEV);
        return;
    }
    if (row->latched && v->migration)
        r = err_set(&e, EBUSY, "%s cannot change while a job runs", row->name);
    else
        r = set_option(v, option, request->word, &e);
    if (r < 0) {
        r = vol_refuse(v, request, &e);
    } else {
        world_touch(v, EVENT_BIT(EVENT_SETTING));
        migration_heed_pause(s, request);
    }
    request_done(request, s, r);
}

void service_store_verify(struct service *s, struct request *request)
{
    store_volume_option(s, request, VOLUME_OPTION_VERIFY);
}

void service_store_keep(struct service *s, struct request *request)
{
    store_volume_option(s, request, VOLUME_OPTION_KEEP);
}

/* These files have no message: the log says why, and what they take. */
static void setting_done(struct service *s, struct request *request, int r, const char *takes)
{
    const struct site *site = world_site_by_number(s, request->subject.host);

    if (r < 0)
        events_say(s, SAY_REFUSED,
                   EVENT_OF(.host = site ? site->host : NULL, .request = request, .error = -r),
                   "%s '%.64s' by uid %u pid %d refused: %s: it takes %s", request->attr,
                   request->word, request->caller.uid, request->caller.pid, err_name(-r), takes);
    request_done(request, s, r);
}

/* of_service: where it is written about no host. */
static void store_option(struct service *s, struct request *request, const struct option_row *row,
                         uint64_t *of_service, uint64_t *of_host)
{
    struct site *site = world_site_by_number(s, request->subject.host);
    int r = option_parse(row, request->word, site ? of_host : of_service);

    if (r == 0 && site)
        world_touch_site(site, EVENT_BIT(EVENT_SETTING));
    if (r == 0) {
        world_touch_service(s, EVENT_BIT(EVENT_SETTING));
        migration_heed_pause(s, request);
    }
    setting_done(s, request, r, row->takes);
}

static struct host *host_of(struct service *s, const struct request *request)
{
    struct site *site = world_site_by_number(s, request->subject.host);

    return site ? site->host : NULL;
}

void service_store_max_jobs(struct service *s, struct request *request)
{
    struct host *host = host_of(s, request);

    store_option(s, request, &max_jobs_option, &s->max_jobs, host ? &host->max_jobs : NULL);
}

void service_store_max_queue(struct service *s, struct request *request)
{
    store_option(s, request, &max_queue_option, &s->max_queue, NULL);
}

void service_store_speed(struct service *s, struct request *request)
{
    struct host *host = host_of(s, request);

    if (request->subject.volume)
        store_volume_option(s, request, VOLUME_OPTION_SPEED);
    else
        store_option(s, request, &speed_option, &s->speed_bytes_per_s,
                     host ? &host->speed_bytes_per_s : NULL);
}

void service_store_pause(struct service *s, struct request *request)
{
    if (request->subject.volume)
        store_volume_option(s, request, VOLUME_OPTION_PAUSE);
    else
        store_option(s, request, &pause_option, &s->pause, NULL);
}

void service_store_drain(struct service *s, struct request *request)
{
    struct site *site = world_site_by_number(s, request->subject.host);
    uint64_t drain;
    int r = site ? option_parse(&drain_option, request->word, &drain) : -ENODEV;

    if (r == 0) {
        site->host->drain = drain != 0;
        world_touch_site(site, EVENT_BIT(EVENT_SETTING));
    }
    setting_done(s, request, r, drain_option.takes);
}

/* What a human has seen to meanwhile: of a copy that is left it is noted again if he has not. */
static void forget_warnings(struct service *s)
{
    for (size_t i = 0; i < s->by_number.table.n; i++) {
        struct vol *v = s->by_number.table.items[i];

        if (v->warning && !v->migration)
            vol_note(v, &v->warning, NULL);
    }
}

void service_store_rescan(struct service *s, struct request *request)
{
    bool now = false;
    int r = text_parse_bool(request->word, &now);

    if (r == 0 && !now)
        r = -EINVAL;
    if (r == 0)
        forget_warnings(s);
    for (size_t i = 0; i < s->n_sites && r == 0; i++)
        host_rescan(s->sites[i]->host);
    setting_done(s, request, r, "1");
}

void service_store_abort(struct service *s, struct request *request)
{
    struct vol *v = world_volume_by_number(s, request->subject.volume);
    struct err e = {0};
    int r;

    if (!v) {
        request_done(request, s, -ENODEV);
        return;
    }
    if (strcmp(request->word, "1") != 0)
        r = err_set(&e, EINVAL, "write 1 to abort");
    else if (!v->migration)
        r = err_set(&e, ESRCH, "nothing runs");
    else
        r = migration_abort(v->migration, request, &e);
    if (r < 0)
        r = vol_refuse(v, request, &e);
    else
        vol_say(v, "aborting %" PRIu64, v->record.last_job);
    request_done(request, s, r);
}

/* What depends on state alone is refused at open(2): only there does dash tell the true reason. */
void service_admit_abort(struct service *s, struct request *request)
{
    struct vol *v = world_volume_by_number(s, request->subject.volume);
    struct err e = {0};
    int r = 0;

    if (!v)
        r = -ENODEV;
    else if (!v->migration)
        r = err_set(&e, ESRCH, "nothing runs");
    else if (phases[v->migration->phase].final)
        r = err_set(&e, EBUSY, "too late: the volume is at %s already", v->record.host);
    if (v && r < 0)
        vol_refuse(v, request, &e);
    request_done(request, s, r);
}
