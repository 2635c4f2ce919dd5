/*
 * How fast each job may go.
 *
 * The limits of the service and of a host are budgets of the jobs that move bytes under them: each
 * gets an equal share, whatever it makes of it. A job that comes, goes or stands still changes the
 * shares of the others at once. The least of its volume's limit and of its shares is what holds.
 */
#include "fs/migrate/events.h"
#include "fs/migrate/migration.h"

static bool has_worker(const struct migration *m)
{
    return m->worker && m->after_worker == THEN_RETRY;
}

static bool moves(const struct migration *m)
{
    return has_worker(m) && !migration_is_paused(m);
}

static void count(struct service *s)
{
    s->n_moving = 0;
    for (size_t i = 0; i < s->n_sites; i++)
        s->sites[i]->n_moving = 0;
    for (size_t i = 0; i < s->migrations.n; i++) {
        const struct migration *m = s->migrations.items[i];

        if (!moves(m))
            continue;
        s->n_moving++;
        m->from->n_moving++;
        m->to->n_moving++;
    }
}

/* Never 0, which would be a pause. */
static uint64_t least(uint64_t speed, uint64_t budget, uint64_t n_shares)
{
    uint64_t share = budget == SPEED_MAX ? SPEED_MAX : budget / n_shares;

    if (share == 0)
        share = 1;
    return share < speed ? share : speed;
}

static uint64_t speed_of(const struct migration *m)
{
    const struct service *s = m->service;
    uint64_t speed = option_of(m->vol->options, VOLUME_OPTION_SPEED);

    speed = least(speed, m->from->host->speed_bytes_per_s, m->from->n_moving);
    speed = least(speed, m->to->host->speed_bytes_per_s, m->to->n_moving);
    return least(speed, s->speed_bytes_per_s, s->n_moving);
}

void migration_steer(struct service *s)
{
    count(s);
    for (size_t i = 0; i < s->migrations.n; i++) {
        struct migration *m = s->migrations.items[i];
        uint64_t speed = moves(m) ? speed_of(m) : SPEED_MAX;

        if (has_worker(m))
            worker_set_speed(m->worker, moves(m) ? speed : 0);
        if (atomic_exchange(&m->vol->meter->speed_bytes_per_s, speed) != speed)
            migration_touch(m, EVENT_BIT(EVENT_PROGRESS));
    }
}

/* If that is news. */
static void say_pause(struct migration *m, const struct request *request)
{
    bool paused = migration_is_paused(m);

    if (paused == m->said_paused || m->recovering) /* which is told when it goes on */
        return;
    m->said_paused = paused;
    events_say(m->service, paused ? SAY_PAUSED : SAY_RESUMED,
               EVENT_OF(.vol = m->vol, .request = request),
               "volume %s: job %" PRIu64 ": %s by uid %u pid %d: %s -> %s", m->vol->name,
               m->job.number, paused ? "paused" : "resumed", request->caller.uid,
               request->caller.pid, m->job.source, m->job.destination);
}

void migration_say_phase(struct migration *m)
{
    m->said_paused = migration_is_paused(m);
    events_say(m->service, SAY_PHASE, EVENT_OF(.vol = m->vol),
               "volume %s: job %" PRIu64 ": %s: %s -> %s", m->vol->name, m->job.number,
               migration_phase(m), m->job.source, m->job.destination);
}

/* What was to begin meanwhile begins now, with all the patience that it had. */
void migration_heed_pause(struct service *s, const struct request *request)
{
    for (size_t i = 0; i < s->migrations.n; i++) {
        struct migration *m = s->migrations.items[i];

        say_pause(m, request);
        migration_touch(m, EVENT_BIT(EVENT_STATE));
        if (!m->held || migration_is_paused(m))
            continue;
        m->held = false;
        m->deaths = 0;
        m->stopped_since_ns = 0;
        migration_later(m, 0, migration_go_again);
    }
    migration_steer(s);
    migration_schedule(s);
}
