/* Whose turn it is, what the hosts owe to jobs, and what happens at every tick. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/events.h"
#include "fs/migrate/migration.h"

/* One that waits for a host, or for a human, is in nobody's way. */
bool migration_is_at_work(const struct migration *m)
{
    return m->running && !m->recovering;
}

static size_t n_running(const struct service *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->migrations.n; i++)
        n += migration_is_at_work(s->migrations.items[i]) ? 1 : 0;
    return n;
}

bool migration_may_run(const struct migration *m)
{
    return !migration_is_paused(m) && n_running(m->service) < m->service->max_jobs && m->from &&
           m->to && m->from->host->n_jobs < m->from->host->max_jobs &&
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

static uint64_t reserved_bytes(struct migration *m)
{
    struct room *room = &m->room;

    for (size_t i = 0; i < ROOM_SAMPLES; i++)
        if (room->samples[i].at_ns < m->to->host->space_ns &&
            room->samples[i].written_bytes > room->settled_bytes)
            room->settled_bytes = room->samples[i].written_bytes;
    return m->need_bytes > room->settled_bytes ? m->need_bytes - room->settled_bytes : 0;
}

void migration_reckon(struct service *s)
{
    for (size_t i = 0; i < s->n_sites; i++)
        s->sites[i]->host->n_jobs = s->sites[i]->host->reserved_bytes = 0;
    for (size_t i = 0; i < s->migrations.n; i++) {
        struct migration *m = s->migrations.items[i];

        if (m->to && !phases[m->phase].final && !m->job.restore)
            m->to->host->reserved_bytes += reserved_bytes(m);
        if (!migration_is_at_work(m))
            continue;
        if (m->to)
            m->to->host->n_jobs++;
        if (m->from)
            m->from->host->n_jobs++;
    }
    migration_steer(s);
    world_look_again(s);
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

/* While nothing is written the oldest sample of it says most: an answer may be long on its way. */
static void sample_room(struct room *room, uint64_t written_bytes)
{
    if (room->samples[room->next].written_bytes == written_bytes)
        return;
    room->next = (room->next + 1) % ROOM_SAMPLES;
    room->samples[room->next].written_bytes = written_bytes;
    room->samples[room->next].at_ns = io_now_ns(); /* not before they were counted */
}

#define SAY_EVERY_PERCENT 5

/* A small volume may go in fewer steps: what is said is how far it is, not each step. */
static void say_progress(struct migration *m)
{
    uint64_t percent = atomic_load(&m->vol->meter->percent);

    if (percent / SAY_EVERY_PERCENT == m->said_percent / SAY_EVERY_PERCENT)
        return;
    m->said_percent = percent;
    events_say(m->service, SAY_PROGRESS, EVENT_OF(.vol = m->vol),
               "volume %s: job %" PRIu64 ": %" PRIu64 " %% of %" PRIu64 " bytes: %s -> %s",
               m->vol->name, m->job.number, percent, m->job.stat.total_bytes, m->job.source,
               m->job.destination);
}

static void sample(struct migration *m)
{
    const struct progress *progress = m->worker ? worker_progress(m->worker) : NULL;

    totals_add_moved(&m->service->totals, &m->counted, progress);
    if ((progress || m->rate.n > 0) && /* once one has run, its rate sinks when it runs no more */
        progress_sample(&m->rate, &m->job.stat, &m->base, migration_work(m), m->need_bytes,
                        progress, progress && !migration_is_paused(m), m->vol->meter, io_now_ns()))
        migration_touch(m, EVENT_BIT(EVENT_PROGRESS));
    say_progress(m);
    sample_room(&m->room, m->job.stat.copied_bytes - m->room.again_bytes);
}

void migration_sample(struct service *s)
{
    for (size_t i = 0; i < s->migrations.n; i++)
        sample(s->migrations.items[i]);
}

void migration_tick(struct service *s)
{
    migration_sample(s);
    for (size_t i = s->migrations.n; i-- > 0;)
        if (i < s->migrations.n)
            look_at_claim(s->migrations.items[i]);
    for (size_t i = s->migrations.n; i-- > 0;)
        if (i < s->migrations.n)
            copying_look(s->migrations.items[i]);
    if (s->migrations.n)
        migration_reckon(s);
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
static const char *const others[] = {
    "accept-before",    "accept-after",      "abort-before",     "abort-after", "checkpoint-before",
    "checkpoint-after", "evacuation-before", "evacuation-after", "drop-before", "drop-after"};

void migration_list_crash_points(struct text *out)
{
    for (size_t i = 0; i < ARRAY_N(others); i++)
        text_add(out, "%s\n", others[i]);
    for (size_t edge = 0; edge < ARRAY_N(edges); edge++)
        for (int i = 0; i < PHASE_N; i++)
            if (edges[edge].happens(&phases[i]))
                text_add(out, "%s-%s\n", edges[edge].when, phases[i].name);
}
