/* Whose turn it is, what the hosts owe to jobs, and what happens at every tick. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/migration.h"

static size_t n_running(const struct service *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->migrations.n; i++)
        n += ((const struct migration *)s->migrations.items[i])->running ? 1 : 0;
    return n;
}

bool migration_may_run(const struct migration *m)
{
    return n_running(m->service) < m->service->max_jobs && m->from && m->to &&
           m->from->host->n_jobs < m->from->host->max_jobs &&
           m->to->host->n_jobs < m->to->host->max_jobs && m->from->host->up && m->to->host->up;
}

void migration_schedule(struct service *s)
{
    if (s->scheduling || s->stopped)
        return;
    s->scheduling = true; /* what begins may end at once, and come back here */
    for (size_t i = 0; i < s->migrations.n; i++) {
        struct migration *m = s->migrations.items[i];

        if (!phases[m->phase].waits || m->recovering || m->running || !migration_may_run(m))
            continue;
        m->running = true;
        m->job.stat.started_at_s = world_now_s();
        migration_reckon(s);
        migration_next(m);
        i = SIZE_MAX; /* from the start: the table may have changed */
    }
    s->scheduling = false;
}

void migration_reckon(struct service *s)
{
    for (size_t i = 0; i < s->n_sites; i++)
        s->sites[i]->host->n_jobs = s->sites[i]->host->reserved_bytes = 0;
    for (size_t i = 0; i < s->migrations.n; i++) {
        const struct migration *m = s->migrations.items[i];
        uint64_t written = m->job.stat.copied_bytes;

        if (m->to && !phases[m->phase].final)
            m->to->host->reserved_bytes += m->need_bytes > written ? m->need_bytes - written : 0;
        if (!m->running)
            continue;
        if (m->to)
            m->to->host->n_jobs++;
        if (m->from)
            m->from->host->n_jobs++;
    }
    for (size_t i = 0; i < s->n_sites; i++)
        world_touch_site(s->sites[i], EVENT_BIT(EVENT_HOST));
}

/* Somebody wants to write: let him, as soon as that can be. */
static void look_at_claim(struct migration *m)
{
    if (m->claim_fd < 0 || migration_claimed(m) || phases[m->phase].backwards)
        return;
    if (phases[m->phase].final) /* the old copy is let go, and kept if he writes it */
        migration_let_go(m);
    else if (!phases[m->phase].waits)
        migration_fail(m, ETXTBSY, UINT64_MAX, "the volume was opened for writing");
}

void migration_tick(struct service *s)
{
    for (size_t i = 0; i < s->migrations.n; i++) {
        struct migration *m = s->migrations.items[i];
        const struct progress *progress = m->worker ? worker_progress(m->worker) : NULL;

        if (progress && progress_sample(&m->rate, &m->job.stat, &m->base, m->job.verify,
                                        m->need_bytes, progress, m->vol->meter, io_now_ns()))
            migration_touch(m, EVENT_BIT(EVENT_PROGRESS));
    }
    for (size_t i = s->migrations.n; i-- > 0;)
        if (i < s->migrations.n)
            look_at_claim(s->migrations.items[i]);
    if (s->migrations.n)
        migration_reckon(s);
}

/* --- copies that wait to be destroyed: no job holds them any more --- */

/* ESTALE: it was written since, or is not ours any more. A human decides, and is told. */
void migration_note_left(struct vol *v, const char *host, const struct pool_reply *reply)
{
    if (reply->error == ESTALE)
        vol_note(&v->warning, "a copy of it is left hidden on %s: %s", host, reply->text);
}

struct collection {
    struct service *service;
    struct copy copy;
};

static void on_collected(void *arg, const struct pool_reply *reply, int fd)
{
    OWNED(mem) struct collection *c = arg;
    struct service *s = c->service;
    struct vol *v = world_volume_by_uuid(s, c->copy.volume);
    struct err e = {0};

    owned_fd(&fd);
    s->collecting = false;
    if (reply->error) {
        if (v)
            migration_note_left(v, c->copy.host, reply);
        world_touch_service(s, EVENT_BIT(EVENT_HOST));
        return;
    }
    if (catalog_drop_copy(s->catalog, c->copy.cid) < 0 || catalog_commit(s->catalog, &e) < 0) {
        log_say(LOG_WARNING, "volume %s: its old copy is gone, but its record stays for now: %s",
                c->copy.name, e.text);
        return;
    }
    if (v)
        vol_note(&v->warning, NULL);
    world_touch_service(s, EVENT_BIT(EVENT_HOST));
    migration_collect(s);
}

static bool has_job(const struct service *s, const struct copy *copy)
{
    for (size_t i = 0; i < s->migrations.n; i++) {
        const struct migration *m = s->migrations.items[i];

        if (uuid_compare(m->job.source_cid, copy->cid) == 0 ||
            uuid_compare(m->job.destination_cid, copy->cid) == 0)
            return true;
    }
    return false;
}

static int find_collectable(const struct copy *copy, void *arg)
{
    struct collection *c = arg;
    struct site *site = world_site(c->service, copy->host);
    struct vol *v;

    if (copy->role == COPY_PRIMARY || !site || !site->host->up || has_job(c->service, copy))
        return 0;
    v = world_volume_by_uuid(c->service, copy->volume);
    if (v && v->warning) /* a human looks at that one */
        return 0;
    c->copy = *copy;
    return 1;
}

void migration_collect(struct service *s)
{
    struct pool_request request = {.kind = POOL_REMOVE};
    struct collection *c;

    if (s->collecting || s->stopped || catalog_doubt(s->catalog))
        return;
    c = calloc(1, sizeof(*c));
    if (!c)
        return;
    c->service = s;
    if (catalog_each_copy(s->catalog, find_collectable, c) == 1) {
        memcpy(request.name, c->copy.name, sizeof(request.name));
        uuid_copy(request.cid, c->copy.cid);
        uuid_copy(request.volume, c->copy.volume);
        request.expect = c->copy.identity;
        request.has_expect = c->copy.state != COPY_INTENT;
        request.has_mtime = c->copy.role == COPY_DELETE_PENDING;
        request.mtime_ns = c->copy.mtime_ns;
        s->collecting = host_ask(world_site(s, c->copy.host)->host, &request, -1, 0, on_collected,
                                 c, NULL) == 0;
    }
    if (!s->collecting)
        free(c);
}

static bool goes_on(const struct phase *phase)
{
    return !phase->final && !phase->backwards;
}

static bool begins(const struct phase *phase)
{
    return !phase->waits;
}

static bool goes_back(const struct phase *phase)
{
    return phase->backwards;
}

static bool ends(const struct phase *phase)
{
    return phase->final || phase->backwards;
}

/* migration_crash_point: when, and in which phases that happens. */
static const struct {
    const char *when;
    bool (*happens)(const struct phase *phase);
} edges[] = {
    {"leaving", goes_on}, {"entered", begins}, {"undoing", goes_back},
    {"finishing", ends},  {"finished", ends},
};
static const char *const others[] = {"accept-before", "accept-after",      "abort-before",
                                     "abort-after",   "checkpoint-before", "checkpoint-after"};

void migration_list_crash_points(struct text *out)
{
    for (size_t i = 0; i < ARRAY_N(others); i++)
        text_add(out, "%s\n", others[i]);
    for (size_t edge = 0; edge < ARRAY_N(edges); edge++)
        for (int i = 0; i < PHASE_N; i++)
            if (edges[edge].happens(&phases[i]))
                text_add(out, "%s-%s\n", edges[edge].when, phases[i].name);
}
