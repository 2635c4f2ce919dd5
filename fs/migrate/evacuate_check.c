/*
 * A host's name, or `auto`, is written to `evacuate`: everything is checked before the write
 * returns, within CHECK_NS, and nothing begins unless all of the host's volumes could go.
 *
 * First what memory knows, each volume with the room that those before it have left. Then the host
 * is asked of each whether somebody holds it, a few at a time; whoever could not be asked in time
 * is found out by its job.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/evacuate.h"
#include "fs/migrate/events.h"
#include "fs/migrate/refuse.h"
#include "fs/migrate/use.h"

#define CHECK_NS (1900 * UINT64_C(1000000)) /* a write answers within 2 s */
#define PROBES   8                          /* at a time: each claims a volume for a moment */

struct probe {
    struct evacuation_check *check;
    uint64_t volume;
    struct host_ask *ask; /* NULL: it is free */
};

struct evacuation_check {
    struct site *site;
    struct request *request;
    uint64_t *volumes; /* by number: to be asked about */
    size_t n_volumes, next, n_asked;
    uint64_t total; /* volumes of the host */
    uint64_t deadline_ns;
    struct probe probes[PROBES];
    size_t n_bad;
    int error; /* of the first of them */
    struct text bad;
};

static void check_free(struct evacuation_check *c)
{
    for (size_t i = 0; i < PROBES; i++)
        host_forget(c->probes[i].ask);
    text_deinit(&c->bad);
    free(c->volumes);
    free(c);
}

static void answer(struct evacuation_check *c, int result)
{
    c->site->check = NULL;
    request_done(c->request, c->site->service, result);
    check_free(c);
}

void evacuation_cancel_check(struct site *site)
{
    if (site->check)
        answer(site->check, -ESHUTDOWN);
}

static void note_bad(struct evacuation_check *c, const char *volume, int error, const char *why)
{
    char text[ERR_TEXT_BYTES];

    text_escape(why, strlen(why), text, sizeof(text));
    log_say(LOG_WARNING, "host %s: evacuate: volume %s cannot go: %s: %s",
            c->site->host->config.name, volume, err_name(error), text);
    if (c->n_bad++ == 0)
        c->error = error;
    text_add(&c->bad, "%s%s %s", c->n_bad > 1 ? ", " : "", volume, err_name(error));
}

/* --- what memory knows --- */

/* The view with hosts of its own, whose room is given away, and a queue that is never full. */
static int make_plan(const struct view *view, struct view *ret, struct view_host **ret_hosts)
{
    struct view_host *hosts = calloc(view->n_hosts + 1, sizeof(*hosts));
    struct view_host **places = calloc(view->n_hosts + 1, sizeof(struct view_host *));

    if (!hosts || !places) {
        free(hosts);
        free(places);
        return -ENOMEM;
    }
    *ret = *view;
    ret->hosts = places;
    ret->max_queue = UINT64_MAX;
    for (size_t i = 0; i < view->n_hosts; i++) {
        hosts[i] = *view->hosts[i];
        places[i] = &hosts[i];
    }
    *ret_hosts = hosts;
    return 0;
}

/* Where it would go; NULL: why not in e. */
static struct view_host *place_of(const struct view *plan, const struct view_volume *volume,
                                  const char *word, struct err *e)
{
    struct view_host *host = view_host_by_name(plan, word);
    OWNED(mem) uint64_t *best = NULL;

    if (refuse_at_open(plan, volume, e) < 0)
        return NULL;
    if (strcmp(word, "auto") == 0 && refuse_choose(plan, volume, &best, e) > 0)
        host = view_host_by_number(plan, best[0]);
    if (!host || refuse_at_answer(plan, volume, host, e) < 0)
        return NULL;
    return host;
}

static void judge(struct evacuation_check *c, const struct view *plan)
{
    for (size_t i = 0; i < plan->n_volumes; i++) {
        const struct view_volume *volume = view_volume_nth(plan, i);
        struct view_host *host;
        struct err e = {0};

        if (strcmp(volume->host, c->site->host->config.name) != 0)
            continue;
        c->total++;
        if (volume->has_job) /* it is tried when that has ended, if it is still there */
            continue;
        host = place_of(plan, volume, c->request->word, &e);
        if (host)
            host->reserved_bytes += volume->allocated_bytes;
        if (host)
            c->volumes[c->n_volumes++] = volume->number;
        else
            note_bad(c, volume->name, e.code, e.text);
    }
}

static int judge_all(struct evacuation_check *c)
{
    struct service *s = c->site->service;
    OWNED(view) struct view *view = NULL;
    OWNED(mem) struct view_host *hosts = NULL;
    struct view plan;

    world_publish(s);
    view = view_get(s->views);
    c->volumes = calloc(view->n_volumes + 1, sizeof(*c->volumes));
    if (!c->volumes || make_plan(view, &plan, &hosts) < 0)
        return -ENOMEM;
    judge(c, &plan);
    free(plan.hosts);
    return 0;
}

/* --- the end of it --- */

static int say_refused(struct site *site, const struct request *request, int error, const char *why)
{
    events_say(site->service, SAY_REFUSED,
               EVENT_OF(.host = site->host, .request = request, .error = error),
               "host %s: evacuate '%.64s' by uid %u pid %d refused: %s: %s",
               site->host->config.name, request->word, request->caller.uid, request->caller.pid,
               err_name(error), why);
    return -error;
}

static int refuse_all(struct evacuation_check *c)
{
    struct host *host = c->site->host;

    snprintf(host->last_error, sizeof(host->last_error), "%zu of %" PRIu64 " volumes cannot go: %s",
             c->n_bad, c->total, c->bad.bytes ? c->bad.bytes : "");
    world_look_again(c->site->service);
    return say_refused(c->site, c->request, c->error, host->last_error);
}

/* As of now, and with those whose job has switched them already and counts when it ends. */
static uint64_t n_to_go(const struct site *site)
{
    const struct table *volumes = &site->service->by_number.table;
    uint64_t n = 0;

    for (size_t i = 0; i < volumes->n; i++) {
        const struct vol *v = volumes->items[i];
        bool leaves = v->migration && v->migration->from == site;
        bool is_here = v->shown && strcmp(v->record.host, site->host->config.name) == 0;

        n += leaves || is_here ? 1 : 0;
    }
    return n;
}

static int accept_all(struct evacuation_check *c)
{
    struct evacuation evacuation = {.uid = c->request->caller.uid, .total = n_to_go(c->site)};
    struct site *site = c->site;

    snprintf(evacuation.host, sizeof(evacuation.host), "%s", site->host->config.name);
    snprintf(evacuation.target, sizeof(evacuation.target), "%.64s", c->request->word);
    evacuation.first_job = catalog_next_job(site->service->catalog);
    if (evacuation_store(site, &evacuation) < 0)
        return say_refused(site, c->request, EIO, "it cannot be recorded");
    site->offer_ns = 0;
    site->host->last_error[0] = '\0';
    log_say(LOG_NOTICE, "host %s: evacuate '%s' by uid %u: %" PRIu64 " volumes", evacuation.host,
            evacuation.target, evacuation.uid, evacuation.total);
    return 0;
}

static void conclude(struct evacuation_check *c)
{
    answer(c, c->n_bad ? refuse_all(c) : accept_all(c));
}

/* --- what the host knows --- */

static void ask_on(struct evacuation_check *c);

static void on_probed(void *arg, const struct pool_reply *reply, int fd)
{
    struct probe *probe = arg;
    struct evacuation_check *c = probe->check;
    struct vol *v = world_volume_by_number(c->site->service, probe->volume);

    owned_fd(&fd);
    probe->ask = NULL;
    c->n_asked--;
    if (reply->error && reply->error != ETIMEDOUT && v && !v->migration)
        note_bad(c, v->name, reply->error, reply->text);
    ask_on(c);
}

/* Returns false where that host takes no more questions. */
static bool ask(struct evacuation_check *c, struct probe *probe, const struct vol *v)
{
    uint64_t now_ns = io_now_ns();
    uint64_t left_ns = now_ns < c->deadline_ns ? c->deadline_ns - now_ns : 1;
    struct pool_request request = {
        .kind = POOL_CLAIM, .size_bytes = v->size_bytes, .has_expect = 1, .expect = v->identity};

    snprintf(request.name, sizeof(request.name), "%s", v->name);
    probe->check = c;
    probe->volume = v->record.number;
    return host_ask(c->site->host, &request, -1, left_ns, on_probed, probe, &probe->ask) == 0;
}

/* NULL: there is none, or no time. */
static struct vol *next_volume(struct evacuation_check *c)
{
    while (c->next < c->n_volumes && io_now_ns() < c->deadline_ns) {
        struct vol *v = world_volume_by_number(c->site->service, c->volumes[c->next++]);

        if (v && !v->migration && !use_is(v))
            return v;
    }
    return NULL;
}

static void ask_on(struct evacuation_check *c)
{
    for (size_t i = 0; i < PROBES; i++) {
        struct vol *v = c->probes[i].ask ? NULL : next_volume(c);

        if (!v)
            continue;
        if (!ask(c, &c->probes[i], v)) {
            c->next--;
            break;
        }
        c->n_asked++;
    }
    if (c->n_asked == 0)
        conclude(c);
}

/* --- the write --- */

static int refuse_word(struct site *site, const char *word, struct err *e)
{
    const struct site *to = world_site(site->service, word);

    if (!text_is_host_name(word))
        return err_set(e, EINVAL, "it takes a host, auto or 0");
    if (strcmp(word, "auto") != 0 && !to)
        return err_set(e, ENXIO, "there is no such host");
    if (to == site)
        return err_set(e, EINVAL, "it is that host");
    if (!site->host->up)
        return err_set(e, EHOSTDOWN, "it is down");
    if (site->check)
        return err_set(e, EALREADY, "another request is being checked");
    if (evacuation_goes_on(site) && strcmp(word, site->evacuation.target) != 0)
        return err_set(e, EALREADY, "it is evacuated to %s already; write 0 first",
                       site->evacuation.target);
    return 0;
}

static int begin(struct site *site, struct request *request, struct err *e)
{
    struct evacuation_check *c = calloc(1, sizeof(*c));

    if (!c)
        return err_set(e, ENOMEM, "no memory");
    *c = (struct evacuation_check){
        .site = site, .request = request, .deadline_ns = io_now_ns() + CHECK_NS};
    if (judge_all(c) < 0) {
        check_free(c);
        return err_set(e, ENOMEM, "no memory");
    }
    site->check = c;
    if (c->n_bad > 0)
        conclude(c);
    else
        ask_on(c);
    return 0;
}

static int cancel(struct site *site, const struct request *request)
{
    int r = evacuation_cancel(site, request);

    return r < 0 ? say_refused(site, request, -r, "its end cannot be recorded") : 0;
}

void service_store_evacuate(struct service *s, struct request *request)
{
    struct site *site = world_site_by_number(s, request->subject.host);
    struct err e = {0};
    int r;

    if (!site) {
        request_done(request, s, -ENODEV);
        return;
    }
    if (strcmp(request->word, "0") == 0) {
        request_done(request, s, cancel(site, request));
        return;
    }
    r = refuse_word(site, request->word, &e);
    if (r == 0 && !evacuation_goes_on(site)) {
        r = begin(site, request, &e);
        if (r == 0)
            return;
    }
    request_done(request, s, r < 0 ? say_refused(site, request, -r, e.text) : 0);
}
