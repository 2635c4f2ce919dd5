#include "fs/migrate/refuse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/migrate/option.h"

struct question {
    const struct view *view;
    const struct view_volume *volume;
    const struct view_host *host; /* NULL at open, or unknown */
    const char *word;
};

static bool is_recovering(const struct question *q)
{
    return q->volume->recovering;
}

static bool is_rolling_back(const struct question *q)
{
    return q->volume->has_job && (q->volume->aborting || !q->volume->target[0] ||
                                  strcmp(q->volume->phase, "rolling-back") == 0);
}

static bool is_elsewhere_bound(const struct question *q)
{
    return q->volume->has_job && !(q->host && strcmp(q->host->name, q->volume->target) == 0);
}

static bool is_unfit(const struct question *q)
{
    return !q->volume->has_job && q->volume->status != VOLUME_AVAILABLE &&
           q->volume->status != VOLUME_IN_USE;
}

static bool is_used(const struct question *q)
{
    return q->volume->used && !q->volume->has_job;
}

static bool is_stopping(const struct question *q)
{
    return q->view->stopping;
}

static bool is_in_doubt(const struct question *q)
{
    return q->view->doubt;
}

static bool is_no_name(const struct question *q)
{
    return !q->host && !text_is_host_name(q->word);
}

static bool is_too_long(const struct question *q)
{
    return !q->host && strlen(q->word) >= TEXT_HOST_BYTES;
}

static bool is_unknown(const struct question *q)
{
    return !q->host;
}

static bool is_alias(const struct question *q)
{
    return q->host->alias_of[0] != '\0';
}

static bool is_down(const struct question *q)
{
    return !q->host->up;
}

static bool is_draining(const struct question *q)
{
    return q->host->drain;
}

static bool is_read_only(const struct question *q)
{
    return q->host->read_only;
}

static int compare_names(const void *key, const void *item)
{
    return strcmp(key, *(char *const *)item);
}

static bool is_taken(const struct question *q)
{
    return q->host->n_taken && bsearch(q->volume->name, q->host->taken, q->host->n_taken,
                                       sizeof(*q->host->taken), compare_names);
}

static bool is_too_big(const struct question *q)
{
    return q->host->max_file_bytes && q->volume->size_bytes > q->host->max_file_bytes;
}

static uint64_t available(const struct view_host *host)
{
    return host->free_bytes > host->reserved_bytes ? host->free_bytes - host->reserved_bytes : 0;
}

static bool is_full(const struct question *q)
{
    return available(q->host) < q->volume->allocated_bytes;
}

static bool is_queue_full(const struct question *q)
{
    const struct view_host *from = view_host_by_name(q->view, q->volume->host);
    bool waits = q->view->pause || option_of(q->volume->options, VOLUME_OPTION_PAUSE) ||
                 q->view->n_queued > 0 || q->view->n_running >= q->view->max_jobs ||
                 q->host->n_jobs >= q->host->max_jobs || (from && from->n_jobs >= from->max_jobs);

    return waits && q->view->n_queued >= q->view->max_queue;
}

/* What a text may name: h the host, v the volume, w the word, a its twin, f and n bytes free and
 * needed, m and s the most bytes of a file there and the volume's. */
static const struct refusal {
    int code;
    enum { AT_OPEN, AT_WRITE, AT_ANSWER } at; /* the host's, of how it is now */
    bool (*applies)(const struct question *q);
    const char *text;
} refusals[] = {
    {EAGAIN, AT_OPEN, is_recovering, "the volume is still being recovered, try again"},
    {EBUSY, AT_OPEN, is_rolling_back, "a migration is rolling back, try again when it is done"},
    {EBUSY, AT_OPEN, is_unfit, "the volume is in error: see .control/health"},
    {EBUSY, AT_OPEN, is_used, "it is in use: its data is open"},
    {ESHUTDOWN, AT_WRITE, is_stopping, "ferryfs is stopping"},
    {ENAMETOOLONG, AT_WRITE, is_too_long, "a host's name has at most 64 characters"},
    {EINVAL, AT_WRITE, is_no_name, "that is no host's name"},
    {EALREADY, AT_WRITE, is_elsewhere_bound, "already moving to %t; abort that first"},
    {ENXIO, AT_WRITE, is_unknown, "there is no host %w; see .control/hosts"},
    {EEXIST, AT_WRITE, is_alias, "%h is the same storage as %a"},
    {EHOSTDOWN, AT_WRITE, is_down, "%h is down; see .control/hosts/%h/last_error"},
    {ECONNREFUSED, AT_WRITE, is_draining, "%h is draining and takes no volumes"},
    {EROFS, AT_WRITE, is_read_only, "%h is read-only"},
    {EEXIST, AT_WRITE, is_taken, "%h has something named %v already"},
    {EFBIG, AT_WRITE, is_too_big, "%h takes no file of more than %m bytes, %v has %s"},
    {ENOSPC, AT_ANSWER, is_full, "%h has %f bytes free, needs %n"},
    {ENOBUFS, AT_WRITE, is_queue_full,
     "the queue is full: see .control/jobs and .control/max_queue"},
    {EIO, AT_WRITE, is_in_doubt, "the catalogue is in doubt: restart ferryfs"},
};

static void fill_in(struct text *out, char what, const struct question *q)
{
    switch (what) {
    case 'h':
        text_add_escaped(out, q->host->name);
        break;
    case 'a':
        text_add_escaped(out, q->host->alias_of);
        break;
    case 't':
        text_add_escaped(out, q->volume->target);
        break;
    case 'v':
        text_add_escaped(out, q->volume->name);
        break;
    case 'w':
        text_add_escaped(out, q->word);
        break;
    case 'm':
        text_add(out, "%" PRIu64, q->host->max_file_bytes);
        break;
    case 's':
        text_add(out, "%" PRIu64, q->volume->size_bytes);
        break;
    case 'f':
        text_add(out, "%" PRIu64, available(q->host));
        break;
    default:
        text_add(out, "%" PRIu64, q->volume->allocated_bytes);
        break;
    }
}

static int refuse(const struct refusal *row, const struct question *q, struct err *e)
{
    struct text text = {0};
    int r;

    for (const char *c = row->text; *c; c++) {
        if (c[0] == '%')
            fill_in(&text, *++c, q);
        else
            text_add(&text, "%c", *c);
    }
    r = err_set(e, row->code, "%s", text.bytes ? text.bytes : "");
    text_deinit(&text);
    return r;
}

/* last: the rows up to this place of refusal are asked. */
static int ask(const struct question *q, int last, struct err *e)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if ((int)refusals[i].at <= last && refusals[i].applies(q))
            return refuse(&refusals[i], q, e);
    return 0;
}

int refuse_at_open(const struct view *view, const struct view_volume *volume, struct err *e)
{
    struct question q = {view, volume, NULL, ""};

    return ask(&q, AT_OPEN, e);
}

int refuse_at_write(const struct view *view, const struct view_volume *volume,
                    const struct view_host *host, const char *word, struct err *e)
{
    struct question q = {view, volume, host, word};

    return ask(&q, AT_WRITE, e);
}

int refuse_at_answer(const struct view *view, const struct view_volume *volume,
                     const struct view_host *host, struct err *e)
{
    struct question q = {view, volume, host, host->name};

    return ask(&q, AT_ANSWER, e);
}

struct candidate {
    const struct view_host *host;
    struct err e;
};

static int better(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if ((x->e.code == 0) != (y->e.code == 0))
        return x->e.code == 0 ? -1 : 1;
    if (available(x->host) != available(y->host))
        return available(x->host) > available(y->host) ? -1 : 1;
    return x->host->number < y->host->number ? -1 : 1;
}

/* Every other host, judged and sorted. Returns how many; *ret is for free(), NULL without memory.
 */
static size_t judge_all(const struct view *view, const struct view_volume *volume,
                        struct candidate **ret)
{
    struct candidate *all = calloc(view->n_hosts + 1, sizeof(*all));
    size_t n = 0;

    *ret = all;
    for (size_t i = 0; i < view->n_hosts && all; i++) {
        const struct view_host *host = view->hosts[i];

        if (strcmp(host->name, volume->host) == 0)
            continue;
        all[n].host = host;
        refuse_at_answer(view, volume, host, &all[n].e);
        n++;
    }
    if (n > 1)
        qsort(all, n, sizeof(*all), better);
    return n;
}

void refuse_candidates(const struct view *view, const struct view_volume *volume, struct text *out)
{
    struct candidate *all;
    size_t n = judge_all(view, volume, &all);

    for (size_t i = 0; i < n; i++) {
        text_add_escaped(out, all[i].host->name);
        if (all[i].e.code)
            text_add(out, " %s %s", err_name(all[i].e.code), all[i].e.text);
        else
            text_add(out, " ok");
        text_add(out, " %" PRIu64 "\n", available(all[i].host));
    }
    if (n == 0)
        text_add(out, "null\n");
    free(all);
}

size_t refuse_choose(const struct view *view, const struct view_volume *volume, uint64_t **ret,
                     struct err *e)
{
    struct candidate *all;
    size_t n_all = judge_all(view, volume, &all), n = 0;
    uint64_t *hosts = calloc(n_all + 1, sizeof(*hosts));
    struct err early;

    for (size_t i = 0; i < n_all && hosts; i++)
        if (refuse_at_write(view, volume, all[i].host, all[i].host->name, &early) == 0)
            hosts[n++] = all[i].host->number;
    if (!hosts)
        err_set(e, ENOMEM, "no memory");
    else if (n == 0 && n_all > 0)
        *e = all[0].e;
    else if (n == 0)
        err_set(e, ENXIO, "there is no other host");
    free(all);
    *ret = hosts;
    return n;
}
