/* What was discovered goes into the catalogue, a batch in one commit. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/log.h"
#include "fs/migrate/world.h"

/* New ones are found again; for those that are recorded it is tried again, after the next scan. */
static void give_up_saving(struct service *s, const char *why)
{
    const struct table *volumes = roll_in_order(&s->by_number); /* what removes sorts */

    log_say(LOG_ERR, "what was found in the pools cannot be recorded: %s", why);
    catalog_cancel(s->catalog);
    for (size_t i = volumes->n; i-- > 0;) {
        struct vol *v = volumes->items[i];
        struct volume record;

        if (v->unsaved && catalog_get_volume(s->catalog, v->record.uuid, &record) == -ENOENT)
            world_drop_volume(s, v);
    }
    s->discovered = true;
    loop_set_timer(s->retry, 5 * NS_PER_S);
}

/* A new one, or the one that is recorded with another host. */
static void fill_primary(struct service *s, const struct vol *v, struct copy *ret)
{
    int r;

    *ret = (struct copy){.role = COPY_PRIMARY,
                         .state = COPY_MADE,
                         .identity = v->identity,
                         .size_bytes = v->size_bytes,
                         .since_s = world_now_s()};
    r = catalog_get_copy(s->catalog, v->record.primary, ret);
    assert(r == 0 || r == -ENOENT);
    uuid_copy(ret->cid, v->record.primary);
    uuid_copy(ret->volume, v->record.uuid);
    snprintf(ret->name, sizeof(ret->name), "%s", v->name);
    snprintf(ret->host, sizeof(ret->host), "%s", v->record.host);
}

static int stage_volume(struct service *s, const struct vol *v)
{
    struct volume record;
    struct copy primary;
    int r;

    vol_recall(v, &record);
    fill_primary(s, v, &primary);
    r = catalog_put_volume(s->catalog, &record);
    return r < 0 ? r : catalog_put_copy(s->catalog, &primary);
}

static int stage_discoveries(struct service *s)
{
    int r = 0;

    for (size_t i = 0; i < s->gone.n && r == 0; i++) {
        const struct gone_records *records = s->gone.items[i];

        r = catalog_drop_volume(s->catalog, records->volume);
        if (r == 0)
            r = catalog_drop_copy(s->catalog, records->primary);
    }
    for (size_t i = 0; i < s->by_number.table.n && r == 0; i++) {
        const struct vol *v = s->by_number.table.items[i];

        if (!v->unsaved)
            continue;
        r = stage_volume(s, v);
    }
    return r;
}

void world_save_discoveries(struct service *s)
{
    struct err e = {.text = "no memory"};
    int r;

    if (!s->discovered)
        return;
    s->discovered = false;
    r = stage_discoveries(s);
    if (r == 0)
        r = catalog_commit(s->catalog, &e);
    if (r < 0) {
        give_up_saving(s, e.text);
        return;
    }
    for (size_t i = 0; i < s->by_number.table.n; i++) {
        struct vol *v = s->by_number.table.items[i];

        if (!v->unsaved)
            continue;
        v->unsaved = false;
        world_announce(v);
    }
    while (s->gone.n)
        free(s->gone.items[--s->gone.n]);
}

void world_forget_gone(struct service *s)
{
    while (s->gone.n)
        free(s->gone.items[--s->gone.n]);
    free(s->gone.items);
}
