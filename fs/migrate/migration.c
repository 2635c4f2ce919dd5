/* The engine of migration.h: how a job is stored, goes on, goes back and ends. */
#include "fs/migrate/migration.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"
#include "copy/base/log.h"
#include "fs/migrate/events.h"

#define RETRY_NS (2 * NS_PER_S)

void migration_crash_point(const char *when, const struct migration *m)
{
#ifdef FERRYFS_FAULTS
    char name[64];

    snprintf(name, sizeof(name), "%s-%s", when, phases[m->phase].name);
    crash_point(name);
#else
    (void)when;
    (void)m;
#endif
}

void migration_touch(struct migration *m, uint32_t events)
{
    world_touch(m->vol, events);
    world_look_again(m->service);
}

void migration_later(struct migration *m, uint64_t delay_ns, void (*fn)(struct migration *m))
{
    m->timer_fn = fn;
    loop_set_timer(m->timer, delay_ns);
}

bool migration_claimed(const struct migration *m)
{
    return m->job.stat.claim_weak ||
           (m->claim_fd >= 0 && fcntl(m->claim_fd, F_GETLEASE) == F_RDLCK);
}

/* The lease goes at once, though a worker may have the descriptor still. */
void migration_let_go(struct migration *m)
{
    if (m->claim_fd >= 0 && !m->job.stat.claim_weak)
        fcntl(m->claim_fd, F_SETLEASE, F_UNLCK);
    owned_fd(&m->claim_fd);
    m->claim_fd = -1;
    m->whole = false;
    m->compared = 0;
}

void migration_release(struct migration *m)
{
    migration_let_go(m);
    owned_fd(&m->destination_fd);
    m->destination_fd = -1;
}

bool migration_is_paused(const struct migration *m)
{
    bool told = m->service->pause || option_of(m->vol->options, VOLUME_OPTION_PAUSE);

    return told && phases[m->phase].pauses && !m->recovering;
}

const char *migration_phase(const struct migration *m)
{
    if (migration_is_paused(m))
        return "paused";
    return m->stopped ? "stopped" : phases[m->phase].name;
}

void migration_go_again(struct migration *m)
{
    if (migration_is_paused(m)) {
        m->held = true;
        return;
    }
    m->stopped = NULL;
    migration_touch(m, EVENT_BIT(EVENT_STATE));
    phases[m->phase].go(m);
}

/* What was seen of the source before a switch that failed may be so no more: it is looked at anew.
 */
static void enter_again(struct migration *m)
{
    if (phases[m->retry_phase].switches)
        migration_go_again(m);
    else
        migration_enter(m, (enum phase_id)m->retry_phase);
}

void migration_enter(struct migration *m, enum phase_id phase)
{
    struct err e = {0};
    int r;

    loop_stop_timer(m->timer);
    m->held = false;
    if (phases[phase].switches && !migration_claimed(m)) {
        migration_fail(m, ETXTBSY, UINT64_MAX, "the volume was opened for writing");
        return;
    }
    migration_crash_point("leaving", m);
    r = migration_store(m, phase, &e);
    if (r < 0) { /* it did not happen: the volume is where it was, and it is tried again */
        log_say(LOG_ERR, "volume %s: job %" PRIu64 ": %s cannot be entered: %s", m->vol->name,
                m->job.number, phases[phase].name, e.text);
        m->retry_phase = (int)phase;
        migration_later(m, RETRY_NS, enter_again);
        return;
    }
    m->phase = phase;
    m->stopped = NULL;
    migration_say_phase(m);
    migration_crash_point("entered", m);
    migration_touch(m, EVENT_BIT(EVENT_STATE));
    phases[phase].go(m);
}

void migration_next(struct migration *m)
{
    enum phase_id next = m->phase + 1;

    while (m->job.restore && phases[next].copies)
        next++;
    assert(next < PHASE_N);
    migration_enter(m, next);
}

void migration_fail(struct migration *m, int error, uint64_t offset, const char *text)
{
    char escaped[ERR_TEXT_BYTES];

    text_escape(text, strlen(text), escaped, sizeof(escaped));
    log_say(LOG_ERR, "volume %s: job %" PRIu64 ": %s: %s: %s", m->vol->name, m->job.number,
            phases[m->phase].name, err_name(error), escaped);
    if (phases[m->phase].final || phases[m->phase].backwards) {
        vol_note(m->vol, &m->vol->warning,
                 "job %" PRIu64 " cannot be finished, it is tried again: %s", m->job.number,
                 escaped);
        migration_touch(m, EVENT_BIT(EVENT_STATE));
        migration_later(m, RETRY_NS, migration_go_again);
        return;
    }
    m->job.error = error;
    m->job.error_offset = offset;
    snprintf(m->job.error_phase, sizeof(m->job.error_phase), "%s", phases[m->phase].name);
    snprintf(m->job.error_text, sizeof(m->job.error_text), "%s", escaped);
    if (error == ETXTBSY)
        migration_let_go(m); /* whoever wants to write waits for that */
    migration_enter(m, PHASE_ROLLING_BACK);
}

bool migration_wait(struct migration *m, int error, uint64_t offset, const char *text)
{
    uint64_t now = io_now_ns();
    bool waits = m->stopped != NULL, first = m->stopped_since_ns == 0;

    if (first || migration_is_paused(m)) /* then no time passes */
        m->stopped_since_ns = now;
    if (now - m->stopped_since_ns >= m->service->config->grace_s * NS_PER_S) {
        migration_fail(m, error, offset, text);
        return false;
    }
    if (waits)
        return true;
    m->stopped = err_name(error);
    m->stopped_offset = offset;
    text_escape(text, strlen(text), m->stopped_text, sizeof(m->stopped_text));
    if (first) /* not of each time that it is tried again */
        events_say(m->service, SAY_STOPPED, EVENT_OF(.vol = m->vol, .error = error),
                   "volume %s: job %" PRIu64 " stopped: %s -> %s: %s: %s", m->vol->name,
                   m->job.number, m->job.source, m->job.destination, m->stopped, text);
    migration_touch(m, EVENT_BIT(EVENT_STATE));
    return true;
}

void migration_stop(struct migration *m, int error, uint64_t offset, const char *text)
{
    m->stopped = NULL;
    if (migration_wait(m, error, offset, text))
        migration_later(m, RETRY_NS, migration_go_again);
}

static void undo_here(struct migration *m)
{
    while (m->undoing >= 0 && !phases[m->undoing].undo)
        m->undoing--;
    if (m->undoing < 0)
        migration_finish(m);
    else
        phases[m->undoing].undo(m);
}

void migration_undo_from_the_top(struct migration *m)
{
    loop_stop_timer(m->timer);
    m->held = false;
    migration_let_go(m); /* who wants to write need not wait for a worker that hangs in a disk */
    m->undoing = PHASE_ROLLING_BACK;
    if (m->ask) /* it ends first: it could make again what is undone now */
        m->answered = NULL;
    else
        undo_here(m);
}

void migration_undone(struct migration *m)
{
    migration_crash_point("undoing", m);
    m->undoing--;
    undo_here(m);
}

static void on_answer(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;
    host_done_fn *answered = m->answered;

    m->ask = NULL;
    m->answered = NULL;
    if (!answered) { /* overtaken by a roll-back or a lost agent */
        owned_fd(&fd);
        if (m->recovering)
            migration_recover(m);
        else
            undo_here(m);
    } else if (reply->error == EHOSTDOWN || reply->error == ETIMEDOUT) {
        owned_fd(&fd);
        copying_end(m, THEN_RECOVER);
    } else {
        answered(m, reply, fd);
    }
}

struct pool_request migration_request(const struct migration *m, enum pool_op op, bool at_source)
{
    struct pool_request request = {
        .kind = op, .epoch = m->destination.epoch, .size_bytes = m->job.stat.total_bytes};

    snprintf(request.name, sizeof(request.name), "%s", m->vol->name);
    uuid_copy(request.cid, at_source ? m->job.source_cid : m->job.destination_cid);
    uuid_copy(request.volume, m->job.volume);
    request.expect = at_source ? m->source : m->destination.identity;
    request.has_expect = at_source || m->destination.state != COPY_INTENT;
    return request;
}

static void doubt(struct migration *m)
{
    copying_end(m, THEN_RECOVER);
}

void migration_ask(struct migration *m, struct site *site, const struct pool_request *request,
                   int fd, host_done_fn *done)
{
    int r;

    assert(!m->ask);
    r = site ? host_ask(site->host, request, fd, 0, on_answer, m, &m->ask) : -EHOSTDOWN;
    if (r == 0) {
        m->answered = done;
        return;
    }
    m->recovering = true; /* the agent's end is not noticed yet: look again when it is */
    migration_touch(m, EVENT_BIT(EVENT_STATE));
    migration_later(m, RETRY_NS, doubt);
}

static void say_aborting(struct migration *m, const struct request *request)
{
    char who[48] = "with the evacuation that began it";

    if (request)
        snprintf(who, sizeof(who), "by uid %u pid %d", request->caller.uid, request->caller.pid);
    events_say(m->service, SAY_ABORTING, EVENT_OF(.vol = m->vol, .request = request),
               "volume %s: job %" PRIu64 ": abort %s: %s -> %s", m->vol->name, m->job.number, who,
               m->job.source, m->job.destination);
}

int migration_abort(struct migration *m, const struct request *request, struct err *e)
{
    int r;

    if (phases[m->phase].final)
        return err_set(e, EBUSY, "too late: the volume is at %s already", m->vol->record.host);
    if (m->job.abort)
        return 0;
    if (phases[m->phase].backwards)
        return err_set(e, EBUSY, "it is rolling back already: %s", m->job.error_text);
    m->job.abort = true;
    CRASH_POINT("abort-before");
    r = migration_store(m, m->recovering ? m->phase : PHASE_ROLLING_BACK, e);
    if (r < 0) {
        m->job.abort = false;
        return err_set(e, EIO, "the catalogue cannot be written");
    }
    CRASH_POINT("abort-after");
    say_aborting(m, request);
    migration_touch(m, EVENT_BIT(EVENT_STATE));
    if (m->recovering) {
        if (!m->worker)
            migration_later(m, 0, migration_recover); /* it may have waited for just this word */
        return 0;
    }
    m->phase = PHASE_ROLLING_BACK;
    m->stopped = NULL;
    migration_say_phase(m);
    phases[m->phase].go(m);
    return 0;
}
