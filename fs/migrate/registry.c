/*
 * The tables of volumes and hosts, and how they come out of the catalogue.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/events.h"
#include "fs/migrate/use.h"
#include "fs/migrate/world.h"

static int by_name(const void *a, const void *b)
{
    const struct vol *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static int by_number(const void *a, const void *b)
{
    const struct vol *x = a, *y = b;

    return x->record.number < y->record.number ? -1 : x->record.number > y->record.number;
}

void world_init_volumes(struct service *s)
{
    s->by_name.cmp = by_name;
    s->by_number.cmp = by_number;
}

struct vol *world_volume(struct service *s, const char *name)
{
    return names_find(&s->names, name);
}

const char *world_word(struct service *s, const char *host)
{
    char *word;

    for (size_t i = 0; i < s->config->n_hosts; i++)
        if (strcmp(s->config->hosts[i].name, host) == 0)
            return s->config->hosts[i].name;
    for (size_t i = 0; i < s->words.n; i++)
        if (strcmp(s->words.items[i], host) == 0)
            return s->words.items[i];
    word = strdup(host);
    if (word && table_insert(&s->words, s->words.n, word) < 0)
        free(take_ptr(word));
    return word;
}

struct vol *vol_open(struct service *s, const char *name)
{
    size_t n = strlen(name) + 1;
    struct vol *v = calloc(1, sizeof(*v) + n);

    if (!v)
        return NULL;
    v->service = s;
    memcpy(v->name, name, n);
    return v;
}

static int number_of(const void *key, const void *item)
{
    uint64_t a = *(const uint64_t *)key, b = ((const struct vol *)item)->record.number;

    return a < b ? -1 : a > b;
}

struct vol *world_volume_by_number(struct service *s, uint64_t number)
{
    const struct table *volumes = roll_in_order(&s->by_number);
    size_t at;

    return table_find(volumes, &number, number_of, &at) ? volumes->items[at] : NULL;
}

struct vol *world_volume_by_uuid(struct service *s, const uuid_t uuid)
{
    struct volume record;

    if (catalog_get_volume(s->catalog, uuid, &record) < 0)
        return NULL;
    return world_volume_by_number(s, record.number);
}

struct site *world_site(struct service *s, const char *host)
{
    for (size_t i = 0; i < s->n_sites; i++)
        if (strcmp(s->sites[i]->host->config.name, host) == 0)
            return s->sites[i];
    return NULL;
}

struct site *world_site_by_number(struct service *s, uint64_t number)
{
    return number >= 1 && number <= s->n_sites ? s->sites[number - 1] : NULL;
}

/* A host that was closed counts no more. */
void world_count_at(struct vol *v, struct site *site)
{
    if (v->site == site)
        return;
    if (v->site && v->site->host)
        v->site->host->n_volumes--;
    if (site)
        site->host->n_volumes++;
    v->site = site;
}

static int enter(struct service *s, struct vol *v)
{
    int r = names_add(&s->names, v);

    if (r < 0)
        return r;
    r = roll_add(&s->by_name, v);
    if (r < 0) {
        names_remove(&s->names, v);
        return r;
    }
    r = roll_add(&s->by_number, v);
    if (r < 0) {
        roll_remove(&s->by_name, v);
        names_remove(&s->names, v);
    }
    return r;
}

int world_add_volume(struct service *s, struct vol *v)
{
    int r = enter(s, v);

    if (r < 0)
        return r;
    s->notes_new |= v->conflict != NULL;
    world_count_at(v, world_site(s, v->record.host));
    world_touch(v, UINT32_MAX);
    world_touch_service(s, EVENT_BIT(EVENT_MEMBERS));
    return 0;
}

static void forget(struct vol *v)
{
    world_hide(v);
    if (v->meter)
        meter_close(v->meter);
    free(v->left);
    free(v->options);
    free(v->conflict);
    free(v->warning);
    free(v->message);
    free(v);
}

void world_drop_volume(struct service *s, struct vol *v)
{
    names_remove(&s->names, v);
    roll_remove(&s->by_name, v);
    roll_remove(&s->by_number, v);
    world_touch_service(s, EVENT_BIT(EVENT_MEMBERS));
    s->notes_new |= !v->site || v->conflict || v->warning;
    world_count_at(v, NULL);
    forget(v);
}

void world_forget_volumes(struct service *s)
{
    struct table *volumes = &s->by_number.table;

    while (volumes->n > 0)
        forget(volumes->items[--volumes->n]);
    free(volumes->items);
    free(s->by_name.table.items);
    use_forget_all(s);
    while (s->words.n > 0)
        free(s->words.items[--s->words.n]);
    free(s->words.items);
    names_deinit(&s->names);
}

void vol_say(struct vol *v, const char *fmt, ...)
{
    va_list args;

    free(take_ptr(v->message));
    va_start(args, fmt);
    if (vasprintf(&v->message, fmt, args) < 0)
        v->message = NULL;
    va_end(args);
    world_touch(v, EVENT_BIT(EVENT_MESSAGE));
}

int vol_refuse(struct vol *v, const struct request *request, const struct err *e)
{
    char text[ERR_TEXT_BYTES];

    text_escape(e->text, strlen(e->text), text, sizeof(text));
    vol_say(v, "refused %s: %s", err_name(e->code), text);
    events_say(v->service, SAY_REFUSED, EVENT_OF(.vol = v, .request = request, .error = e->code),
               "volume %s: %s '%.64s' by uid %u pid %d refused: %s: %s", v->name, request->attr,
               request->word, request->caller.uid, request->caller.pid, err_name(e->code), e->text);
    return -e->code;
}

void vol_keep(struct vol *v, const struct volume *record)
{
    uuid_copy(v->record.uuid, record->uuid);
    v->record.number = record->number;
    v->record.host = world_word(v->service, record->host);
    uuid_copy(v->record.primary, record->primary);
    v->record.status = record->status;
    v->record.previous_status = record->previous_status;
    v->record.last_result = record->last_result;
    v->record.last_job = record->last_job;
}

void vol_recall(const struct vol *v, struct volume *ret)
{
    int r;

    *ret = (struct volume){.last_offset = UINT64_MAX};
    r = catalog_get_volume(v->service->catalog, v->record.uuid, ret);
    assert(r == 0 || r == -ENOENT); /* of a new one there is nothing; or it would be written over */
    uuid_copy(ret->uuid, v->record.uuid);
    ret->number = v->record.number;
    snprintf(ret->name, sizeof(ret->name), "%s", v->name);
    snprintf(ret->host, sizeof(ret->host), "%s", v->record.host);
    uuid_copy(ret->primary, v->record.primary);
    ret->status = v->record.status;
    ret->previous_status = v->record.previous_status;
    ret->last_result = v->record.last_result;
    ret->last_job = v->record.last_job;
}

static int load_volume(const struct volume *record, void *arg)
{
    struct service *s = arg;
    OWNED(mem) struct vol *v = vol_open(s, record->name);
    struct copy primary = {0};
    int r;

    if (!v)
        return -ENOMEM;
    vol_keep(v, record);
    if (!v->record.host)
        return -ENOMEM;
    r = catalog_get_copy(s->catalog, record->primary, &primary);
    if (r == -ENOENT)
        vol_note(v, &v->conflict, "the catalogue has no record of its primary copy");
    else if (r < 0)
        return r;
    v->identity = primary.identity;
    v->size_bytes = v->allocated_bytes = primary.size_bytes;
    r = world_add_volume(s, v);
    if (r == 0)
        take_ptr(v);
    return r;
}

void vol_note(struct vol *v, char **note, const char *fmt, ...)
{
    va_list args;

    if (v->service && (*note || fmt))
        v->service->notes_new = true;
    free(take_ptr(*note));
    if (!fmt)
        return;
    va_start(args, fmt);
    if (vasprintf(note, fmt, args) < 0)
        *note = NULL;
    va_end(args);
}

/* What a record cannot tell of itself. */
static int check_numbers(struct service *s)
{
    const struct table *volumes = roll_in_order(&s->by_number);

    for (size_t i = 1; i < volumes->n; i++)
        if (by_number(volumes->items[i - 1], volumes->items[i]) == 0)
            return -EEXIST;
    return 0;
}

int world_load(struct service *s, struct err *e)
{
    int r = catalog_each_volume(s->catalog, load_volume, s);

    if (r == 0)
        r = check_numbers(s);
    if (r < 0)
        return err_set(e, -r, "cannot take up the volumes of the catalogue: %s", strerror(-r));
    return 0;
}
