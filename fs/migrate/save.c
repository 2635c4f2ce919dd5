/* What was discovered goes into the catalogue, a batch in one commit. */
#include <stdlib.h>

#include "copy/base/log.h"
#include "fs/migrate/world.h"

/* They are found again, or it is tried again, after the next scan. */
static void give_up_saving(struct service *s, const char *why)
{
    log_say(LOG_ERR, "what was found in the pools cannot be recorded: %s", why);
    catalog_cancel(s->catalog);
    for (size_t i = s->by_number.table.n; i-- > 0;) {
        struct vol *v = s->by_number.table.items[i];

        if (v->unsaved && !v->shown)
            world_drop_volume(s, v);
    }
    s->discovered = true;
    loop_set_timer(s->retry, 5 * NS_PER_S);
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
        r = catalog_put_volume(s->catalog, &v->record);
        if (r == 0)
            r = catalog_put_copy(s->catalog, &v->primary);
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
