/* The phase that cleans: the volume is at its destination, and its old copy goes or is retained. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/migration.h"

static void on_old_removed(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    owned_fd(&fd);
    if (reply->error) { /* the migration is a success all the same; it is tried again later */
        log_say(LOG_WARNING, "volume %s: its old copy on %s stays and is removed later: %s",
                m->vol->name, m->job.source, reply->text);
        m->copy_left = true;
        migration_note_left(m->vol, m->job.source, reply);
    }
    migration_finish(m);
}

/* Without memory, late news of it may show a conflict until the next scan. */
static void remember_left(struct migration *m)
{
    struct vol *v = m->vol;

    v->left = v->left ? v->left : malloc(sizeof(*v->left));
    if (!v->left)
        return;
    v->left->identity = m->source;
    memcpy(v->left->host, m->job.source, sizeof(v->left->host));
}

static void remove_old(struct migration *m)
{
    struct pool_request request = migration_request(m, POOL_REMOVE, true);

    remember_left(m);
    migration_release(m);
    request.has_mtime = 1;
    request.mtime_ns = m->source_mtime_ns;
    migration_ask(m, m->from, &request, -1, on_old_removed);
}

/* What is not hidden now will be later: the volume does not wait for a sick disk. */
static void on_old_retained(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    owned_fd(&fd);
    if (reply->error)
        log_say(LOG_WARNING, "volume %s: its old copy on %s is kept and not hidden yet: %s",
                m->vol->name, m->job.source, reply->text);
    m->copy_kept = catalog_get_copy(m->service->catalog, m->job.source_cid, &m->kept) == 0;
    m->kept.hidden = reply->error == 0;
    m->kept.volume_mtime_ns = m->volume_mtime_ns;
    migration_finish(m);
}

static void retain_old(struct migration *m)
{
    struct pool_request request = migration_request(m, POOL_RETAIN, true);

    migration_release(m);
    request.has_mtime = 1;
    request.mtime_ns = m->source_mtime_ns;
    migration_ask(m, m->from, &request, -1, on_old_retained);
}

static void put_old_away(struct migration *m, uint64_t volume_mtime_ns)
{
    vol_note(m->vol, &m->vol->warning, NULL);
    m->volume_mtime_ns = volume_mtime_ns;
    if (m->job.keep_s)
        retain_old(m);
    else
        remove_old(m);
}

static void on_adopted(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    owned_fd(&fd);
    if (reply->error == ESTALE) { /* the volume is not where it was switched to */
        copying_end(m, THEN_RECOVER);
    } else if (reply->error) {
        migration_fail(m, reply->error, UINT64_MAX, reply->text);
    } else {
        put_old_away(m, reply->mtime_ns);
    }
}

static void adopt(struct migration *m)
{
    struct pool_request request = migration_request(m, POOL_ADOPT, false);

    owned_fd(&m->destination_fd); /* once it is adopted, whoever holds it is somebody else */
    m->destination_fd = -1;
    migration_ask(m, m->to, &request, m->claim_fd, on_adopted);
}

/* Is the volume where it was switched to? If not, what follows from that is under way. */
static bool destination_stands(struct migration *m, const struct pool_reply *reply)
{
    if (reply->error)
        migration_fail(m, reply->error, UINT64_MAX, reply->text);
    else if (reply->found != POOL_FOUND_PUBLISHED)
        copying_end(m, THEN_RECOVER);
    return reply->error == 0 && reply->found == POOL_FOUND_PUBLISHED;
}

/* A file that bears the tag was not adopted, and its old copy, which alone knew, is gone. */
static void on_tag_looked_for(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    owned_fd(&fd);
    if (reply->error && reply->error != EACCES) { /* its mode may be such, once it was adopted */
        migration_fail(m, reply->error, UINT64_MAX, reply->text);
        return;
    }
    if (reply->error == 0 && reply->found == POOL_FOUND_PUBLISHED) {
        vol_note(m->vol, &m->vol->warning,
                 "its old copy on %s went before its owner, mode and xattrs were taken over: they "
                 "are not what they were; set them on %s, then write 1 to .control/rescan",
                 m->job.source, m->job.destination);
        log_say(LOG_WARNING, "volume %s: %s", m->vol->name,
                m->vol->warning ? m->vol->warning : "its owner, mode and xattrs are lost");
        m->not_adopted = true;
    }
    remove_old(m);
}

static void on_destination_seen(void *arg, const struct pool_reply *reply, int fd)
{
    struct pool_request request;
    struct migration *m = arg;

    owned_fd(&fd);
    if (!destination_stands(m, reply))
        return;
    request = migration_request(m, POOL_EXAMINE, false);
    request.has_expect = 0;
    migration_ask(m, m->to, &request, -1, on_tag_looked_for);
}

static void on_adopted_seen(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    owned_fd(&fd);
    if (destination_stands(m, reply))
        put_old_away(m, reply->mtime_ns);
}

/* That it cannot be opened does not show that it is gone. */
static void on_old_seen(void *arg, const struct pool_reply *reply, int fd)
{
    struct pool_request request;
    struct migration *m = arg;

    owned_fd(&fd);
    if (reply->error) {
        migration_fail(m, reply->error, UINT64_MAX, reply->text);
    } else if (reply->found == POOL_FOUND_NONE || reply->found == POOL_FOUND_OTHER) {
        request = migration_request(m, POOL_EXAMINE, false);
        migration_ask(m, m->to, &request, -1, on_destination_seen);
    } else {
        migration_fail(m, EAGAIN, UINT64_MAX, m->not_opened);
    }
}

static void on_old_opened(void *arg, const struct pool_reply *reply, int fd)
{
    struct pool_request request;
    struct migration *m = arg;

    if (reply->error == 0 && reply->found == POOL_FOUND_HIDDEN) { /* which comes after adopting */
        owned_fd(&fd);
        request = migration_request(m, POOL_EXAMINE, false);
        migration_ask(m, m->to, &request, -1, on_adopted_seen);
        return;
    }
    if (reply->error == 0) {
        m->claim_fd = fd;
        adopt(m);
        return;
    }
    snprintf(m->not_opened, sizeof(m->not_opened), "its old copy cannot be opened: %.150s",
             reply->text);
    request = migration_request(m, POOL_EXAMINE, true);
    migration_ask(m, m->from, &request, -1, on_old_seen);
}

void cleaning_go(struct migration *m)
{
    struct pool_request request = migration_request(m, POOL_OPEN, true);
    struct copy old;

    if (catalog_get_copy(m->service->catalog, m->job.source_cid, &old) == 0)
        m->source_mtime_ns = old.mtime_ns;
    if (m->claim_fd >= 0)
        adopt(m);
    else
        migration_ask(m, m->from, &request, -1, on_old_opened);
}
