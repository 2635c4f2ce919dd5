/*
 * From the owner's world to the view that readers see: what is dirty is made anew, the rest is
 * shared with the view before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/migration.h"

static void stamp(struct timespec changed[EVENT_N], uint32_t events)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    for (int event = 0; event < EVENT_N; event++)
        if (events & EVENT_BIT(event))
            changed[event] = now;
}

void world_touch(struct vol *v, uint32_t events)
{
    v->dirty |= events;
    stamp(v->changed, events);
}

void world_touch_site(struct site *site, uint32_t events)
{
    site->dirty |= events;
    stamp(site->changed, events);
}

void world_touch_service(struct service *s, uint32_t events)
{
    s->dirty |= events;
    stamp(s->changed, events);
}

/* Words of the job under way, or of the last one. */
static void show_job(struct view_volume *to, const struct vol *v)
{
    const struct migration *m = v->migration;

    to->phase = "idle";
    to->result = result_names[v->record.last_result];
    to->job = v->record.last_job;
    to->stat = v->record.last_stat;
    if (v->record.last_result == RESULT_ERROR) {
        char offset[24] = "-";

        if (v->record.last_offset != UINT64_MAX)
            snprintf(offset, sizeof(offset), "%" PRIu64, v->record.last_offset);
        snprintf(to->error, sizeof(to->error), "%s %s %s %s", err_name(v->record.last_errno),
                 v->record.last_phase, offset, v->record.last_error);
    }
    if (!m)
        return;
    to->has_job = true;
    to->aborting = m->job.abort;
    to->recovering = m->recovering;
    to->phase = m->stopped ? "stopped" : phases[m->phase].name;
    to->result = phases[m->phase].status;
    to->job = m->job.number;
    to->stat = m->job.stat;
    to->error[0] = '\0';
    if (!phases[m->phase].backwards)
        memcpy(to->target, m->job.destination, sizeof(to->target));
}

static char *path_of(struct service *s, const struct vol *v)
{
    struct site *site = world_site(s, v->record.host);
    char *path;

    if (!site || asprintf(&path, "%s/%s", site->host->config.path, v->record.name) < 0)
        return NULL;
    return path;
}

static struct view_volume *show_volume(struct service *s, const struct vol *v)
{
    struct site *site = world_site(s, v->record.host);
    struct view_volume *to = view_volume_open();

    if (!to)
        return NULL;
    to->number = v->record.number;
    memcpy(to->name, v->record.name, sizeof(to->name));
    uuid_unparse_lower(v->record.uuid, to->uuid);
    memcpy(to->host, v->record.host, sizeof(to->host));
    memcpy(to->target, v->record.host, sizeof(to->target));
    to->path = path_of(s, v);
    to->size_bytes = v->size_bytes;
    to->allocated_bytes = v->allocated_bytes;
    to->status = v->record.status;
    to->previous_status = v->record.previous_status;
    if ((!v->migration && (!site || !site->host->up)) || v->conflict)
        to->status = VOLUME_ERROR;
    snprintf(to->message, sizeof(to->message), "%s", v->message ? v->message : "");
    memcpy(to->options, v->options, sizeof(v->options));
    memcpy(to->changed, v->changed, sizeof(to->changed));
    show_job(to, v);
    to->meter = v->meter;
    if (to->meter)
        atomic_fetch_add(&to->meter->refs, 1);
    return to;
}

static int show_taken(struct view_host *to, const struct table *taken)
{
    if (taken->n == 0)
        return 0;
    to->taken = calloc(taken->n, sizeof(*to->taken));
    if (!to->taken)
        return -ENOMEM;
    for (size_t i = 0; i < taken->n; i++) {
        to->taken[i] = strdup(((const struct taken *)taken->items[i])->name);
        if (!to->taken[i])
            return -ENOMEM;
        to->n_taken = i + 1;
    }
    return 0;
}

static struct view_host *show_host(const struct site *site)
{
    const struct host *host = site->host;
    struct view_host *to = view_host_open();

    if (!to)
        return NULL;
    to->number = host->number;
    memcpy(to->name, host->config.name, sizeof(to->name));
    to->path = strdup(host->config.path);
    to->driver = host->config.driver;
    to->up = host->up;
    to->read_only = host->read_only;
    to->drain = host->drain;
    to->max_jobs = host->max_jobs;
    to->capacity_bytes = host->capacity_bytes;
    to->free_bytes = host->free_bytes;
    to->reserved_bytes = host->reserved_bytes;
    to->n_volumes = host->n_volumes;
    to->n_jobs = host->n_jobs;
    memcpy(to->pool, host->pool, sizeof(to->pool));
    memcpy(to->alias_of, host->alias_of, sizeof(to->alias_of));
    memcpy(to->last_error, host->last_error, sizeof(to->last_error));
    memcpy(to->changed, site->changed, sizeof(to->changed));
    if (!to->path || show_taken(to, &site->taken) < 0) {
        view_host_put(to);
        return NULL;
    }
    return to;
}

static void count(struct service *s)
{
    for (size_t i = 0; i < s->n_sites; i++)
        s->sites[i]->host->n_volumes = 0;
    for (size_t i = 0; i < s->by_name.n; i++) {
        struct vol *v = s->by_name.items[i];
        struct site *site = world_site(s, v->record.host);

        if (site)
            site->host->n_volumes++;
    }
}

static int refresh(struct service *s)
{
    for (size_t i = 0; i < s->by_name.n; i++) {
        struct vol *v = s->by_name.items[i];
        struct view_volume *shown;

        if (!v->dirty || (v->unsaved && !v->shown))
            continue;
        shown = show_volume(s, v);
        if (!shown)
            return -ENOMEM;
        if (v->shown)
            view_volume_put(v->shown);
        v->shown = shown;
    }
    for (size_t i = 0; i < s->n_sites; i++) {
        struct site *site = s->sites[i];
        struct view_host *shown = site->dirty ? show_host(site) : NULL;

        if (site->dirty && !shown)
            return -ENOMEM;
        if (!site->dirty)
            continue;
        if (site->shown)
            view_host_put(site->shown);
        site->shown = shown;
    }
    return 0;
}

static size_t n_shown(const struct service *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->by_name.n; i++)
        n += ((const struct vol *)s->by_name.items[i])->shown ? 1 : 0;
    return n;
}

static void fill(struct service *s, struct view *view)
{
    size_t n = 0;

    for (size_t i = 0; i < s->by_name.n; i++) {
        struct vol *v = s->by_name.items[i];

        if (v->shown)
            view->by_name[n++] = view_volume_ref(v->shown);
    }
    for (size_t i = 0; i < s->n_sites; i++)
        view->hosts[i] = view_host_ref(s->sites[i]->shown);
    view->max_jobs = s->max_jobs;
    view->max_queue = s->max_queue;
    view->stopping = s->stopped;
    view->doubt = catalog_doubt(s->catalog);
    memcpy(view->changed, s->changed, sizeof(view->changed));
    for (size_t i = 0; i < s->migrations.n; i++) {
        const struct migration *m = s->migrations.items[i];

        view->n_queued += phases[m->phase].waits ? 1 : 0;
        view->n_running += m->running ? 1 : 0;
    }
    view_index(view);
}

static int fill_texts(struct service *s, struct view *view)
{
    if (s->history_new || !s->history) {
        free(s->history);
        s->history = report_history(s);
        s->history_new = !s->history;
    }
    view->history = s->history ? strdup(s->history) : NULL;
    view->health = report_health(s);
    view->jobs = report_jobs(s);
    view->hidden = report_hidden(s);
    return view->history && view->health && view->jobs && view->hidden ? 0 : -ENOMEM;
}

/* Tell the mount what changed, once a thing, and be clean again. */
static void tell(struct service *s)
{
    uint32_t service_events = s->dirty;

    s->dirty = 0;
    for (size_t i = 0; i < s->by_name.n; i++) {
        struct vol *v = s->by_name.items[i];
        uint32_t events = v->shown ? v->dirty : 0;

        if (!events)
            continue;
        v->dirty = 0;
        if (s->on_change)
            s->on_change(s->on_change_arg, ABOUT_VOLUME, v->record.number, events);
    }
    for (size_t i = 0; i < s->n_sites; i++) {
        uint32_t events = s->sites[i]->dirty;

        s->sites[i]->dirty = 0;
        if (events && s->on_change)
            s->on_change(s->on_change_arg, ABOUT_HOST, s->sites[i]->host->number, events);
    }
    if (service_events && s->on_change)
        s->on_change(s->on_change_arg, ABOUT_SERVICE, 0, service_events);
}

static bool any_dirty(const struct service *s)
{
    bool dirty = s->dirty != 0;

    for (size_t i = 0; i < s->n_sites && !dirty; i++)
        dirty = s->sites[i]->dirty != 0;
    for (size_t i = 0; i < s->by_name.n && !dirty; i++)
        dirty = ((const struct vol *)s->by_name.items[i])->dirty != 0 &&
                !(((const struct vol *)s->by_name.items[i])->unsaved &&
                  !((const struct vol *)s->by_name.items[i])->shown);
    return dirty;
}

void world_publish(struct service *s)
{
    struct view *view = NULL;

    if (!any_dirty(s))
        return;
    count(s);
    if (refresh(s) == 0)
        view = view_open(n_shown(s), s->n_sites);
    if (view)
        fill(s, view);
    if (!view || fill_texts(s, view) < 0) {
        log_say(LOG_ERR, "no memory to show what changed");
        view_put(view);
        loop_set_timer(s->retry, NS_PER_S);
        return;
    }
    view_publish(s->views, view);
    tell(s);
}

void world_forget_shown(struct service *s)
{
    while (s->by_name.n)
        world_drop_volume(s, s->by_name.items[0]);
    for (size_t i = 0; i < s->n_sites; i++)
        if (s->sites[i]->shown)
            view_host_put(s->sites[i]->shown);
}
