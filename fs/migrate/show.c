/* What readers see of a volume and of a host, made from what the owner knows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/evacuate.h"
#include "fs/migrate/use.h"

static int show_error(struct view_volume *to, const char *name, const char *phase, uint64_t offset,
                      const char *text)
{
    char place[24] = "null";

    if (offset != UINT64_MAX)
        snprintf(place, sizeof(place), "%" PRIu64, offset);
    if (asprintf(&to->error, "%s %s %s %s", name, phase, place, text) >= 0)
        return 0;
    to->error = NULL;
    return -ENOMEM;
}

static int show_last(struct view_volume *to, const struct vol *v)
{
    struct volume record;

    vol_recall(v, &record);
    to->job = record.last_job;
    if (view_volume_set_stat(to, &record.last_stat) < 0)
        return -ENOMEM;
    if (record.last_result != RESULT_ERROR)
        return 0;
    return show_error(to, err_name(record.last_errno), record.last_phase, record.last_offset,
                      record.last_error);
}

/* Words of the job under way, or of the last one. */
static int show_job(struct view_volume *to, const struct vol *v)
{
    const struct migration *m = v->migration;

    to->phase = "idle";
    to->result = result_names[v->record.last_result];
    if (!m)
        return v->record.last_job ? show_last(to, v) : 0;
    to->has_job = true;
    to->aborting = m->job.abort;
    to->recovering = m->recovering;
    to->phase = migration_phase(m);
    to->result = phases[m->phase].status;
    to->job = m->job.number;
    if (view_volume_set_stat(to, &m->job.stat) < 0)
        return -ENOMEM;
    if (!phases[m->phase].backwards)
        to->target = world_word(m->service, m->job.destination);
    if (!to->target)
        return -ENOMEM;
    if (!m->stopped)
        return 0;
    return show_error(to, m->stopped, phases[m->phase].name, m->stopped_offset, m->stopped_text);
}

/* NULL: none, or no memory, and then it is shown with the next change. */
static char *retained_line(struct service *s, const struct vol *v)
{
    char expires[TEXT_TIME_BYTES];
    struct copy copy;
    char *line;

    if (!world_retained(s, v, &copy))
        return NULL;
    text_time((time_t)copy.expires_s, expires);
    return asprintf(&line, "%s %" PRIu64 " %s", copy.host, copy.size_bytes, expires) < 0 ? NULL
                                                                                         : line;
}

static int show_options(struct view_volume *to, const struct vol *v)
{
    if (!v->options)
        return 0;
    to->options = malloc(VOLUME_OPTION_N * sizeof(*to->options));
    if (!to->options)
        return -ENOMEM;
    memcpy(to->options, v->options, VOLUME_OPTION_N * sizeof(*to->options));
    return 0;
}

struct view_volume *world_show_volume(struct service *s, const struct vol *v)
{
    struct site *site = world_site(s, v->record.host);
    struct view_volume *to = view_volume_open(v->name);

    if (!to)
        return NULL;
    to->number = v->record.number;
    uuid_copy(to->uuid, v->record.uuid);
    to->host = to->target = v->record.host;
    to->retained = retained_line(s, v);
    to->size_bytes = v->size_bytes;
    to->allocated_bytes = v->allocated_bytes;
    to->mtime_s = v->mtime_s;
    to->uid = v->uid;
    to->gid = v->gid;
    to->mode = v->mode;
    to->used = use_is(v);
    to->status = v->record.status == VOLUME_AVAILABLE && (v->held || to->used) ? VOLUME_IN_USE
                                                                               : v->record.status;
    to->previous_status = v->record.previous_status;
    if ((!v->migration && (!site || !site->host->up)) || v->conflict)
        to->status = VOLUME_ERROR;
    to->meter = v->meter;
    if (to->meter)
        atomic_fetch_add(&to->meter->refs, 1);
    to->message = v->message ? strdup(v->message) : NULL;
    if (show_job(to, v) == 0 && show_options(to, v) == 0 && (to->message || !v->message))
        return to;
    view_volume_put(to);
    return NULL;
}

static int show_taken(struct view_host *to, const struct table *taken)
{
    if (taken->n == 0)
        return 0;
    to->taken = calloc(taken->n, sizeof(*to->taken));
    if (!to->taken)
        return -ENOMEM;
    for (size_t i = 0; i < taken->n; i++) {
        to->taken[i] = strdup(((const struct taken *)taken->items[i])->name);
        if (!to->taken[i])
            return -ENOMEM;
        to->n_taken = i + 1;
    }
    return 0;
}

struct view_host *world_show_host(const struct site *site)
{
    const struct host *host = site->host;
    struct view_host *to = view_host_open();

    if (!to)
        return NULL;
    to->number = host->number;
    memcpy(to->name, host->config.name, sizeof(to->name));
    to->path = strdup(host->config.path);
    to->driver = host->config.driver;
    to->up = host->up;
    to->read_only = host->read_only;
    to->drain = host->drain || evacuation_goes_on(site);
    to->was_evacuated = site->evacuation.host[0] != '\0';
    to->n_to_go = site->evacuation.total;
    to->n_gone = site->evacuation.done;
    to->n_failed = site->evacuation.failed;
    to->max_jobs = host->max_jobs;
    to->speed_bytes_per_s = host->speed_bytes_per_s;
    to->capacity_bytes = host->capacity_bytes;
    to->free_bytes = host->free_bytes;
    to->reserved_bytes = host->reserved_bytes;
    to->max_file_bytes = host->max_file_bytes;
    to->n_volumes = host->n_volumes;
    to->n_jobs = host->n_jobs;
    memcpy(to->pool, host->pool, sizeof(to->pool));
    memcpy(to->alias_of, host->alias_of, sizeof(to->alias_of));
    memcpy(to->last_error, host->last_error, sizeof(to->last_error));
    if (!to->path || show_taken(to, &site->taken) < 0) {
        view_host_put(to);
        return NULL;
    }
    return to;
}

static const char *host_text(const struct view_volume *volume)
{
    return volume->host;
}

static const char *target_text(const struct view_volume *volume)
{
    return volume->target;
}

static const char *result_text(const struct view_volume *volume)
{
    return volume->result;
}

static const char *phase_text(const struct view_volume *volume)
{
    return volume->phase;
}

static const char *error_text(const struct view_volume *volume)
{
    return volume->error;
}

static const char *retained_text(const struct view_volume *volume)
{
    return volume->retained;
}

/* Texts of a volume that are dated by their own value, whatever touched it. NULL is a text too. */
static const struct {
    enum event event;
    const char *(*text)(const struct view_volume *volume);
} texts[] = {
    {EVENT_PLACE, host_text},  {EVENT_TARGET, target_text}, {EVENT_RESULT, result_text},
    {EVENT_PHASE, phase_text}, {EVENT_ERROR, error_text},   {EVENT_RETAINED, retained_text},
};

/* The numbers of its job; while one runs, the meter's changes are told as they come. */
static bool same_numbers(const struct view_volume *a, const struct view_volume *b)
{
    return a->job == b->job && a->meter == b->meter &&
           memcmp(view_volume_stat(a), view_volume_stat(b), sizeof(*a->stat)) == 0;
}

/* What a volume's candidates are judged by, of the volume itself. */
static bool same_terms(const struct view_volume *a, const struct view_volume *b)
{
    return a->has_job == b->has_job && a->recovering == b->recovering &&
           option_of(a->options, VOLUME_OPTION_PAUSE) ==
               option_of(b->options, VOLUME_OPTION_PAUSE) &&
           a->allocated_bytes == b->allocated_bytes && a->size_bytes == b->size_bytes &&
           a->used == b->used;
}

uint32_t world_shown_anew(const struct view_volume *old, const struct view_volume *new)
{
    const uint32_t terms = EVENT_BIT(EVENT_STATUS) | EVENT_BIT(EVENT_ABORT) |
                           EVENT_BIT(EVENT_PLACE) | EVENT_BIT(EVENT_TARGET) |
                           EVENT_BIT(EVENT_PHASE);
    uint32_t events = 0;

    if (!old || old->status != new->status || old->previous_status != new->previous_status)
        events |= EVENT_BIT(EVENT_STATUS);
    if (!old || old->aborting != new->aborting)
        events |= EVENT_BIT(EVENT_ABORT);
    if (!old || !same_numbers(old, new))
        events |= EVENT_BIT(EVENT_PROGRESS);
    for (size_t i = 0; i < ARRAY_N(texts); i++) {
        const char *was = old ? texts[i].text(old) : NULL, *is = texts[i].text(new);

        if (!old || strcmp(was ? was : "", is ? is : "") != 0)
            events |= EVENT_BIT(texts[i].event);
    }
    if (events & terms || !same_terms(old, new))
        events |= EVENT_BIT(EVENT_HOST);
    return events;
}

static bool same_taken(const struct view_host *a, const struct view_host *b)
{
    if (a->n_taken != b->n_taken)
        return false;
    for (size_t i = 0; i < a->n_taken; i++)
        if (strcmp(a->taken[i], b->taken[i]) != 0)
            return false;
    return true;
}

bool world_shown_same(const struct view_host *a, const struct view_host *b)
{
    return a->up == b->up && a->read_only == b->read_only &&
           a->capacity_bytes == b->capacity_bytes && a->free_bytes == b->free_bytes &&
           a->reserved_bytes == b->reserved_bytes && a->n_volumes == b->n_volumes &&
           a->drain == b->drain && a->was_evacuated == b->was_evacuated &&
           a->n_to_go == b->n_to_go && a->n_gone == b->n_gone && a->n_failed == b->n_failed &&
           a->max_jobs == b->max_jobs && a->max_file_bytes == b->max_file_bytes &&
           a->n_jobs == b->n_jobs && strcmp(a->alias_of, b->alias_of) == 0 &&
           strcmp(a->last_error, b->last_error) == 0 && same_taken(a, b);
}
