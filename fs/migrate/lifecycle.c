/* How a migration begins, is taken up again, and ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"
#include "copy/base/log.h"
#include "fs/migrate/evacuate.h"
#include "fs/migrate/events.h"

static int by_job(const void *key, const void *item)
{
    uint64_t a = *(const uint64_t *)key, b = ((const struct migration *)item)->job.number;

    return a < b ? -1 : a > b;
}

static void on_timer(void *arg)
{
    struct migration *m = arg;

    m->timer_fn(m);
}

static void migration_free(struct migration *m)
{
    host_forget(m->ask);
    worker_close(m->worker);
    owned_fd(&m->claim_fd);
    owned_fd(&m->destination_fd);
    loop_remove(m->timer);
    free(m);
}

static int migration_new(struct service *s, struct vol *v, struct migration **ret)
{
    struct migration *m = calloc(1, sizeof(*m));
    int r = -ENOMEM;

    if (m) {
        *m = (struct migration){
            .service = s, .vol = v, .claim_fd = -1, .destination_fd = -1, .undoing = -1};
        r = loop_add_timer(s->loop, on_timer, m, &m->timer);
    }
    if (r < 0) {
        free(m);
        return r;
    }
    *ret = m;
    return 0;
}

static int enlist(struct migration *m)
{
    struct service *s = m->service;
    struct meter *meter = meter_open();
    size_t at;
    int r;

    if (!meter)
        return -ENOMEM;
    table_find(&s->migrations, &m->job.number, by_job, &at);
    r = table_insert(&s->migrations, at, m);
    if (r < 0) {
        meter_close(meter);
        return r;
    }
    if (m->vol->meter)
        meter_close(m->vol->meter);
    m->vol->meter = meter;
    m->vol->migration = m;
    return 0;
}

static void delist(struct migration *m)
{
    struct service *s = m->service;
    size_t at;

    if (table_find(&s->migrations, &m->job.number, by_job, &at))
        table_remove(&s->migrations, at);
    m->vol->migration = NULL;
}

/* The records of a new job. */
static void fill(struct migration *m, struct site *to, uid_t uid, const struct pool_reply *claim)
{
    const struct vol *v = m->vol;
    struct volume record;

    vol_recall(v, &record);
    m->from = world_site(m->service, v->record.host);
    m->to = to;
    m->job.number = catalog_next_job(m->service->catalog);
    uuid_copy(m->job.volume, v->record.uuid);
    snprintf(m->job.source, sizeof(m->job.source), "%s", v->record.host);
    memcpy(m->job.destination, to->host->config.name, sizeof(m->job.destination));
    uuid_copy(m->job.source_cid, v->record.primary);
    uuid_generate(m->job.destination_cid);
    m->job.verify = option_of(v->options, VOLUME_OPTION_VERIFY) == VERIFY_FULL;
    m->job.keep_s = option_of(v->options, VOLUME_OPTION_KEEP);
    m->job.uid = uid;
    m->job.error_offset = UINT64_MAX;
    m->job.stat.queued_at_s = world_now_s();
    m->job.stat.total_bytes = claim->size_bytes;
    m->job.stat.claim_weak = claim->weak;
    uuid_copy(m->destination.cid, m->job.destination_cid);
    uuid_copy(m->destination.volume, v->record.uuid);
    snprintf(m->destination.name, sizeof(m->destination.name), "%s", v->name);
    memcpy(m->destination.host, m->job.destination, sizeof(m->destination.host));
    m->destination.role = COPY_DESTINATION;
    m->destination.state = COPY_INTENT;
    m->destination.size_bytes = claim->size_bytes;
    m->destination.epoch = record.epoch + 1;
    m->destination.since_s = m->job.stat.queued_at_s;
    m->source = v->identity;
    m->source_mtime_ns = claim->mtime_ns;
    m->need_bytes = claim->allocated_bytes;
}

/* What a restore has instead of a new copy: compared always, and changed by nothing before the
 * switch. */
static void fill_restore(struct migration *m, const struct copy *retained)
{
    m->destination = *retained;
    uuid_copy(m->job.destination_cid, retained->cid);
    m->job.restore = true;
    m->job.verify = true;
}

static int commit_accept(struct migration *m, struct err *e)
{
    struct catalog *catalog = m->service->catalog;
    struct volume volume;
    int r;

    vol_recall(m->vol, &volume);
    volume.previous_status = volume.status;
    volume.status = VOLUME_MIGRATING;
    volume.last_job = m->job.number;
    snprintf(m->job.phase, sizeof(m->job.phase), "%s", phases[m->phase].name);
    CRASH_POINT("accept-before");
    r = catalog_put_volume(catalog, &volume);
    if (r == 0)
        r = catalog_put_copy(catalog, &m->destination);
    if (r == 0)
        r = catalog_put_job(catalog, &m->job);
    if (r == 0)
        r = catalog_commit(catalog, e);
    CRASH_POINT("accept-after");
    if (r < 0) {
        catalog_cancel(catalog);
        return err_set(e, EIO, "the catalogue cannot be written; nothing was started");
    }
    vol_keep(m->vol, &volume);
    return 0;
}

int migration_accept(struct service *s, struct vol *v, struct site *to, const struct copy *retained,
                     uid_t uid, int *claim_fd, const struct pool_reply *claim, struct err *e)
{
    struct migration *m;
    int r = migration_new(s, v, &m);

    if (r < 0)
        return err_set(e, -r, "no memory");
    fill(m, to, uid, claim);
    if (retained)
        fill_restore(m, retained);
    m->running = migration_may_run(m);
    m->phase = m->running ? PHASE_RESERVING : PHASE_QUEUED;
    m->said_paused = migration_is_paused(m);
    r = enlist(m);
    if (r < 0) {
        migration_free(m);
        return err_set(e, -r, "no memory");
    }
    r = commit_accept(m, e);
    if (r < 0) {
        delist(m);
        migration_free(m);
        return r;
    }
    s->totals.n_accepted++;
    vol_note(v, &v->warning, NULL);
    events_say(s, SAY_ACCEPTED, EVENT_OF(.vol = v),
               "volume %s: job %" PRIu64 " accepted: %s -> %s, %" PRIu64 " bytes%s, by uid %u",
               v->name, m->job.number, m->job.source, m->job.destination, m->job.stat.total_bytes,
               retained ? ", a restore" : "", uid);
    migration_reckon(s);
    migration_touch(m, EVENT_BIT(EVENT_STATE));
    if (m->running) {
        m->claim_fd = take_fd(claim_fd);
        m->job.stat.started_at_s = world_now_s();
        migration_later(m, 0, phases[m->phase].go); /* the writer is told first */
    }
    return 0;
}

int migration_load(struct service *s, const struct job *job)
{
    struct vol *v = world_volume_by_uuid(s, job->volume);
    struct migration *m;
    struct copy source;
    int phase = phase_by_name(job->phase), r;

    if (!v || phase < 0) {
        log_say(LOG_ERR, "job %" PRIu64 ": its volume or its phase is unknown; it is left alone",
                job->number);
        return 0;
    }
    r = migration_new(s, v, &m);
    if (r < 0)
        return r;
    m->job = *job;
    m->phase = (enum phase_id)phase;
    m->recovering = true;
    m->older_goes = phases[phase].final; /* perhaps: that it was switched is all that is recorded */
    m->from = world_site(s, job->source);
    m->to = world_site(s, job->destination);
    m->need_bytes = v->allocated_bytes;
    m->room.kept_bytes = job->stat.copied_bytes; /* recorded with the checkpoint */
    if (catalog_get_copy(s->catalog, job->source_cid, &source) == 0) {
        m->source = source.identity;
        m->source_mtime_ns = source.mtime_ns;
    }
    if (catalog_get_copy(s->catalog, job->destination_cid, &m->destination) < 0)
        log_say(LOG_ERR, "job %" PRIu64 ": the record of its destination is missing", job->number);
    r = enlist(m);
    if (r < 0)
        migration_free(m);
    else
        migration_recover(m);
    return r;
}

static enum result result_of(const struct migration *m)
{
    if (phases[m->phase].final)
        return RESULT_SUCCESS;
    return m->job.abort ? RESULT_ABORTED : RESULT_ERROR;
}

/* What the volume says of its last migration. */
static void fill_last(const struct migration *m, struct volume *volume)
{
    volume->status = volume->previous_status;
    volume->last_result = result_of(m);
    volume->last_job = m->job.number;
    volume->last_stat = m->job.stat;
    volume->last_stat.ended_at_s = world_now_s();
    volume->last_errno = volume->last_result == RESULT_ERROR ? m->job.error : 0;
    memcpy(volume->last_phase, m->job.error_phase, sizeof(volume->last_phase));
    volume->last_offset = m->job.error_offset;
    memcpy(volume->last_error, m->job.error_text, sizeof(volume->last_error));
}

static int stage_history(struct migration *m, const struct volume *volume)
{
    struct history h = {
        .job = m->job.number,
        .result = volume->last_result,
        .error = volume->last_errno,
        .started_at_s =
            m->job.stat.started_at_s ? m->job.stat.started_at_s : m->job.stat.queued_at_s,
        .ended_at_s = volume->last_stat.ended_at_s,
        .bytes = m->job.stat.total_bytes,
        .uid = m->job.uid,
    };

    uuid_copy(h.volume, m->job.volume);
    memcpy(h.name, volume->name, sizeof(h.name));
    memcpy(h.source, m->job.source, sizeof(h.source));
    memcpy(h.destination, m->job.destination, sizeof(h.destination));
    return catalog_put_history(m->service->catalog, &h);
}

static int stage_end(struct migration *m, const struct volume *volume)
{
    struct catalog *catalog = m->service->catalog;
    int r = catalog_put_volume(catalog, volume);

    if (r == 0)
        r = catalog_drop_job(catalog, m->job.number);
    if (r == 0 && m->copy_kept)
        r = catalog_put_copy(catalog, &m->kept);
    else if (r == 0 && !m->copy_left)
        r = catalog_drop_copy(catalog,
                              phases[m->phase].final ? m->job.source_cid : m->job.destination_cid);
    return r < 0 ? r : stage_history(m, volume);
}

static void say_end(struct migration *m, const struct volume *record)
{
    static const enum event_kind kinds[RESULT_N] = {
        [RESULT_SUCCESS] = SAY_SUCCESS, [RESULT_ERROR] = SAY_ERROR, [RESULT_ABORTED] = SAY_ABORTED};
    char why[ERR_TEXT_BYTES + 64] = "";
    bool failed = record->last_result == RESULT_ERROR;

    if (failed)
        snprintf(why, sizeof(why), ": %s: %s: %s", record->last_phase, err_name(record->last_errno),
                 record->last_error);
    events_say(m->service, kinds[record->last_result],
               EVENT_OF(.vol = m->vol, .phase = failed ? record->last_phase : NULL,
                        .error = record->last_errno),
               "volume %s: job %" PRIu64 " of uid %u ended: %s%s: %s -> %s, it is at %s",
               record->name, m->job.number, m->job.uid, result_names[record->last_result], why,
               m->job.source, m->job.destination, record->host);
}

/* record: as it is committed. */
static void tell_end(struct migration *m, const struct volume *record)
{
    struct vol *v = m->vol;

    if (record->last_result == RESULT_SUCCESS) {
        atomic_store(&v->meter->percent, 100);
        atomic_store(&v->meter->eta_s, 0);
    }
    say_end(m, record);
    atomic_store(&v->meter->rate_bytes_per_s, 0);
    m->service->history_new = true;
    totals_add_ended(&m->service->totals, record->last_result, &record->last_stat);
    if (!m->copy_left && !m->not_adopted)
        vol_note(v, &v->warning, NULL);
    migration_touch(m, EVENT_BIT(EVENT_STATE) | EVENT_BIT(EVENT_PROGRESS) | EVENT_BIT(EVENT_SIZE));
}

/* The timer passes a volume by while a job has it. */
static void see_retained(struct migration *m)
{
    struct vol *v = m->vol;
    struct copy copy;

    if (world_retained(m->service, v, &copy))
        world_expect_expiry(m->service, copy.expires_s);
    else
        uuid_clear(v->retained);
}

void migration_finish(struct migration *m)
{
    struct service *s = m->service;
    struct volume volume;
    struct err e = {.text = "no memory"};
    struct evacuation evacuation;
    bool evacuates = evacuation_after(m, phases[m->phase].final, &evacuation);
    bool older_goes = m->older_goes;
    int r;

    vol_recall(m->vol, &volume);
    fill_last(m, &volume);
    migration_crash_point("finishing", m);
    r = stage_end(m, &volume);
    if (r == 0 && evacuates)
        r = catalog_put_evacuation(s->catalog, &evacuation);
    if (r == 0)
        r = catalog_commit(s->catalog, &e);
    if (r < 0) {
        catalog_cancel(s->catalog);
        log_say(LOG_ERR, "volume %s: job %" PRIu64 ": its end cannot be recorded: %s", m->vol->name,
                m->job.number, e.text);
        migration_later(m, 2 * NS_PER_S, migration_finish);
        return;
    }
    migration_crash_point("finished", m);
    vol_keep(m->vol, &volume);
    if (evacuates)
        m->from->evacuation = evacuation;
    see_retained(m);
    tell_end(m, &volume);
    if (!phases[m->phase].final && m->from) /* is it still as it was? */
        host_rescan(m->from->host);
    delist(m);
    migration_free(m);
    migration_reckon(s);
    migration_schedule(s);
    if (older_goes)
        migration_collect(s);
}

void migration_close_all(struct service *s)
{
    while (s->migrations.n) {
        struct migration *m = s->migrations.items[0];

        delist(m);
        migration_free(m);
    }
}
