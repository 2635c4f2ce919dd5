/* The phases in which a copy-worker runs: copying and verifying. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"
#include "copy/base/log.h"
#include "fs/migrate/migration.h"

#define CHECKPOINT_NS (5 * NS_PER_S)
#define DEATHS_MAX    3 /* of workers, without a checkpoint between */

unsigned migration_work(const struct migration *m)
{
    return (m->job.restore ? 0u : PROGRESS_COPY) | (m->job.verify ? PROGRESS_VERIFY : 0u);
}

static void after_worker(struct migration *m, const char *how)
{
    char text[128];

    switch (m->after_worker) {
    case THEN_RETRY:
        m->whole = false;
        loop_stop_timer(m->timer);
        snprintf(text, sizeof(text), "the copy-worker died: %s", how);
        log_say(LOG_WARNING, "volume %s: job %" PRIu64 ": %s", m->vol->name, m->job.number, text);
        if (migration_is_paused(m))
            m->held = true;
        else if (++m->deaths > DEATHS_MAX)
            migration_fail(m, EIO, UINT64_MAX, text);
        else
            phases[m->phase].go(m);
        break;
    case THEN_WAIT:
        break;
    case THEN_SWITCH:
        migration_enter(m, PHASE_SWITCHING);
        break;
    case THEN_AGAIN:
        phases[m->phase].go(m);
        break;
    case THEN_UNDO:
        migration_undone(m);
        break;
    case THEN_RECOVER:
        migration_recover(m);
        break;
    }
}

static void on_death(void *arg, const char *how)
{
    struct migration *m = arg;

    totals_add_moved(&m->service->totals, &m->counted, worker_progress(m->worker));
    progress_sample(&m->rate, &m->job.stat, &m->base, migration_work(m), m->need_bytes,
                    worker_progress(m->worker), true, m->vol->meter,
                    io_now_ns()); /* its last counts */
    worker_close(take_ptr(m->worker));
    m->base = m->job.stat;
    migration_steer(m->service);
    after_worker(m, how);
}

void copying_end(struct migration *m, enum then then)
{
    m->after_worker = then;
    if (then == THEN_RECOVER)
        loop_stop_timer(m->timer);
    if (m->worker)
        worker_kill(m->worker);
    else
        after_worker(m, "");
}

void copying_undo(struct migration *m)
{
    copying_end(m, THEN_UNDO);
}

/* What stopped it is over, once something was done that lasts. */
static void go_on(struct migration *m)
{
    if (m->stopped_since_ns)
        migration_say_phase(m);
    m->stopped_since_ns = 0;
}

/* A checkpoint that cannot be recorded costs copying it again after a crash, no more. */
static void checkpoint(struct migration *m, uint64_t offset_bytes)
{
    struct err e = {0};
    int r;

    m->deaths = 0;
    go_on(m);
    m->room.kept_bytes = m->job.stat.copied_bytes;
    m->job.stat.checkpoint_bytes = offset_bytes;
    CRASH_POINT("checkpoint-before");
    r = catalog_put_job(m->service->catalog, &m->job);
    if (r == 0)
        r = catalog_commit(m->service->catalog, &e);
    CRASH_POINT("checkpoint-after");
    if (r < 0)
        log_say(LOG_WARNING, "volume %s: the checkpoint is not recorded: %s", m->vol->name, e.text);
    else
        m->service->totals.n_checkpoints++;
    migration_touch(m, EVENT_BIT(EVENT_PROGRESS));
}

static void ask_worker(struct migration *m, enum wire_command command, bool destination_zero,
                       bool compare_source)
{
    struct wire_request request = {
        .version = WIRE_VERSION,
        .command = command,
        .size_bytes = m->job.stat.total_bytes,
        .start_bytes = m->job.stat.checkpoint_bytes,
        .checkpoint_ns = CHECKPOINT_NS,
        .destination_zero = destination_zero,
        .lease = !m->job.stat.claim_weak,
        .compare_source = compare_source,
        .no_repair = m->job.restore,
        .verify_behind = command == WIRE_COPY && m->job.verify && m->whole,
    };

    if (worker_ask(m->worker, &request) < 0) /* its death comes next, and is seen to there */
        worker_kill(m->worker);
}

static void on_copied(struct migration *m)
{
    if (m->job.verify || !m->whole) {
        migration_enter(m, PHASE_VERIFYING);
        return;
    }
    m->destination.state = COPY_SEALED;
    copying_end(m, THEN_SWITCH);
}

static void on_verified(struct migration *m, const struct wire_reply *reply)
{
    m->compared++;
    if (m->job.stat.claim_weak && m->compared < 2) { /* nothing held it still: look twice */
        ask_worker(m, WIRE_VERIFY, false, true);
        return;
    }
    m->destination.state = COPY_SEALED;
    m->destination.hidden = false; /* of a restore: from here on it may have the volume's name */
    memcpy(m->destination.digest, reply->digest, sizeof(m->destination.digest));
    copying_end(m, THEN_SWITCH);
}

static bool is_lack_of_space(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

static void on_failed(struct migration *m, const struct wire_reply *reply)
{
    m->after_worker = THEN_WAIT;
    worker_kill(m->worker);
    m->whole = false;
    if (m->job.restore && reply->error == EILSEQ) {
        migration_fail(m, ESTALE, reply->offset_bytes, "the volume was written since it moved");
        return;
    }
    if (!is_lack_of_space(reply->error)) {
        migration_fail(m, reply->error, reply->offset_bytes, reply->text);
        return;
    }
    if (reply->flushed && reply->offset_low_bytes > m->job.stat.checkpoint_bytes)
        m->job.stat.checkpoint_bytes = reply->offset_low_bytes;
    migration_stop(m, reply->error, reply->offset_bytes, reply->text);
}

static void on_reply(void *arg, const struct wire_reply *reply)
{
    struct migration *m = arg;

    if ((m->phase != PHASE_COPYING && m->phase != PHASE_VERIFYING) || m->after_worker != THEN_RETRY)
        return; /* it is being ended */
    switch ((enum wire_event)reply->event) {
    case WIRE_CHECKPOINT:
        checkpoint(m, reply->offset_bytes);
        break;
    case WIRE_COPIED:
        go_on(m);
        on_copied(m);
        break;
    case WIRE_VERIFIED:
        on_verified(m, reply);
        break;
    case WIRE_FAILED:
        on_failed(m, reply);
        break;
    }
}

static void heard(struct migration *m)
{
    m->beats_ns = io_now_ns();
    if (!m->stalled)
        return;
    m->stalled = false;
    m->stopped = NULL;
    go_on(m);
    migration_touch(m, EVENT_BIT(EVENT_STATE));
    log_say(LOG_NOTICE, "volume %s: job %" PRIu64 " goes on", m->vol->name, m->job.number);
}

/* The worker is let be: what it waits for may still come, and all it has done counts. */
static void stall(struct migration *m)
{
    char text[80];

    snprintf(text, sizeof(text), "no disk has answered for %" PRIu64 " s",
             m->service->config->stall_s);
    m->stalled = true;
    migration_wait(m, ETIMEDOUT, UINT64_MAX, text);
}

void copying_look(struct migration *m)
{
    uint64_t stall_ns = m->service->config->stall_s * NS_PER_S;
    uint64_t before = m->beats;

    if (!m->worker || m->after_worker != THEN_RETRY)
        return;
    m->beats = atomic_load(&worker_progress(m->worker)->beats);
    if (m->beats != before || migration_is_paused(m))
        heard(m);
    else if (stall_ns > 0 && io_now_ns() - m->beats_ns >= stall_ns)
        stall(m);
}

static const struct worker_events worker_events = {.reply = on_reply, .died = on_death};

/* Both bodies in hand and a worker that runs; false: that is under way, and the phase begins again.
 */
static bool ready(struct migration *m)
{
    int r;

    if (m->worker) {
        if (m->after_worker == THEN_WAIT)
            m->after_worker = THEN_AGAIN; /* the one before is still dying */
        return false;
    }
    if (!m->to->host->up || m->to->host->lock_fd < 0) { /* no worker without the pool's lock */
        copying_end(m, THEN_RECOVER);
        return false;
    }
    if (m->claim_fd < 0 || m->destination_fd < 0) {
        migration_acquire(m);
        return false;
    }
    m->after_worker = THEN_RETRY;
    m->base = m->job.stat;
    m->counted = (struct counted){0};
    m->beats = 0;
    heard(m);
    r = worker_open(m->service->loop, m->service->config->worker_path, m->claim_fd,
                    m->destination_fd, m->to->host->lock_fd, &worker_events, m, &m->worker);
    if (r < 0)
        migration_fail(m, -r, UINT64_MAX, "the copy-worker cannot be started");
    else
        migration_steer(m->service); /* before it is asked: it begins at that speed */
    return r == 0;
}

void copying_go(struct migration *m)
{
    bool fresh;

    if (!ready(m))
        return;
    m->room.again_bytes += m->job.stat.copied_bytes - m->room.kept_bytes;
    m->room.kept_bytes = m->job.stat.copied_bytes;
    fresh = m->fresh && m->job.stat.checkpoint_bytes == 0;
    m->fresh = false;
    m->whole = fresh && !m->job.stat.claim_weak;
    m->compared = 0;
    ask_worker(m, WIRE_COPY, fresh, false);
}

void verifying_go(struct migration *m)
{
    bool alive = m->worker && m->after_worker == THEN_RETRY;

    /* Digests prove something only if this worker took them, under this claim, of every byte. */
    if (alive || ready(m))
        ask_worker(m, WIRE_VERIFY, false, !(alive && m->whole));
}
