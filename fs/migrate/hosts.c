/*
 * Which pools we take: the catalogue remembers the marker of every host it has met, so that an
 * unmounted pool's empty folder is not taken for a pool whose volumes are all gone.
 */
#include <stdio.h>
#include <string.h>

#include "fs/migrate/events.h"
#include "fs/migrate/migration.h"

static struct site *site_of(void *arg, const struct host *host)
{
    return world_site_by_number(arg, host->number);
}

static bool is_at(const struct vol *v, const struct host *host)
{
    return strcmp(v->record.host, host->config.name) == 0;
}

/* A volume is in error while its host is away. */
static void show_volumes_at(struct service *s, const struct host *host)
{
    for (size_t i = 0; i < s->by_number.table.n; i++) {
        struct vol *v = s->by_number.table.items[i];

        if (is_at(v, host) && v->shown && (v->shown->status == VOLUME_ERROR) == host->up)
            world_touch(v, EVENT_BIT(EVENT_STATE));
    }
}

static void say_state(struct service *s, const struct host *host)
{
    if (host->up)
        events_say(s, SAY_HOST_UP, EVENT_OF(.host = host), "host %s: up", host->config.name);
    else
        events_say(s, SAY_HOST_DOWN, EVENT_OF(.host = host), "host %s: down: %s", host->config.name,
                   host->last_error);
}

/* Its free bytes change with every few bytes that are written, its volumes only as it comes or
 * goes. */
static void on_changed(void *arg, struct host *host)
{
    struct service *s = arg;
    struct site *site = site_of(s, host);

    world_touch_site(site, EVENT_BIT(EVENT_HOST));
    if (host->up != site->was_up) {
        say_state(s, host);
        show_volumes_at(s, host);
    }
    if (host->lock_fd < 0)
        migration_host_lost(s, site);
    if (host->up && !site->was_up)
        migration_recover_all(s);
    site->was_up = host->up;
    migration_reckon(s);
    migration_schedule(s);
}

static size_t n_volumes_at(struct service *s, const struct host *host)
{
    size_t n = 0;

    for (size_t i = 0; i < s->by_number.table.n; i++)
        n += is_at(s->by_number.table.items[i], host) ? 1 : 0;
    return n;
}

/* Old sources that somebody may want back: of another pool they would be looked for in vain. */
static bool retains(struct service *s, const struct host *host)
{
    world_know_left(s);
    for (size_t i = 0; i < s->left.n; i++) {
        const struct copy *copy = s->left.items[i];

        if (copy->role == COPY_RETAINED && strcmp(copy->host, host->config.name) == 0)
            return true;
    }
    return false;
}

static int remember_pool(struct service *s, const struct host *host, const uuid_t uuid,
                         struct err *e)
{
    struct pool pool = {0};
    int r;

    snprintf(pool.host, sizeof(pool.host), "%s", host->config.name);
    uuid_copy(pool.uuid, uuid);
    r = catalog_put_pool(s->catalog, &pool);
    if (r < 0)
        return err_set(e, -r, "no memory");
    return catalog_commit(s->catalog, e);
}

static bool has_met(const struct service *s, const struct host *host, const uuid_t uuid)
{
    struct pool known;

    return catalog_get_pool(s->catalog, host->config.name, &known) == 0 &&
           uuid_compare(known.uuid, uuid) == 0;
}

/* The same storage under a second name: the name that the catalogue knows has it, else the first to
 * show it, and they show themselves in the order of the configuration. */
static bool has_it_first(const struct service *s, const struct host *other, const struct host *host,
                         const uuid_t uuid)
{
    bool other_met = has_met(s, other, uuid);
    char text[37];

    uuid_unparse_lower(uuid, text);
    if (other == host || other->alias_of[0])
        return false;
    return other_met == has_met(s, host, uuid) ? strcmp(other->pool, text) == 0 : other_met;
}

static int refuse_second_name(struct service *s, struct site *site, const uuid_t uuid,
                              struct err *e)
{
    for (size_t i = 0; i < s->n_sites; i++) {
        struct host *other = s->sites[i]->host;

        if (!has_it_first(s, other, site->host, uuid))
            continue;
        snprintf(site->host->alias_of, sizeof(site->host->alias_of), "%s", other->config.name);
        return err_set(e, EEXIST, "it is the same storage as host %s; remove one of the two",
                       other->config.name);
    }
    return 0;
}

static int on_hello(void *arg, struct host *host, const struct pool_hello *hello, uuid_t fresh,
                    struct err *e)
{
    struct service *s = arg;
    struct site *site = site_of(s, host);
    bool marked = hello->marker != POOL_MARKER_NONE;
    struct pool known;
    char text[37];
    bool met = catalog_get_pool(s->catalog, host->config.name, &known) == 0;

    site->host->alias_of[0] = '\0';
    if (marked && refuse_second_name(s, site, hello->uuid, e) < 0)
        return -EEXIST;
    if (met)
        uuid_unparse_lower(known.uuid, text);
    if (met && marked && uuid_compare(known.uuid, hello->uuid) == 0)
        return 0;
    if (met && (!marked || n_volumes_at(s, host) > 0 || retains(s, host)))
        return err_set(
            e, ENODEV,
            "%s %s of the pool %s that was there: mount that one there, or give this one "
            "another host name",
            host->config.path,
            marked ? "bears another marker than that" : "has no marker (" POOL_MARKER ")", text);
    if (marked) /* met by the marker alone: what is not marked yet is not met */
        return remember_pool(s, host, hello->uuid, e);
    uuid_generate(fresh);
    return 0;
}

const struct host_events world_host_events = {
    .hello = on_hello,
    .entry = world_on_entry,
    .scanned = world_on_scanned,
    .changed = on_changed,
};
