/* What the catalogue is told as a migration enters a phase: one transaction each. */
#include <stdio.h>
#include <string.h>

#include "copy/base/log.h"
#include "fs/migrate/migration.h"

/* One retained copy a volume, of its last migration: the one before goes when that is sure. */
static int stage_older(struct migration *m)
{
    struct copy older;

    if (!world_retained(m->service, m->vol, &older) ||
        uuid_compare(older.cid, m->job.destination_cid) == 0)
        return 0;
    m->older_goes = true;
    return world_stage_drop(m->service, &older);
}

/* What was recorded of the inode that our new file has got: that file is gone. Where there are no
 * birth times nothing else would tell the two apart, and both have the volume's time. */
static int stage_reused(const struct copy *copy, void *arg)
{
    const struct migration *m = arg;

    if ((copy->role != COPY_RETAINED && copy->role != COPY_DELETE_PENDING) ||
        strcmp(copy->host, m->destination.host) != 0 ||
        !io_same(&copy->identity, &m->destination.identity))
        return 0;
    log_say(LOG_WARNING, "volume %s: its %s copy on %s is gone: another file is what it was",
            copy->name, copy_role_names[copy->role], copy->host);
    return catalog_drop_copy(m->service->catalog, copy->cid);
}

/* The one transaction that moves the volume: it is at the destination from here on. */
static int stage_switch(struct migration *m, struct volume *volume)
{
    struct copy source;
    int r = catalog_get_copy(m->service->catalog, m->job.source_cid, &source);

    if (r < 0)
        return r;
    source.role = m->job.keep_s ? COPY_RETAINED : COPY_DELETE_PENDING;
    source.size_bytes = m->job.stat.total_bytes;
    source.mtime_ns = m->source_mtime_ns;
    source.since_s = world_now_s();
    source.expires_s = m->job.keep_s ? source.since_s + m->job.keep_s : 0;
    source.hidden = false;
    m->destination.role = COPY_PRIMARY;
    m->destination.epoch = volume->epoch + 1;
    m->destination.expires_s = 0;
    memcpy(volume->host, m->job.destination, sizeof(volume->host));
    uuid_copy(volume->primary, m->job.destination_cid);
    volume->epoch++;
    r = stage_older(m);
    if (r == 0)
        r = catalog_put_copy(m->service->catalog, &source);
    return r < 0 ? r : catalog_put_volume(m->service->catalog, volume);
}

int migration_store(struct migration *m, enum phase_id phase, struct err *e)
{
    struct catalog *catalog = m->service->catalog;
    struct volume volume;
    struct copy destination = m->destination;
    struct job job = m->job;
    int r = 0;

    vol_recall(m->vol, &volume);
    snprintf(job.phase, sizeof(job.phase), "%s", phases[phase].name);
    if (phases[phase].copies)
        r = catalog_each_hidden(catalog, stage_reused, m);
    if (r == 0 && phases[phase].switches)
        r = stage_switch(m, &volume);
    if (r == 0)
        r = catalog_put_job(catalog, &job);
    if (r == 0)
        r = catalog_put_copy(catalog, &m->destination);
    if (r < 0) {
        catalog_cancel(catalog);
        m->destination = destination;
        return err_set(e, -r, "cannot be recorded: %s", strerror(-r));
    }
    r = phases[phase].switches ? catalog_commit_confirmed(catalog, e) : catalog_commit(catalog, e);
    if (r < 0) {
        m->destination = destination;
        return r;
    }
    m->job = job;
    if (phases[phase].switches) {
        vol_keep(m->vol, &volume);
        m->vol->identity = m->destination.identity;
        m->vol->seen = m->to->host->scans + 1;
        if (job.keep_s)
            uuid_copy(m->vol->retained, job.source_cid);
        else
            uuid_clear(m->vol->retained);
        m->vol->moved = true;
        m->vol->held = false; /* what was seen was of the old copy */
        world_touch(m->vol, EVENT_BIT(EVENT_STATE));
    }
    return 0;
}
