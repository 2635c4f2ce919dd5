/*
 * From the owner's world to the view that readers see: what is dirty is made anew, the rest is
 * shared with the view before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/events.h"
#include "fs/migrate/migration.h"

static void stamp(struct timespec changed[EVENT_N], uint32_t events)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    for (int event = 0; event < EVENT_N; event++)
        if (events & EVENT_BIT(event))
            changed[event] = now;
}

/* A new volume is shown once it is recorded. */
static bool may_be_shown(const struct vol *v)
{
    return !v->unlisted && (!v->unsaved || v->shown);
}

void world_announce(struct vol *v)
{
    if (v->is_news || !v->dirty || !may_be_shown(v))
        return;
    TAILQ_INSERT_TAIL(&v->service->news, v, news);
    v->is_news = true;
}

static void take_from_news(struct vol *v)
{
    if (v->is_news)
        TAILQ_REMOVE(&v->service->news, v, news);
    v->is_news = false;
}

void world_hide(struct vol *v)
{
    take_from_news(v);
    if (!v->shown)
        return;
    view_volume_put(take_ptr(v->shown));
    v->service->members_new = true;
}

void world_touch(struct vol *v, uint32_t events)
{
    v->dirty |= events;
    world_announce(v);
}

/* Whether a host's state has changed is seen when it is shown; a setting was written. */
void world_touch_site(struct site *site, uint32_t events)
{
    site->dirty |= events;
    stamp(site->changed, events & ~EVENT_BIT(EVENT_HOST));
}

void world_touch_service(struct service *s, uint32_t events)
{
    s->dirty |= events;
    stamp(s->changed, events);
}

void world_look_again(struct service *s)
{
    s->look_again = true;
    s->left_is_known = false;
}

/* What the last volume's dates were made of: at a start, and when a host comes or goes, the same
 * happens to very many, which then have their dates in common. */
struct dating {
    struct view_dates *before, *after;
    uint32_t events;
};

static void forget_dating(struct dating *last)
{
    view_dates_put(last->before);
    view_dates_put(last->after);
}

/* NULL: no memory. */
static struct view_dates *date(const struct view_volume *shown, uint32_t events,
                               struct dating *last)
{
    struct view_dates *before = shown ? shown->dates : NULL, *dates;

    events = before ? events : UINT32_MAX;
    if (last->after && last->before == before && last->events == events)
        return view_dates_ref(last->after);
    dates = view_dates_open();
    if (!dates)
        return NULL;
    if (before)
        memcpy(dates->at, before->at, sizeof(dates->at));
    stamp(dates->at, events);
    forget_dating(last);
    *last = (struct dating){before ? view_dates_ref(before) : NULL, view_dates_ref(dates), events};
    return dates;
}

static int refresh_volume(struct service *s, struct vol *v, struct dating *last)
{
    struct view_volume *shown = world_show_volume(s, v);

    if (!shown)
        return -ENOMEM;
    v->dirty |= world_shown_anew(v->shown, shown);
    shown->dates = date(v->shown, v->dirty, last);
    if (!shown->dates) {
        view_volume_put(shown);
        return -ENOMEM;
    }
    s->members_new |= !v->shown;
    view_volume_put(v->shown);
    v->shown = shown;
    return 0;
}

/* Where it is may be elsewhere now. */
static void count(struct service *s, struct vol *v)
{
    struct site *site = world_site(s, v->record.host);

    s->notes_new |= !site != !v->site;
    world_count_at(v, site);
}

static int refresh_site(struct site *site)
{
    struct view_host *shown = world_show_host(site);

    if (!shown)
        return -ENOMEM;
    site->dirty &= ~EVENT_BIT(EVENT_HOST);
    if (!site->shown || !world_shown_same(site->shown, shown)) {
        site->dirty |= EVENT_BIT(EVENT_HOST);
        stamp(site->changed, EVENT_BIT(EVENT_HOST));
    }
    memcpy(shown->changed, site->changed, sizeof(shown->changed));
    if (site->shown)
        view_host_put(site->shown);
    site->shown = shown;
    return 0;
}

static int refresh(struct service *s)
{
    struct dating last = {0};
    struct vol *v;
    int r = 0;

    TAILQ_FOREACH(v, &s->news, news)
    {
        count(s, v);
        r = refresh_volume(s, v, &last);
        if (r < 0)
            break;
    }
    forget_dating(&last);
    for (size_t i = 0; i < s->n_sites && r == 0; i++)
        r = refresh_site(s->sites[i]);
    return r;
}

/* Every volume gets its place anew. */
static int place_all(struct service *s, struct view **ret)
{
    const struct table *numbers = roll_in_order(&s->by_number), *names = roll_in_order(&s->by_name);
    OWNED(view) struct view *view = NULL;
    size_t n = 0;

    for (size_t i = 0; i < numbers->n; i++)
        n += ((const struct vol *)numbers->items[i])->shown ? 1 : 0;
    view = view_open(n, s->n_sites);
    n = 0;
    for (size_t i = 0; view && i < numbers->n; i++) {
        struct vol *v = numbers->items[i];

        if (!v->shown)
            continue;
        v->place = (uint32_t)n++;
        if (view_set(view, v->place, view_volume_ref(v->shown)) < 0)
            return -ENOMEM;
    }
    n = 0;
    for (size_t i = 0; view && i < names->n; i++) {
        const struct vol *v = names->items[i];

        if (v->shown)
            view_set_order(view, n++, v->place);
    }
    *ret = take_ptr(view);
    return *ret ? 0 : -ENOMEM;
}

/* The same volumes as before: what is new of them takes its old place. */
static int replace_news(struct service *s, const struct view *before, struct view **ret)
{
    OWNED(view) struct view *view = view_open_like(before, s->n_sites);
    const struct vol *v;

    if (!view)
        return -ENOMEM;
    TAILQ_FOREACH(v, &s->news, news)
    {
        if (view_set(view, v->place, view_volume_ref(v->shown)) < 0)
            return -ENOMEM;
    }
    *ret = take_ptr(view);
    return 0;
}

static int make_view(struct service *s, struct view **ret)
{
    OWNED(view) struct view *before = view_get(s->views);

    return s->members_new || !before ? place_all(s, ret) : replace_news(s, before, ret);
}

static void fill(struct service *s, struct view *view)
{
    for (size_t i = 0; i < s->n_sites; i++)
        view->hosts[i] = view_host_ref(s->sites[i]->shown);
    view->max_jobs = s->max_jobs;
    view->max_queue = s->max_queue;
    view->totals = s->totals;
    view->speed_bytes_per_s = s->speed_bytes_per_s;
    view->pause = s->pause;
    view->stopping = s->stopped;
    view->doubt = catalog_doubt(s->catalog);
    for (size_t i = 0; i < s->migrations.n; i++) {
        const struct migration *m = s->migrations.items[i];

        view->n_queued += phases[m->phase].waits ? 1 : 0;
        view->n_running += migration_is_at_work(m) ? 1 : 0;
    }
}

static bool any_dirty(const struct service *s)
{
    bool dirty = s->dirty != 0 || !TAILQ_EMPTY(&s->news);

    for (size_t i = 0; i < s->n_sites && !dirty; i++)
        dirty = s->sites[i]->dirty != 0;
    return dirty;
}

/* A whole text, dated by itself. */
static char *dated(struct service *s, char *new, const char *old, enum event event)
{
    if (new && (!old || strcmp(old, new) != 0))
        world_touch_service(s, EVENT_BIT(event));
    return new;
}

/* What any volume's candidates are judged by, of the service. */
static void date_terms(struct service *s, const struct view *new, const struct view *old)
{
    if (new->max_jobs != old->max_jobs || new->max_queue != old->max_queue ||
        new->n_queued != old->n_queued || new->pause != old->pause ||
        new->n_running != old->n_running || new->stopping != old->stopping ||
        new->doubt != old->doubt)
        world_touch_service(s, EVENT_BIT(EVENT_HOST));
}

static int fill_texts(struct service *s, struct view *view)
{
    static const struct view none;
    OWNED(view) struct view *last = view_get(s->views);
    const struct view *old = last ? last : &none;
    OWNED(mem) char *health = report_health(s);

    if (s->history_new || !s->history) {
        free(s->history);
        s->history = report_history(s);
        s->history_new = !s->history;
    }
    view->history = dated(s, s->history ? strdup(s->history) : NULL, old->history, EVENT_HISTORY);
    view->health = dated(s, health ? report_line(health) : NULL, old->health, EVENT_HEALTH);
    if (health && s->ready) /* before, the pools were not looked at */
        events_look_at_health(s, health);
    view->jobs = dated(s, report_jobs(s), old->jobs, EVENT_JOBS);
    view->hidden = dated(s, report_hidden(s), old->hidden, EVENT_HIDDEN);
    view->events = feed_ref(events_feed(s->events));
    date_terms(s, view, old);
    if (any_dirty(s) || memcmp(&view->totals, &old->totals, sizeof(view->totals)) != 0)
        world_touch_service(s, EVENT_BIT(EVENT_METRICS));
    memcpy(view->changed, s->changed, sizeof(view->changed));
    return view->history && view->health && view->jobs && view->hidden ? 0 : -ENOMEM;
}

/* Tell the mount what changed, once a thing, and be clean again. Nobody has looked at a volume that
 * is shown for the first time: who may have waited for it is told of the new members. */
static void tell(struct service *s)
{
    service_change_fn *on_change = atomic_load(&s->on_change);
    uint32_t service_events = s->dirty;
    struct vol *v;

    s->dirty = 0;
    s->look_again = false;
    s->members_new = false;
    while ((v = TAILQ_FIRST(&s->news))) {
        uint32_t events = v->dirty;

        take_from_news(v);
        v->dirty = 0;
        if (on_change && v->was_shown)
            on_change(s->on_change_arg, ABOUT_VOLUME, v->record.number, events);
        v->was_shown = true;
    }
    for (size_t i = 0; i < s->n_sites; i++) {
        uint32_t events = s->sites[i]->dirty;

        s->sites[i]->dirty = 0;
        if (events && on_change)
            on_change(s->on_change_arg, ABOUT_HOST, s->sites[i]->host->number, events);
    }
    if (service_events && on_change)
        on_change(s->on_change_arg, ABOUT_SERVICE, 0, service_events);
}

void world_publish(struct service *s)
{
    struct view *view = NULL;
    int r;

    if (!any_dirty(s) && !s->look_again)
        return;
    r = refresh(s);
    if (s->members_new)
        world_touch_service(s, EVENT_BIT(EVENT_MEMBERS));
    if (r == 0)
        r = make_view(s, &view);
    if (r == 0) {
        fill(s, view);
        r = fill_texts(s, view);
    }
    if (r < 0) {
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
    for (size_t i = 0; i < s->n_sites; i++)
        if (s->sites[i]->shown)
            view_host_put(s->sites[i]->shown);
}
