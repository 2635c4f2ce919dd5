/*
 * What the agents see becomes volumes.
 *
 * A regular file of a pool is a volume. The catalogue knows it by host, name and identity; a file
 * that fits no record is a new volume, a record whose file is gone ends with it, unless a job holds
 * the two together: then the job looks at the evidence itself. News may be late: a volume that was
 * switched in this run is dropped only after its host was asked again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/migration.h"
#include "fs/migrate/use.h"

#define TAKEN_MAX 10000 /* strangers that are remembered by name, a host */

static int taken_cmp(const void *key, const void *item)
{
    return strcmp(key, ((const struct taken *)item)->name);
}

static void taken_remove(struct site *site, const char *name)
{
    size_t at;

    if (!table_find(&site->taken, name, taken_cmp, &at))
        return;
    free(site->taken.items[at]);
    table_remove(&site->taken, at);
    world_touch_site(site, EVENT_BIT(EVENT_HOST));
}

static void taken_add(struct site *site, const char *name, const char *why)
{
    OWNED(mem) struct taken *taken = NULL;
    size_t at;

    if (table_find(&site->taken, name, taken_cmp, &at)) {
        taken = site->taken.items[at];
        taken->seen = site->host->scans + 1;
        snprintf(taken->why, sizeof(taken->why), "%s", why);
        take_ptr(taken);
        return;
    }
    if (site->taken.n >= TAKEN_MAX)
        return;
    taken = calloc(1, sizeof(*taken));
    if (!taken)
        return;
    snprintf(taken->name, sizeof(taken->name), "%s", name);
    snprintf(taken->why, sizeof(taken->why), "%s", why);
    taken->seen = site->host->scans + 1;
    if (table_insert(&site->taken, at, taken) == 0)
        take_ptr(taken);
    world_touch_site(site, EVENT_BIT(EVENT_HOST));
}

static struct site *site_of(void *arg, const struct host *host)
{
    return world_site_by_number(arg, host->number);
}

static bool is_at(const struct vol *v, const struct host *host)
{
    return strcmp(v->record.host, host->config.name) == 0;
}

/* A random one, as of uuid_generate, which sets up its own source of chance each time: of all that
 * a start does for a new volume, that cost the most. */
static void make_uuid(uuid_t ret)
{
    if (getrandom(ret, sizeof(uuid_t), 0) != (ssize_t)sizeof(uuid_t)) {
        uuid_generate(ret);
        return;
    }
    ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x40); /* version 4: RFC 4122 */
    ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
}

static void new_records(struct service *s, struct vol *v, const struct host *host,
                        const struct pool_entry *entry)
{
    make_uuid(v->record.uuid);
    make_uuid(v->record.primary);
    v->record.number = catalog_next_volume(s->catalog);
    v->record.host = world_word(s, host->config.name);
    v->identity = entry->identity;
    v->unsaved = true;
}

/* Of the file at its place. Returns EVENT_BITs of what is new. */
static uint32_t see(struct vol *v, const struct pool_entry *entry)
{
    uint32_t events = 0;

    if (v->size_bytes != entry->size_bytes || v->allocated_bytes != entry->allocated_bytes ||
        v->mtime_s != entry->mtime_s || v->mode != entry->mode || v->uid != entry->uid ||
        v->gid != entry->gid)
        events |= EVENT_BIT(EVENT_SIZE);
    if (v->held != (entry->held != 0))
        events |= EVENT_BIT(EVENT_STATUS);
    v->size_bytes = entry->size_bytes;
    v->allocated_bytes = entry->allocated_bytes;
    v->mode = (uint16_t)(entry->mode & 0777);
    v->mtime_s = entry->mtime_s;
    v->uid = entry->uid;
    v->gid = entry->gid;
    v->held = entry->held;
    return events;
}

/* News of a file that has just grown may still be on its way. */
void world_see(struct vol *v, const struct pool_reply *reply)
{
    if (v->size_bytes != reply->size_bytes || v->allocated_bytes != reply->allocated_bytes)
        world_touch(v, EVENT_BIT(EVENT_SIZE));
    v->size_bytes = reply->size_bytes;
    v->allocated_bytes = reply->allocated_bytes;
}

static void found_new(struct service *s, struct host *host, const struct pool_entry *entry)
{
    OWNED(mem) struct vol *v = vol_open(s, entry->name);
    int r = -ENOMEM;

    if (v) {
        new_records(s, v, host, entry);
        see(v, entry);
        v->seen = host->scans + 1;
        r = world_add_volume(s, v);
    }
    if (r < 0) {
        log_say(LOG_ERR, "volume %s on %s: cannot be taken up: %s", entry->name, host->config.name,
                strerror(-r));
        return;
    }
    take_ptr(v);
    s->discovered = true;
}

/* Another host may hold a file of that name that was in the shadow of the one that went. */
static void look_elsewhere(struct service *s, const char *name)
{
    size_t at;

    for (size_t i = 0; i < s->n_sites; i++)
        if (table_find(&s->sites[i]->taken, name, taken_cmp, &at))
            host_rescan(s->sites[i]->host);
}

static void gone_for_good(struct service *s, struct vol *v)
{
    OWNED(mem) struct gone_records *records = calloc(1, sizeof(*records));
    char name[TEXT_NAME_BYTES];
    struct copy retained;

    if (!records || table_insert(&s->gone, s->gone.n, records) < 0)
        return; /* the next scan tells again */
    uuid_copy(records->volume, v->record.uuid);
    uuid_copy(records->primary, v->record.primary);
    take_ptr(records);
    snprintf(name, sizeof(name), "%s", v->name);
    log_say(LOG_NOTICE, "volume %s on %s: gone", name, v->record.host);
    if (world_retained(s, v, &retained))
        log_say(LOG_WARNING,
                "volume %s: its retained copy on %s may be the last one, and does not expire", name,
                retained.host);
    s->discovered = s->notes_new = true;
    world_drop_volume(s, v);
    look_elsewhere(s, name);
}

struct gone_question {
    struct service *service;
    uint64_t volume;
    uuid_t primary; /* the copy that was asked for */
};

static void gone_answered(void *arg, const struct pool_reply *reply, int fd)
{
    OWNED(mem) struct gone_question *question = arg;
    struct service *s = question->service;
    struct vol *v = world_volume_by_number(s, question->volume);
    struct site *site;

    owned_fd(&fd);
    if (!v)
        return;
    v->checking_gone = false;
    if (v->migration || v->admission || reply->error || reply->found == POOL_FOUND_PUBLISHED ||
        uuid_compare(v->record.primary, question->primary) != 0)
        return;
    site = world_site(s, v->record.host);
    gone_for_good(s, v); /* v may be freed now */
    host_rescan(site->host);
}

static void ask_if_gone(struct service *s, struct vol *v, struct host *host)
{
    struct pool_request request = {.kind = POOL_EXAMINE, .has_expect = 1, .expect = v->identity};
    OWNED(mem) struct gone_question *question = calloc(1, sizeof(*question));

    if (!question || v->checking_gone)
        return;
    *question = (struct gone_question){.service = s, .volume = v->record.number};
    uuid_copy(question->primary, v->record.primary);
    snprintf(request.name, sizeof(request.name), "%s", v->name);
    uuid_copy(request.cid, v->record.primary);
    if (host_ask(host, &request, -1, 0, gone_answered, question, NULL) < 0)
        return;
    v->checking_gone = true;
    take_ptr(question);
}

static void gone(struct service *s, struct vol *v, struct host *host)
{
    if (v->migration || v->admission) /* the job looks for itself */
        return;
    if (v->moved)
        ask_if_gone(s, v, host);
    else
        gone_for_good(s, v);
}

/* Is this file one of the copies that a job, or a clean-up that waits, accounts for? */
static bool is_ours_too(struct service *s, const struct vol *v, const struct host *host,
                        const struct pool_entry *entry)
{
    const struct migration *m = v->migration;
    struct copy copy;

    if (v->left && strcmp(v->left->host, host->config.name) == 0 &&
        io_same(&v->left->identity, &entry->identity))
        return true; /* news from before it was removed */
    if (!m)
        return false;
    if (strcmp(m->job.destination, host->config.name) == 0)
        return io_same(&m->destination.identity, &entry->identity);
    return strcmp(m->job.source, host->config.name) == 0 &&
           catalog_get_copy(s->catalog, m->job.source_cid, &copy) == 0 &&
           io_same(&copy.identity, &entry->identity);
}

/* The same file under a host that is new: the host was given another name. */
static void rehome(struct service *s, struct vol *v, struct host *host,
                   const struct pool_entry *entry)
{
    v->record.host = world_word(s, host->config.name);
    v->seen = host->scans + 1;
    v->unsaved = s->discovered = true;
    see(v, entry);
    world_touch(v, EVENT_BIT(EVENT_STATE));
}

static void list_again(struct service *s, struct vol *v)
{
    if (!v->unlisted)
        return;
    v->unlisted = false;
    world_touch(v, UINT32_MAX);
    world_touch_service(s, EVENT_BIT(EVENT_MEMBERS));
}

static void entry_of_known(struct service *s, struct vol *v, struct host *host,
                           const struct pool_entry *entry)
{
    struct site *home = world_site(s, v->record.host);

    if (is_at(v, host)) {
        if (!io_same(&v->identity, &entry->identity)) {
            gone(s, v, host);
            if (!world_volume(s, entry->name))
                found_new(s, host, entry);
            return;
        }
        v->seen = host->scans + 1;
        world_touch(v, see(v, entry));
        taken_remove(site_of(s, host), entry->name);
        list_again(s, v);
        return;
    }
    if (is_ours_too(s, v, host, entry))
        return;
    if (!home && !v->migration && io_same(&v->identity, &entry->identity)) {
        rehome(s, v, host, entry);
        return;
    }
    taken_add(site_of(s, host), entry->name, "conflicting name");
}

/* It is the volume's file, or it cannot be seen which file it is. */
static bool may_be(const struct vol *v, const struct pool_entry *entry)
{
    return entry->identity.ino == 0 || io_same(&v->identity, &entry->identity);
}

/* A second hard link, an error of the disk: no volume as it is, but it may be one again. */
static void unlist(struct service *s, struct vol *v, struct host *host)
{
    v->seen = host->scans + 1;
    if (v->migration || v->admission || v->unlisted || use_is(v))
        return;
    v->unlisted = true;
    world_hide(v);
    world_touch_service(s, EVENT_BIT(EVENT_MEMBERS));
}

void world_on_entry(void *arg, struct host *host, const struct pool_entry *raw)
{
    struct service *s = arg;
    struct site *site = site_of(s, host);
    struct pool_entry entry = *raw;
    struct vol *v;

    entry.name[sizeof(entry.name) - 1] = '\0';
    entry.why[sizeof(entry.why) - 1] = '\0';
    v = world_volume(s, entry.name);
    if (entry.kind == POOL_ENTRY_VOLUME && text_is_volume_name(entry.name)) {
        if (world_is_left_copy(s, host->config.name, &entry))
            return;
        if (v) {
            entry_of_known(s, v, host, &entry);
        } else {
            taken_remove(site, entry.name);
            found_new(s, host, &entry);
        }
        return;
    }
    if (v && is_at(v, host) && entry.kind == POOL_ENTRY_UNLISTED && may_be(v, &entry))
        unlist(s, v, host);
    else if (v && is_at(v, host))
        gone(s, v, host);
    if (entry.kind == POOL_ENTRY_GONE)
        taken_remove(site, entry.name);
    else
        taken_add(site, entry.name, entry.why);
}

/* What a whole scan did not name is gone. */
static void sweep(struct service *s, struct site *site)
{
    const struct table *volumes = roll_in_order(&s->by_number); /* what removes sorts */
    uint32_t scan = site->host->scans; /* entries bear the number of the scan to come */

    for (size_t i = site->taken.n; i-- > 0;) {
        struct taken *taken = site->taken.items[i];

        if (taken->seen < scan)
            taken_remove(site, taken->name);
    }
    for (size_t i = volumes->n; i-- > 0;) {
        struct vol *v = volumes->items[i];

        if (is_at(v, site->host) && v->seen < scan)
            gone(s, v, site->host);
    }
}

void world_forget_taken(struct site *site)
{
    while (site->taken.n)
        free(site->taken.items[--site->taken.n]);
    free(site->taken.items);
}

void world_on_scanned(void *arg, struct host *host, bool complete)
{
    struct service *s = arg;

    if (complete)
        sweep(s, site_of(s, host));
    world_save_discoveries(s);
    if (complete)
        migration_recover_all(s);
    if (complete || s->ready)
        migration_collect(s);
}
