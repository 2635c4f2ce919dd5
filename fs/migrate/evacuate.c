/*
 * A host is emptied, job by job.
 *
 * No list is kept. As long as an evacuation is not over, whatever volume is at the host and has had
 * no job since its first is still to go, and is offered to the queue once few jobs of the host wait
 * there: so a restart goes on where it was, the queue is not filled, and no volume is claimed
 * before its job runs. A volume that is refused gets a number and a line of the history as a job
 * does; by that it counts as tried.
 */
#include "fs/migrate/evacuate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"
#include "copy/base/log.h"

#define AGAIN_NS (5 * NS_PER_S) /* after a refusal that may pass */

bool evacuation_goes_on(const struct site *site)
{
    return site->evacuation.host[0] && !site->evacuation.over;
}

bool evacuation_is_any(const struct service *s)
{
    for (size_t i = 0; i < s->n_sites; i++)
        if (evacuation_goes_on(s->sites[i]))
            return true;
    return false;
}

static int take_up(const struct evacuation *evacuation, void *arg)
{
    struct site *site = world_site(arg, evacuation->host);

    if (site)
        site->evacuation = *evacuation;
    else if (!evacuation->over)
        log_say(LOG_WARNING, "host %s is not configured: its evacuation waits for it",
                evacuation->host);
    return 0;
}

int evacuation_load(struct service *s)
{
    return catalog_each_evacuation(s->catalog, take_up, s);
}

int evacuation_store(struct site *site, const struct evacuation *evacuation)
{
    struct catalog *catalog = site->service->catalog;
    struct err e = {.text = "no memory"};
    int r;

    CRASH_POINT("evacuation-before");
    r = catalog_put_evacuation(catalog, evacuation);
    if (r == 0)
        r = catalog_commit(catalog, &e);
    CRASH_POINT("evacuation-after");
    if (r < 0) {
        catalog_cancel(catalog); /* and what was staged with it */
        log_say(LOG_ERR, "host %s: its evacuation cannot be recorded: %s", evacuation->host,
                e.text);
        return -EIO;
    }
    site->evacuation = *evacuation;
    world_look_again(site->service);
    loop_wake(site->service->loop); /* the turn may have been shown already */
    return 0;
}

bool evacuation_after(const struct migration *m, bool success, struct evacuation *ret)
{
    if (!m->from || !evacuation_goes_on(m->from))
        return false;
    if (!success && m->job.number < m->from->evacuation.first_job) /* it was under way, and is
                                                                    * offered anew */
        return false;
    *ret = m->from->evacuation;
    if (success)
        ret->done++;
    else
        ret->failed++;
    return true;
}

/* --- a volume that is refused --- */

static void fill_refused(const struct vol *v, uint64_t job, const struct evacuation *evacuation,
                         int error, struct volume *volume, struct history *history)
{
    const char *why = v->message ? strstr(v->message, ": ") : NULL;

    vol_recall(v, volume);
    volume->last_job = job;
    volume->last_result = RESULT_ERROR;
    volume->last_errno = error;
    volume->last_offset = UINT64_MAX;
    snprintf(volume->last_phase, sizeof(volume->last_phase), "%s", phases[PHASE_QUEUED].name);
    snprintf(volume->last_error, sizeof(volume->last_error), "%.250s",
             why ? why + 2 : strerror(error));
    volume->last_stat = (struct job_stat){.queued_at_s = world_now_s(),
                                          .started_at_s = world_now_s(),
                                          .ended_at_s = world_now_s(),
                                          .total_bytes = v->size_bytes};
    *history = (struct history){.job = job,
                                .result = RESULT_ERROR,
                                .error = error,
                                .started_at_s = volume->last_stat.started_at_s,
                                .ended_at_s = volume->last_stat.ended_at_s,
                                .bytes = v->size_bytes,
                                .uid = evacuation->uid};
    uuid_copy(history->volume, volume->uuid);
    memcpy(history->name, volume->name, sizeof(history->name));
    memcpy(history->source, volume->host, sizeof(history->source));
    memcpy(history->destination, evacuation->target, sizeof(history->destination));
}

/* A commit that fails leaves it to be offered again. */
static void record_refused(struct site *site, struct vol *v, int error)
{
    struct service *s = site->service;
    struct evacuation evacuation = site->evacuation;
    struct history history;
    struct volume volume;
    int r;

    fill_refused(v, catalog_next_job(s->catalog), &evacuation, error, &volume, &history);
    evacuation.failed++;
    r = catalog_put_volume(s->catalog, &volume);
    if (r == 0)
        r = catalog_put_history(s->catalog, &history);
    if (r < 0) {
        catalog_cancel(s->catalog);
        return;
    }
    if (evacuation_store(site, &evacuation) < 0)
        return;
    vol_keep(v, &volume);
    if (v->meter)
        meter_close(take_ptr(v->meter));
    s->history_new = true;
    world_touch(v, EVENT_BIT(EVENT_STATE) | EVENT_BIT(EVENT_PROGRESS));
}

/* --- offering volumes to the queue --- */

/* It says nothing about the volume: another time it may be otherwise. */
static bool may_pass(int error)
{
    static const int passing[] = {ENOBUFS, EALREADY,     EAGAIN,    EIO,      ENOMEM,
                                  ENODEV,  ECONNREFUSED, EHOSTDOWN, ESHUTDOWN};

    for (size_t i = 0; i < ARRAY_N(passing); i++)
        if (passing[i] == error)
            return true;
    return false;
}

static void on_offered(struct request *request, int result)
{
    struct site *site = request->answer_arg;
    struct vol *v = world_volume_by_number(site->service, request->subject.volume);
    struct err e;

    free(request);
    site->offering = false;
    if (result == 0 && v && v->migration && site->evacuation.over) /* cancelled meanwhile */
        migration_abort(v->migration, NULL, &e);
    if (result == 0 || !evacuation_goes_on(site))
        return;
    site->offer_ns = io_now_ns();
    if (v && !may_pass(-result))
        record_refused(site, v, -result);
    else
        site->offer_ns += AGAIN_NS;
}

/* As if the host's name was written to its `target`. */
static void offer(struct site *site, const struct vol *v)
{
    struct request *request = calloc(1, sizeof(*request));

    if (!request)
        return;
    *request = (struct request){.subject.volume = v->record.number,
                                .caller.uid = site->evacuation.uid,
                                .attr = "evacuate",
                                .answer = on_offered,
                                .answer_arg = site};
    snprintf(request->word, sizeof(request->word), "%s", site->evacuation.target);
    site->offering = true;
    service_store_target(site->service, request);
    loop_wake(site->service->loop); /* it may be answered already */
}

static bool is_at(const struct vol *v, const struct site *site)
{
    return strcmp(v->record.host, site->host->config.name) == 0;
}

struct outlook {
    struct vol *next; /* to be offered; NULL: none is left */
    bool busy;        /* something may still come of what is under way */
};

static struct outlook look(struct site *site)
{
    struct service *s = site->service;
    const struct table *names = roll_in_order(&s->by_name);
    struct outlook outlook = {0};

    for (size_t i = 0; i < names->n; i++) {
        struct vol *v = names->items[i];
        bool is_here = is_at(v, site) && v->shown;
        bool moves = v->migration && (v->migration->to == site || v->migration->from == site);

        if (moves || (is_here && v->admission))
            outlook.busy = true;
        else if (is_here && !outlook.next && v->record.last_job < site->evacuation.first_job)
            outlook.next = v;
    }
    return outlook;
}

static size_t n_waiting(const struct site *site)
{
    const struct service *s = site->service;
    size_t n = 0;

    for (size_t i = 0; i < s->migrations.n; i++) {
        const struct migration *m = s->migrations.items[i];

        n += m->from == site && phases[m->phase].waits ? 1 : 0;
    }
    return n;
}

static bool may_offer(const struct site *site)
{
    struct site *to = world_site(site->service, site->evacuation.target);

    return !site->offering && site->host->up && (!to || to->host->up) &&
           io_now_ns() >= site->offer_ns && !catalog_doubt(site->service->catalog) &&
           n_waiting(site) < site->service->n_sites;
}

static void end(struct site *site)
{
    struct evacuation evacuation = site->evacuation;

    evacuation.over = true;
    if (evacuation_store(site, &evacuation) < 0) {
        site->offer_ns = io_now_ns() + AGAIN_NS;
        return;
    }
    log_say(evacuation.failed ? LOG_WARNING : LOG_NOTICE,
            "host %s: evacuated: %" PRIu64 " volumes have gone, %" PRIu64 " failed",
            evacuation.host, evacuation.done, evacuation.failed);
}

static void go_on(struct site *site)
{
    struct outlook outlook = look(site);

    if (outlook.next)
        offer(site, outlook.next);
    else if (!outlook.busy)
        end(site);
}

void evacuation_go_on(struct service *s)
{
    for (size_t i = 0; i < s->n_sites && !s->stopped; i++)
        if (evacuation_goes_on(s->sites[i]) && may_offer(s->sites[i]))
            go_on(s->sites[i]);
}

/* A death in between leaves it going on, without those that were aborted. */
int evacuation_cancel(struct site *site, const struct request *request)
{
    struct evacuation evacuation = site->evacuation;
    struct service *s = site->service;
    struct err e;

    if (!evacuation_goes_on(site))
        return 0;
    for (size_t i = s->migrations.n; i-- > 0;) {
        struct migration *m = i < s->migrations.n ? s->migrations.items[i] : NULL;

        if (m && m->from == site && m->job.number >= evacuation.first_job &&
            migration_abort(m, request, &e) == -EIO)
            return -EIO;
    }
    evacuation.over = true;
    return evacuation_store(site, &evacuation);
}
