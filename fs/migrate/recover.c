#include "fs/migrate/recover.h"

#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/events.h"

static bool is_there(enum pool_found found)
{
    return found == POOL_FOUND_HIDDEN || found == POOL_FOUND_PUBLISHED;
}

/*
 * Rows are tried in order; the first that fits decides. A job that was not switched needs its
 * source where it was; one that was switched needs its destination there. Without that, nothing is
 * touched.
 */
enum recovery recover_decide(enum phase_id phase, bool abort, enum pool_found source,
                             enum pool_found destination)
{
    bool source_there = source == POOL_FOUND_PUBLISHED;
    static const enum recovery resume[PHASE_N] = {
        [PHASE_QUEUED] = RECOVER_QUEUE,      [PHASE_RESERVING] = RECOVER_RESERVE,
        [PHASE_COPYING] = RECOVER_COPY,      [PHASE_VERIFYING] = RECOVER_VERIFY,
        [PHASE_SWITCHING] = RECOVER_VERIFY,  [PHASE_CLEANING] = RECOVER_FORWARD,
        [PHASE_ROLLING_BACK] = RECOVER_BACK,
    };

    if (phases[phase].final)
        return destination == POOL_FOUND_PUBLISHED ? RECOVER_FORWARD : RECOVER_HALT;
    if (abort || phases[phase].backwards) /* which destroys nothing while the source is not there */
        return RECOVER_BACK;
    if (!source_there)
        return is_there(destination) ? RECOVER_HALT : RECOVER_BACK;
    if (phase != PHASE_QUEUED && phase != PHASE_RESERVING && !is_there(destination))
        return RECOVER_BACK;
    return resume[phase];
}

static void back(struct migration *m)
{
    if (m->phase == PHASE_ROLLING_BACK) {
        phases[m->phase].go(m);
        return;
    }
    if (!m->job.abort)
        migration_fail(m, ESTALE, UINT64_MAX, "the volume or its copy is gone or is another");
    else
        migration_enter(m, PHASE_ROLLING_BACK);
}

static void resume(struct migration *m, enum phase_id phase)
{
    m->phase = phase;
    m->said_paused = migration_is_paused(m);
    m->job.stat.resumes++;
    m->service->totals.n_resumes++;
    events_say(m->service, SAY_RECOVERED, EVENT_OF(.vol = m->vol),
               "volume %s: job %" PRIu64 ": resumed at %s, %" PRIu64 " of %" PRIu64
               " bytes: %s -> %s",
               m->vol->name, m->job.number, phases[phase].name, m->job.stat.checkpoint_bytes,
               m->job.stat.total_bytes, m->job.source, m->job.destination);
    phases[phase].go(m);
}

static void halt(struct migration *m)
{
    m->recovering = true;
    vol_note(m->vol, &m->vol->conflict,
             "job %" PRIu64 " (%s): ESTALE: the volume is not where its records say (%s); nothing "
             "was touched; put it back and write 1 to .control/rescan",
             m->job.number, phases[m->phase].name,
             phases[m->phase].final ? m->job.destination : m->job.source);
    log_say(LOG_ERR, "volume %s: %s", m->vol->name,
            m->vol->conflict ? m->vol->conflict : "its evidence fits no record");
}

static void act(struct migration *m, enum recovery what)
{
    m->recovering = what == RECOVER_HALT;
    m->said_paused = migration_is_paused(m);
    vol_note(m->vol, &m->vol->conflict, NULL);
    m->running = what != RECOVER_QUEUE && what != RECOVER_HALT;
    migration_touch(m, EVENT_BIT(EVENT_STATE));
    switch (what) {
    case RECOVER_QUEUE:
        migration_schedule(m->service);
        break;
    case RECOVER_RESERVE:
        resume(m, PHASE_RESERVING);
        break;
    case RECOVER_COPY:
        resume(m, PHASE_COPYING);
        break;
    case RECOVER_VERIFY:
        resume(m, PHASE_VERIFYING);
        break;
    case RECOVER_FORWARD:
        resume(m, PHASE_CLEANING);
        break;
    case RECOVER_BACK:
        back(m);
        break;
    case RECOVER_HALT:
        halt(m);
        break;
    }
}

static void unknown(struct migration *m, const struct pool_reply *reply)
{
    log_say(LOG_ERR, "volume %s: job %" PRIu64 ": its evidence cannot be seen: %s", m->vol->name,
            m->job.number, reply->text);
    migration_later(m, 2 * NS_PER_S, migration_recover);
}

static void on_destination(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    owned_fd(&fd);
    if (reply->error)
        unknown(m, reply);
    else
        act(m, recover_decide(m->phase, m->job.abort, m->found_source, reply->found));
}

static void on_source(void *arg, const struct pool_reply *reply, int fd)
{
    struct pool_request request;
    struct migration *m = arg;

    owned_fd(&fd);
    if (reply->error) {
        unknown(m, reply);
        return;
    }
    m->found_source = reply->found;
    request = migration_request(m, POOL_EXAMINE, false);
    migration_ask(m, m->to, &request, -1, on_destination);
}

/* Needs both hosts; without, it is called again when one comes up. */
void migration_recover(struct migration *m)
{
    struct pool_request request = migration_request(m, POOL_EXAMINE, true);

    m->recovering = true;
    m->held = false;
    m->stopped = NULL;
    loop_stop_timer(m->timer);
    migration_touch(m, EVENT_BIT(EVENT_STATE));
    if (!m->from || !m->to)
        vol_note(m->vol, &m->vol->conflict,
                 "job %" PRIu64 " needs host %s, which is not configured any more", m->job.number,
                 m->from ? m->job.destination : m->job.source);
    if (!m->from || !m->to || !m->from->host->up || !m->to->host->up || m->ask ||
        catalog_doubt(m->service->catalog))
        return;
    migration_release(m);
    migration_ask(m, m->from, &request, -1, on_source);
}

void migration_recover_all(struct service *s)
{
    for (size_t i = 0; i < s->migrations.n; i++) {
        struct migration *m = s->migrations.items[i];

        if (m->recovering && !m->worker)
            migration_recover(m);
    }
}

void migration_host_lost(struct service *s, struct site *site)
{
    for (size_t i = 0; i < s->migrations.n; i++) {
        struct migration *m = s->migrations.items[i];

        if (m->to == site &&
            m->worker) /* it holds the pool's lock: nobody gets in while it lives */
            copying_end(m, THEN_RECOVER);
    }
}
