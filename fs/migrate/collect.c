/*
 * Copies that wait to be destroyed, or to be hidden: recorded, not primary, and no job's any more.
 * Each goes only while the volume itself is seen where it should be. One at a time on a host; one
 * that cannot go holds up no other, and neither does a host that hangs.
 *
 * A copy whose volume is gone may be the last one: it is never destroyed here. `health` tells of
 * it, a human removes or renames the file, and when that is seen its record ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/migration.h"

/* ESTALE: it was written since, or is not ours any more. A human decides, and is told. */
void migration_note_left(struct vol *v, const char *host, const struct pool_reply *reply)
{
    if (reply->error == ESTALE)
        vol_note(v, &v->warning, "a copy of it is left hidden on %s: %s", host, reply->text);
}

static int add_left(const struct copy *copy, void *arg)
{
    struct service *s = arg;
    struct copy *left = malloc(sizeof(*left));
    int r;

    if (!left)
        return -ENOMEM;
    *left = *copy;
    r = table_insert(&s->left, s->left.n, left);
    if (r < 0)
        free(left);
    return r;
}

void world_forget_left(struct service *s)
{
    while (s->left.n)
        free(s->left.items[--s->left.n]);
}

void world_know_left(struct service *s)
{
    if (s->left_is_known)
        return;
    world_forget_left(s);
    s->left_is_known = catalog_each_hidden(s->catalog, add_left, s) == 0;
}

bool world_is_left_copy(struct service *s, const char *host, const struct pool_entry *entry)
{
    world_know_left(s);
    for (size_t i = 0; i < s->left.n; i++) {
        const struct copy *copy = s->left.items[i];

        /* It may be all that is left of a volume that is gone: its name lists it, if it is whole.
         * Another name was given to it by a human. */
        if (io_same(&copy->identity, &entry->identity) && copy->state != COPY_INTENT &&
            strcmp(copy->host, host) == 0 && strcmp(copy->name, entry->name) == 0)
            return copy->role == COPY_DESTINATION || world_volume_by_uuid(s, copy->volume);
    }
    return false;
}

#define LOOK_NS (5 * UINT64_C(1000000000)) /* for the volume itself, on a host that may hang */

struct collection {
    struct service *service;
    struct site *site; /* of the copy */
    struct site *home; /* of its volume; NULL: that is gone */
    struct copy copy;
    size_t next; /* place in `left` to go on at */
    bool by_tag; /* is looked for without its identity: the pool may have moved to another disk */
};

static void collect_from(struct service *s, struct site *site, size_t at);
static void look_for_orphan(struct collection *c);
static struct site *home_of(struct service *s, struct copy *copy);

/* It was read before; meanwhile it may have become one that is to be destroyed. */
static int stage_collected(const struct collection *c)
{
    struct catalog *catalog = c->service->catalog;
    struct copy copy;

    if (c->copy.role != COPY_RETAINED)
        return catalog_drop_copy(catalog, c->copy.cid);
    if (catalog_get_copy(catalog, c->copy.cid, &copy) < 0)
        return 0;
    copy.hidden = true;
    return catalog_put_copy(catalog, &copy);
}

static void on_collected(void *arg, const struct pool_reply *reply, int fd)
{
    OWNED(mem) struct collection *c = arg;
    struct service *s = c->service;
    struct vol *v = world_volume_by_uuid(s, c->copy.volume);
    struct err e = {0};

    owned_fd(&fd);
    c->site->collecting = false;
    world_look_again(s);
    if (reply->error) { /* the others need not wait for that one */
        if (v && c->copy.role != COPY_RETAINED)
            migration_note_left(v, c->copy.host, reply);
        collect_from(s, c->site, c->next);
        return;
    }
    if (stage_collected(c) < 0 || catalog_commit(s->catalog, &e) < 0) {
        catalog_cancel(s->catalog);
        log_say(LOG_WARNING,
                "volume %s: its old copy is %s, but not its record, which is seen to later: %s",
                c->copy.name, c->copy.role == COPY_RETAINED ? "hidden" : "gone", e.text);
        return;
    }
    if (c->copy.role == COPY_RETAINED) {
        collect_from(s, c->site, c->next);
        return;
    }
    if (v)
        vol_note(v, &v->warning, NULL);
    collect_from(s, c->site, c->next > 0 ? c->next - 1 : 0); /* one less is left */
}

/* Destroyed, or hidden if it is retained. */
static void put_away(struct collection *c)
{
    struct pool_request request = {.kind =
                                       c->copy.role == COPY_RETAINED ? POOL_RETAIN : POOL_REMOVE};

    memcpy(request.name, c->copy.name, sizeof(request.name));
    uuid_copy(request.cid, c->copy.cid);
    uuid_copy(request.volume, c->copy.volume);
    request.epoch = c->copy.epoch;
    request.expect = c->copy.identity;
    request.has_expect = c->copy.state != COPY_INTENT;
    request.has_mtime = c->copy.role != COPY_DESTINATION;
    request.mtime_ns = c->copy.mtime_ns;
    c->site->collecting = host_ask(c->site->host, &request, -1, 0, on_collected, c, NULL) == 0;
    if (!c->site->collecting)
        free(c);
}

/* While the volume was looked for it may have moved, to the copy's own inode even. */
static bool still_goes(const struct collection *c)
{
    struct copy copy;

    return catalog_get_copy(c->service->catalog, c->copy.cid, &copy) == 0 &&
           copy.role == c->copy.role && home_of(c->service, &copy) == c->home;
}

/* As in a roll-back: nothing goes while the volume itself is not seen. */
static void on_primary_seen(void *arg, const struct pool_reply *reply, int fd)
{
    struct collection *c = arg;

    owned_fd(&fd);
    c->site->collecting = false;
    if (reply->error == 0 && reply->found == POOL_FOUND_PUBLISHED && still_goes(c)) {
        put_away(c);
        return;
    }
    collect_from(c->service, c->site, c->next);
    free(c);
}

static void look_for_primary(struct collection *c, const struct vol *v, struct site *home)
{
    struct pool_request request = {.kind = POOL_EXAMINE, .has_expect = 1, .expect = v->identity};

    snprintf(request.name, sizeof(request.name), "%s", v->name);
    uuid_copy(request.cid, v->record.primary);
    c->site->collecting =
        host_ask(home->host, &request, -1, LOOK_NS, on_primary_seen, c, NULL) == 0;
    if (!c->site->collecting)
        free(c);
}

/* Is it where a human has to decide about it still? If not, there is nothing to decide. */
static void on_orphan_seen(void *arg, const struct pool_reply *reply, int fd)
{
    OWNED(mem) struct collection *c = arg;
    struct service *s = c->service;
    struct err e = {0};

    owned_fd(&fd);
    c->site->collecting = false;
    if (reply->error || reply->found == POOL_FOUND_HIDDEN ||
        (reply->found == POOL_FOUND_PUBLISHED && c->copy.role == COPY_DESTINATION)) {
        collect_from(s, c->site, c->next);
        return;
    }
    if (reply->found != POOL_FOUND_PUBLISHED && c->copy.state != COPY_INTENT && !c->by_tag) {
        c->by_tag = true;
        look_for_orphan(take_ptr(c));
        return;
    }
    if (catalog_drop_copy(s->catalog, c->copy.cid) < 0 || catalog_commit(s->catalog, &e) < 0) {
        catalog_cancel(s->catalog);
        log_say(LOG_WARNING, "volume %s: that its copy on %s is gone too cannot be recorded: %s",
                c->copy.name, c->copy.host, e.text);
        return;
    }
    log_say(LOG_NOTICE, "volume %s: its %s copy on %s is not there any more", c->copy.name,
            copy_role_names[c->copy.role], c->copy.host);
    s->notes_new = true;
    world_look_again(s);
    host_rescan(c->site->host);
    collect_from(s, c->site, c->next > 0 ? c->next - 1 : 0); /* one less is left */
}

static void look_for_orphan(struct collection *c)
{
    struct pool_request request = {.kind = POOL_EXAMINE,
                                   .has_expect = c->copy.state != COPY_INTENT && !c->by_tag,
                                   .expect = c->copy.identity};

    memcpy(request.name, c->copy.name, sizeof(request.name));
    uuid_copy(request.cid, c->copy.cid);
    c->site->collecting =
        host_ask(c->site->host, &request, -1, LOOK_NS, on_orphan_seen, c, NULL) == 0;
    if (!c->site->collecting)
        free(c);
}

static int is_of_job(const struct job *job, void *arg)
{
    const struct copy *copy = arg;

    return uuid_compare(job->source_cid, copy->cid) == 0 ||
           uuid_compare(job->destination_cid, copy->cid) == 0;
}

/* The home of the volume whose copy may go now; NULL: not now. */
static struct site *home_of(struct service *s, struct copy *copy)
{
    struct site *site = world_site(s, copy->host), *home;
    struct vol *v = world_volume_by_uuid(s, copy->volume);

    if (copy->role == COPY_RETAINED && copy->hidden)
        return NULL;
    if (v && strcmp(copy->host, v->record.host) == 0 && io_same(&copy->identity, &v->identity))
        return NULL; /* that inode is the volume's own by now */
    if (!v || v->warning || v->migration || v->conflict || !site || !site->host->up)
        return NULL;
    home = world_site(s, v->record.host);
    if (!home || !home->host->up || catalog_each_job(s->catalog, is_of_job, copy) != 0)
        return NULL;
    return uuid_compare(v->record.primary, copy->cid) == 0 ? NULL : home;
}

static bool is_orphan(struct service *s, struct site *site, struct copy *copy)
{
    return site->host->up && !world_volume_by_uuid(s, copy->volume) &&
           catalog_each_job(s->catalog, is_of_job, copy) == 0;
}

static void collect_from(struct service *s, struct site *site, size_t at)
{
    if (site->collecting || s->stopped || catalog_doubt(s->catalog))
        return;
    world_know_left(s);
    for (size_t i = at; i < s->left.n; i++) {
        struct copy *copy = s->left.items[i];
        bool here = world_site(s, copy->host) == site;
        struct site *home = here ? home_of(s, copy) : NULL;
        bool orphan = here && !home && is_orphan(s, site, copy);
        struct collection *c = home || orphan ? malloc(sizeof(*c)) : NULL;

        if (!c)
            continue;
        *c = (struct collection){
            .service = s, .site = site, .home = home, .copy = *copy, .next = i + 1};
        if (orphan)
            look_for_orphan(c);
        else
            look_for_primary(c, world_volume_by_uuid(s, copy->volume), home);
        return;
    }
    if (site->collect_again) {
        site->collect_again = false;
        collect_from(s, site, 0);
    }
}

void migration_collect(struct service *s)
{
    for (size_t i = 0; i < s->n_sites; i++) {
        s->sites[i]->collect_again = s->sites[i]->collecting;
        collect_from(s, s->sites[i], 0);
    }
}
