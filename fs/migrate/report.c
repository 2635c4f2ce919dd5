/*
 * The whole texts of .control: health, jobs, history, hidden.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/migration.h"
#include "fs/migrate/use.h"

static char *finish(struct text *t)
{
    char *bytes = t->failed ? NULL : take_ptr(t->bytes);

    if (!bytes && !t->failed)
        bytes = strdup("");
    text_deinit(t);
    return bytes;
}

static size_t n_recovering(const struct service *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->migrations.n; i++)
        n += ((const struct migration *)s->migrations.items[i])->recovering ? 1 : 0;
    return n;
}

static void add_reason(struct text *t, const char *about, const char *name, const char *reason)
{
    text_add(t, "%s%s %s: %s", t->n ? "; " : "", about, name, reason);
}

#define TOLD_MAX 20 /* strangers named a host; the rest is a number */

static void add_taken(struct text *t, const struct site *site)
{
    char name[TEXT_HOST_BYTES + 300], rest[48];

    for (size_t i = 0; i < site->taken.n && i < TOLD_MAX; i++) {
        const struct taken *taken = site->taken.items[i];

        snprintf(name, sizeof(name), "%s/%s", site->host->config.name, taken->name);
        add_reason(t, "not listed", name, taken->why);
    }
    if (site->taken.n <= TOLD_MAX)
        return;
    snprintf(rest, sizeof(rest), "and %zu more are not listed", site->taken.n - TOLD_MAX);
    add_reason(t, "host", site->host->config.name, rest);
}

/* Volumes of hosts that are not configured any more: one line a host would need a table of them. */
static void add_homeless(struct text *t, struct service *s)
{
    const struct table *names = roll_in_order(&s->by_name);
    char rest[64], reason[TEXT_HOST_BYTES + 40];
    size_t n = 0;

    for (size_t i = 0; i < names->n; i++) {
        const struct vol *v = names->items[i];

        if (v->site || n++ >= TOLD_MAX)
            continue;
        snprintf(reason, sizeof(reason), "its host %s is not configured", v->record.host);
        add_reason(t, "volume", v->name, reason);
    }
    if (n <= TOLD_MAX)
        return;
    snprintf(rest, sizeof(rest), "%zu more, whose hosts are not configured", n - TOLD_MAX);
    add_reason(t, "volumes", "and", rest);
}

/* Copies that may be all that is left of a volume: a human decides. */
static void add_orphans(struct text *t, struct service *s)
{
    char rest[80], reason[TEXT_HOST_BYTES + 64];
    size_t n = 0;

    world_know_left(s);
    for (size_t i = 0; i < s->left.n; i++) {
        const struct copy *copy = s->left.items[i];

        if (world_volume_by_uuid(s, copy->volume) || n++ >= TOLD_MAX)
            continue;
        snprintf(reason, sizeof(reason), "it is gone; its %s copy on %s is left",
                 copy_role_names[copy->role], copy->host);
        add_reason(t, "volume", copy->name, reason);
    }
    if (n <= TOLD_MAX)
        return;
    snprintf(rest, sizeof(rest), "%zu more, which are gone, and copies of them are left",
             n - TOLD_MAX);
    add_reason(t, "volumes", "and", rest);
}

/* Of all volumes, which is why it is kept until one of the notes changes. */
static const char *notes(struct service *s)
{
    const struct table *names;
    struct text t = {0};

    if (!s->notes_new && s->notes)
        return s->notes;
    names = roll_in_order(&s->by_name);
    for (size_t i = 0; i < names->n; i++) {
        const struct vol *v = names->items[i];

        if (v->conflict)
            add_reason(&t, "volume", v->name, v->conflict);
        if (v->warning)
            add_reason(&t, "volume", v->name, v->warning);
    }
    add_homeless(&t, s);
    add_orphans(&t, s);
    free(s->notes);
    s->notes = finish(&t);
    s->notes_new = !s->notes || !s->left_is_known;
    return s->notes;
}

static void add_passed(void *arg, const char *name, const char *reason)
{
    add_reason(arg, "volume", name, reason);
}

char *report_health(struct service *s)
{
    const char *of_volumes = notes(s);
    struct text t = {0}, all = {0};
    size_t n = n_recovering(s);

    if (!of_volumes)
        return NULL;
    if (catalog_doubt(s->catalog))
        add_reason(&t, "catalogue", s->config->state_dir,
                   "in doubt: nothing is changed until a restart");
    for (size_t i = 0; i < s->n_sites; i++) {
        const struct host *host = s->sites[i]->host;

        if (!host->up)
            add_reason(&t, "host", host->config.name,
                       host->last_error[0] ? host->last_error : "down");
        add_taken(&t, s->sites[i]);
    }
    use_report(s, add_passed, &t);
    if (of_volumes[0])
        text_add(&t, "%s%s", t.n ? "; " : "", of_volumes);
    if (t.n > 0)
        text_add(&all, "degraded %s", t.bytes);
    else if (n > 0)
        text_add(&all, "recovering %zu", n);
    else
        text_add(&all, "ok");
    all.failed |= t.failed;
    text_deinit(&t);
    return finish(&all);
}

char *report_line(const char *raw)
{
    struct text t = {0};

    text_add_escaped(&t, raw);
    text_add(&t, "\n");
    return finish(&t);
}

static void add_number(struct text *t, uint64_t value)
{
    if (value == UINT64_MAX)
        text_add(t, " null");
    else
        text_add(t, " %" PRIu64, value);
}

char *report_jobs(struct service *s)
{
    struct text t = {0};

    for (size_t i = 0; i < s->migrations.n; i++) {
        const struct migration *m = s->migrations.items[i];
        const struct meter *meter = m->vol->meter;

        text_add(&t, "%s %s %s %s", m->vol->name, m->job.source, m->job.destination,
                 migration_phase(m));
        add_number(&t, meter ? atomic_load(&meter->percent) : UINT64_MAX);
        add_number(&t, meter ? atomic_load(&meter->eta_s) : UINT64_MAX);
        add_number(&t, meter ? atomic_load(&meter->rate_bytes_per_s) : UINT64_MAX);
        text_add(&t, " copy\n");
    }
    return finish(&t);
}

static int add_history(const struct history *h, void *arg)
{
    char start[TEXT_TIME_BYTES], end[TEXT_TIME_BYTES];
    struct text *t = arg;

    text_time((time_t)h->started_at_s, start);
    text_time((time_t)h->ended_at_s, end);
    text_add(t, "%" PRIu64 " %s %s %s %s %s %s %s %" PRIu64 " %" PRIu64 " %u\n", h->job, h->name,
             start, end, h->source, h->destination, result_names[h->result],
             h->error ? err_name(h->error) : "null", h->bytes,
             span_s(h->started_at_s, h->ended_at_s), h->uid);
    return t->failed ? -ENOMEM : 0;
}

char *report_history(struct service *s)
{
    struct text t = {0};

    catalog_each_history(s->catalog, add_history, &t);
    return finish(&t);
}

static int add_hidden(const struct copy *copy, void *arg)
{
    char uuid[37], since[TEXT_TIME_BYTES];
    struct text *t = arg;

    uuid_unparse_lower(copy->cid, uuid);
    text_time((time_t)copy->since_s, since);
    text_add(t, "%s %s %s %s %" PRIu64 " %s\n", uuid, copy_role_names[copy->role], copy->name,
             copy->host, copy->size_bytes, since);
    return 0;
}

char *report_hidden(struct service *s)
{
    struct text t = {0};

    catalog_each_hidden(s->catalog, add_hidden, &t);
    return finish(&t);
}
