/* The phases of a migration: what each does, and how it is undone. SAFETY 4 is their table. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/migration.h"

/* The coarsest times, and a tick that the clock which dates files lags. */
#define SETTLE_NS (2 * NS_PER_S + NS_PER_S / 10)

static void queued_go(struct migration *m)
{
    migration_schedule(m->service);
}

/* --- reserving: claim the source, make the destination --- */

static void on_reserved(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    if (reply->error) {
        owned_fd(&fd);
        migration_fail(m, reply->error, UINT64_MAX, reply->text);
        return;
    }
    owned_fd(&m->destination_fd);
    m->destination_fd = fd;
    m->fresh = m->destination.state == COPY_INTENT && reply->empty;
    if (m->destination.state == COPY_INTENT)
        m->destination.state = COPY_MADE;
    m->destination.identity = reply->identity;
    m->destination.size_bytes = m->job.stat.total_bytes;
    if (m->phase == PHASE_RESERVING)
        migration_next(m);
    else
        phases[m->phase].go(m);
}

/* Of a restore; its bytes are compared next. */
static void on_retained_opened(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    if (!reply->error && reply->size_bytes == m->job.stat.total_bytes &&
        reply->mtime_ns == m->destination.mtime_ns) {
        on_reserved(m, reply, fd);
        return;
    }
    owned_fd(&fd);
    migration_fail(m, reply->error ? reply->error : ESTALE, UINT64_MAX,
                   reply->error ? reply->text : "the retained copy is not as it was left");
}

static void ask_reserve(struct migration *m)
{
    struct pool_request request =
        migration_request(m, m->job.restore ? POOL_OPEN : POOL_RESERVE, false);

    migration_ask(m, m->to, &request, -1, m->job.restore ? on_retained_opened : on_reserved);
}

/*
 * Where times have whole seconds, or two of them, a write so soon after the last one shows in none:
 * nothing is read before that is past. Then whatever is written to the old source, whoever holds
 * it, before or after a kill, has another time. 0: it is past, or the clock was set.
 */
static uint64_t unsettled_ns(const struct migration *m)
{
    uint64_t settled_ns = m->source_mtime_ns + SETTLE_NS, now_ns;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    now_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
    if (m->source_mtime_ns % NS_PER_S != 0 || now_ns >= settled_ns ||
        settled_ns - now_ns > 2 * SETTLE_NS)
        return 0;
    return settled_ns - now_ns;
}

static void reserve_when_settled(struct migration *m)
{
    uint64_t wait_ns = unsettled_ns(m);

    if (wait_ns > 0)
        migration_later(m, wait_ns, reserve_when_settled);
    else
        ask_reserve(m);
}

static void on_claimed(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    if (reply->error) {
        owned_fd(&fd);
        migration_fail(m, reply->error == EBUSY ? ETXTBSY : reply->error, UINT64_MAX, reply->text);
        return;
    }
    m->claim_fd = fd;
    m->job.stat.claim_weak = reply->weak;
    m->source_mtime_ns = reply->mtime_ns;
    if (m->destination.state == COPY_INTENT) /* it may have grown while it waited for its turn */
        m->job.stat.total_bytes = reply->size_bytes;
    m->need_bytes = reply->allocated_bytes;
    if (reply->size_bytes != m->job.stat.total_bytes)
        migration_fail(m, ESTALE, UINT64_MAX, "the volume's size changed while nobody held it");
    else
        reserve_when_settled(m);
}

void migration_acquire(struct migration *m)
{
    struct pool_request request = migration_request(m, POOL_CLAIM, true);

    if (m->claim_fd >= 0)
        reserve_when_settled(m);
    else
        migration_ask(m, m->from, &request, -1, on_claimed);
}

static void on_removed(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    owned_fd(&fd);
    if (reply->error) { /* the volume is well, and waits no longer for a sick disk */
        log_say(LOG_WARNING, "volume %s: its copy on %s stays and is removed later: %s",
                m->vol->name, m->job.destination, reply->text);
        m->copy_left = true;
        migration_note_left(m->vol, m->job.destination, reply);
    }
    migration_undone(m);
}

/* What was to be restored is retained as before. */
static void on_hidden_again(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    owned_fd(&fd);
    m->kept = m->destination;
    m->kept.hidden = reply->error == 0;
    m->copy_kept = true;
    if (reply->error)
        log_say(LOG_WARNING, "volume %s: its retained copy on %s is not hidden yet: %s",
                m->vol->name, m->job.destination, reply->text);
    migration_undone(m);
}

/* Without the source, what is at the destination may be all there is: it stays, and its record. */
static void on_remnant_seen(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    owned_fd(&fd);
    m->copy_left = m->job.restore || reply->error != 0 || reply->found == POOL_FOUND_HIDDEN ||
                   reply->found == POOL_FOUND_PUBLISHED;
    if (m->copy_left)
        log_say(LOG_WARNING, "volume %s: gone from %s; its copy on %s is kept", m->vol->name,
                m->job.source, m->job.destination);
    migration_undone(m);
}

/* The destination goes only while the source is seen to be there (I3, I10). */
static void on_source_seen(void *arg, const struct pool_reply *reply, int fd)
{
    struct pool_request request;
    struct migration *m = arg;

    owned_fd(&fd);
    if (reply->error) {
        copying_end(m, THEN_RECOVER);
        return;
    }
    if (reply->found == POOL_FOUND_PUBLISHED && m->job.restore) {
        request = migration_request(m, POOL_RETAIN, false);
        request.has_mtime = 1;
        request.mtime_ns = m->destination.mtime_ns;
        migration_ask(m, m->to, &request, -1, on_hidden_again);
    } else if (reply->found == POOL_FOUND_PUBLISHED) {
        request = migration_request(m, POOL_REMOVE, false);
        migration_ask(m, m->to, &request, -1, on_removed);
    } else {
        request = migration_request(m, POOL_EXAMINE, false);
        migration_ask(m, m->to, &request, -1, on_remnant_seen);
    }
}

static void reserving_undo(struct migration *m)
{
    struct pool_request request = migration_request(m, POOL_EXAMINE, true);

    migration_release(m);
    migration_ask(m, m->from, &request, -1, on_source_seen);
}

/* --- switching: publish the destination; the next phase begins with the switch --- */

/* Is the source as it was compared? If not, what follows from that is under way. */
static bool source_stands(struct migration *m, const struct pool_reply *reply)
{
    bool written = m->job.stat.claim_weak && reply->mtime_ns != m->source_mtime_ns;

    if (reply->error || reply->found != POOL_FOUND_PUBLISHED) {
        copying_end(m, THEN_RECOVER);
        return false;
    }
    if (written || !migration_claimed(m)) {
        migration_fail(m, ETXTBSY, UINT64_MAX,
                       written ? "the volume was written" : "the volume was opened for writing");
        return false;
    }
    return true;
}

static void on_source_still_there(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;

    owned_fd(&fd);
    if (source_stands(m, reply))
        migration_next(m);
}

static void on_published(void *arg, const struct pool_reply *reply, int fd)
{
    struct migration *m = arg;
    struct pool_request request = migration_request(m, POOL_EXAMINE, true);

    owned_fd(&fd);
    if (reply->error)
        migration_fail(m, reply->error, UINT64_MAX, reply->text);
    else
        migration_ask(m, m->from, &request, -1, on_source_still_there);
}

static void on_source_there(void *arg, const struct pool_reply *reply, int fd)
{
    struct pool_request request;
    struct migration *m = arg;

    owned_fd(&fd);
    if (!source_stands(m, reply))
        return;
    request = migration_request(m, POOL_PUBLISH, false);
    migration_ask(m, m->to, &request, m->claim_fd, on_published);
}

static void switching_go(struct migration *m)
{
    struct pool_request request = migration_request(m, POOL_EXAMINE, true);

    if (m->claim_fd < 0) /* the claim was lost on the way: what was compared counts no more */
        migration_recover(m);
    else
        migration_ask(m, m->from, &request, -1, on_source_there);
}

const struct phase phases[PHASE_N] = {
    [PHASE_QUEUED] = {"queued", "starting", .go = queued_go, .waits = true, .pauses = true},
    [PHASE_RESERVING] = {"reserving", "starting", .go = migration_acquire, .undo = reserving_undo,
                         .pauses = true},
    [PHASE_COPYING] = {"copying", "migrating", .go = copying_go, .undo = copying_undo,
                       .copies = true, .pauses = true},
    [PHASE_VERIFYING] = {"verifying", "migrating", .go = verifying_go, .undo = copying_undo,
                         .pauses = true},
    [PHASE_SWITCHING] = {"switching", "completing", .go = switching_go},
    [PHASE_CLEANING] = {"cleaning", "completing", .go = cleaning_go, .switches = true,
                        .final = true},
    [PHASE_ROLLING_BACK] = {"rolling-back", "migrating", .go = migration_undo_from_the_top,
                            .backwards = true},
};

int phase_by_name(const char *name)
{
    for (int i = 0; i < PHASE_N; i++)
        if (strcmp(phases[i].name, name) == 0)
            return i;
    return -1;
}
