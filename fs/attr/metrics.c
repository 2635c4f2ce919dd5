/*
 * .control/metrics: the view as numbers, in the text format of Prometheus.
 *
 * Source: prometheus.io/docs/instrumenting/exposition_formats, and practices/naming beside it.
 * What a thing is called is a label; what changes about it and is no number is a label of an _info
 * metric, whose value is 1, so that the numbers' series go on when it changes.
 */
#include <string.h>

#include "fs/attr/rows.h"

/* Every volume has lines as long as there are not more; of those beyond only jobs are told. */
#define VOLUMES_MAX 1000

struct family {
    const char *name, *type, *help;
    /* Its samples, none or more. */
    void (*add)(const struct family *family, const struct view *view, struct text *out);
    size_t at, size; /* of the number or flag that is shown, in what `add` goes through */
};

static uint64_t value_at(const struct family *family, const void *thing)
{
    const char *at = (const char *)thing + family->at;
    uint64_t number;

    if (family->size == sizeof(bool))
        return *(const bool *)at;
    memcpy(&number, at, sizeof(number));
    return number;
}

/* NAME="VALUE" behind a brace or a comma. */
static void add_label(struct text *out, const char *before, const char *name, const char *value)
{
    text_add(out, "%s%s=\"", before, name);
    for (; *value; value++)
        if (*value == '\n')
            text_add(out, "\\n");
        else
            text_add(out, *value == '\\' || *value == '"' ? "\\%c" : "%c", *value);
    text_add(out, "\"");
}

static void add_sample(const struct family *family, const char *label, const char *value,
                       uint64_t number, struct text *out)
{
    text_add(out, "%s", family->name);
    add_label(out, "{", label, value);
    text_add(out, "} %" PRIu64 "\n", number);
}

static void add_build(const struct family *family, const struct view *view, struct text *out)
{
    (void)view;
    add_sample(family, "version", FERRYFS_VERSION, 1, out);
}

static void add_number(const struct family *family, const struct view *view, struct text *out)
{
    text_add(out, "%s %" PRIu64 "\n", family->name, value_at(family, view));
}

static void add_healthy(const struct family *family, const struct view *view, struct text *out)
{
    static const char degraded[] = "degraded ";
    bool is = strncmp(view->health, degraded, sizeof(degraded) - 1) == 0;

    text_add(out, "%s %d\n", family->name, is ? 0 : 1);
}

static void add_recovering(const struct family *family, const struct view *view, struct text *out)
{
    size_t n = 0;

    for (size_t i = 0; i < view->n_volumes; i++)
        n += view_volume_nth(view, i)->recovering ? 1 : 0;
    text_add(out, "%s %zu\n", family->name, n);
}

static void add_by_status(const struct family *family, const struct view *view, struct text *out)
{
    uint64_t n[VOLUME_STATUS_N] = {0};

    for (size_t i = 0; i < view->n_volumes; i++)
        n[view_volume_nth(view, i)->status]++;
    for (int status = 0; status < VOLUME_STATUS_N; status++)
        add_sample(family, "status", volume_status_names[status], n[status], out);
}

static void add_by_result(const struct family *family, const struct view *view, struct text *out)
{
    for (int result = RESULT_NULL + 1; result < RESULT_N; result++)
        add_sample(family, "result", result_names[result], view->totals.n_ended[result], out);
}

static void add_durations(const struct family *family, const struct view *view, struct text *out)
{
    const struct totals *totals = &view->totals;
    uint64_t n_all = totals->n_ended[RESULT_SUCCESS], n = 0;

    for (int i = 0; i < TOTALS_BOUNDS; i++) {
        n += totals->n_within[i];
        text_add(out, "%s_bucket{le=\"%" PRIu64 "\"} %" PRIu64 "\n", family->name,
                 totals_bounds_s[i], n);
    }
    text_add(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", family->name, n_all);
    text_add(out, "%s_sum %" PRIu64 "\n", family->name, totals->sum_s);
    text_add(out, "%s_count %" PRIu64 "\n", family->name, n_all);
}

static void add_hosts(const struct family *family, const struct view *view, struct text *out)
{
    for (size_t i = 0; i < view->n_hosts; i++)
        add_sample(family, "host", view->hosts[i]->name, value_at(family, view->hosts[i]), out);
}

/* The next volume that has lines, from *at on; NULL: no more. */
static const struct view_volume *next_told(const struct view *view, size_t *at)
{
    while (*at < view->n_volumes) {
        const struct view_volume *volume = view_volume_nth(view, (*at)++);

        if (view->n_volumes <= VOLUMES_MAX || volume->has_job)
            return volume;
    }
    return NULL;
}

static void add_left_out(const struct family *family, const struct view *view, struct text *out)
{
    size_t n = view->n_volumes;

    for (size_t at = 0; next_told(view, &at);)
        n--;
    text_add(out, "%s %zu\n", family->name, n);
}

static void add_volumes(const struct family *family, const struct view *view, struct text *out)
{
    const struct view_volume *volume;

    for (size_t at = 0; (volume = next_told(view, &at));)
        add_sample(family, "volume", volume->name, value_at(family, volume), out);
}

static void add_volume_infos(const struct family *family, const struct view *view, struct text *out)
{
    const struct view_volume *volume;

    for (size_t at = 0; (volume = next_told(view, &at));) {
        text_add(out, "%s", family->name);
        add_label(out, "{", "volume", volume->name);
        add_label(out, ",", "host", volume->host);
        add_label(out, ",", "status", volume_status_names[volume->status]);
        text_add(out, "} 1\n");
    }
}

static void add_job_infos(const struct family *family, const struct view *view, struct text *out)
{
    for (size_t i = 0; i < view->n_volumes; i++) {
        const struct view_volume *volume = view_volume_nth(view, i);

        if (!volume->has_job)
            continue;
        text_add(out, "%s", family->name);
        add_label(out, "{", "volume", volume->name);
        add_label(out, ",", "target", volume->target);
        add_label(out, ",", "phase", volume->phase);
        text_add(out, "} 1\n");
    }
}

/* A number of the meter of a job; UINT64_MAX: not known, or there is no job. */
static uint64_t known_at(const struct family *family, const struct view_volume *volume)
{
    if (!volume->has_job || !volume->meter)
        return UINT64_MAX;
    return atomic_load((const _Atomic uint64_t *)((const char *)volume->meter + family->at));
}

static void add_jobs(const struct family *family, const struct view *view, struct text *out)
{
    for (size_t i = 0; i < view->n_volumes; i++) {
        const struct view_volume *volume = view_volume_nth(view, i);
        uint64_t number = known_at(family, volume);

        if (number != UINT64_MAX)
            add_sample(family, "volume", volume->name, number, out);
    }
}

static void add_job_ratios(const struct family *family, const struct view *view, struct text *out)
{
    for (size_t i = 0; i < view->n_volumes; i++) {
        const struct view_volume *volume = view_volume_nth(view, i);
        uint64_t percent = known_at(family, volume);

        if (percent == UINT64_MAX)
            continue;
        text_add(out, "%s", family->name);
        add_label(out, "{", "volume", volume->name);
        text_add(out, "} %" PRIu64 ".%02" PRIu64 "\n", percent / 100, percent % 100);
    }
}

#define GAUGE(name_, help_, ...)                                                                   \
    {                                                                                              \
        "ferryfs_" name_, "gauge", help_, __VA_ARGS__                                              \
    }
#define COUNTER(name_, help_, ...)                                                                 \
    {                                                                                              \
        "ferryfs_" name_ "_total", "counter", help_, __VA_ARGS__                                   \
    }
#define MEMBER(struct_, member)                                                                    \
    offsetof(struct struct_, member), sizeof(((struct struct_ *)0)->member)
#define OF_SERVICE(member) add_number, MEMBER(view, member)
#define OF_HOST(member)    add_hosts, MEMBER(view_host, member)
#define OF_VOLUME(member)  add_volumes, MEMBER(view_volume, member)
#define OF_JOB(member)     add_jobs, MEMBER(meter, member)

static const struct family families[] = {
    GAUGE("build_info", "1, with the version.", add_build),
    GAUGE("start_time_seconds", "When the daemon began, in unix time; its counters were 0 then.",
          OF_SERVICE(totals.began_at_s)),
    GAUGE("healthy", "0 if .control/health says degraded, else 1.", add_healthy),
    GAUGE("jobs_recovering", "Jobs whose evidence is not judged yet, since a start or a lost pool.",
          add_recovering),
    GAUGE("jobs_running", "Jobs at work.", OF_SERVICE(n_running)),
    GAUGE("jobs_queued", "Jobs that wait for their turn.", OF_SERVICE(n_queued)),
    GAUGE("max_jobs", "Jobs that may be at work at once.", OF_SERVICE(max_jobs)),
    GAUGE("max_queue", "Jobs that may wait.", OF_SERVICE(max_queue)),
    COUNTER("migrations_accepted", "Migrations accepted.", OF_SERVICE(totals.n_accepted)),
    COUNTER("requests_refused", "Commands refused, whatever they asked for.",
            OF_SERVICE(totals.n_refused)),
    COUNTER("migrations", "Migrations ended, as the history has them.", add_by_result),
    {"ferryfs_migration_duration_seconds", "histogram",
     "From start to end of the migrations that succeeded.", add_durations},
    COUNTER("copied_bytes", "Bytes written to destinations.", OF_SERVICE(totals.copied_bytes)),
    COUNTER("zero_bytes", "Bytes read that were zero and left out.", OF_SERVICE(totals.zero_bytes)),
    COUNTER("verified_bytes", "Bytes read back and compared.", OF_SERVICE(totals.verified_bytes)),
    COUNTER("checkpoints", "Checkpoints recorded.", OF_SERVICE(totals.n_checkpoints)),
    COUNTER("resumes", "Times that a job was taken up again.", OF_SERVICE(totals.n_resumes)),
    GAUGE("host_up", "1 if the host is up.", OF_HOST(up)),
    GAUGE("host_draining", "1 if no volume may move there.", OF_HOST(drain)),
    GAUGE("host_capacity_bytes", "Size of its storage.", OF_HOST(capacity_bytes)),
    GAUGE("host_free_bytes", "Free in its storage.", OF_HOST(free_bytes)),
    GAUGE("host_reserved_bytes", "Promised to jobs and not written yet.", OF_HOST(reserved_bytes)),
    GAUGE("host_volumes", "Volumes that are there.", OF_HOST(n_volumes)),
    GAUGE("host_jobs", "Jobs that read or write there.", OF_HOST(n_jobs)),
    GAUGE("host_max_jobs", "Jobs that may run there at once.", OF_HOST(max_jobs)),
    GAUGE("volumes", "Volumes by status.", add_by_status),
    GAUGE("volumes_left_out",
          "Volumes without lines of their own: of more than 1000, those that have no job.",
          add_left_out),
    GAUGE("volume_info", "1, with the volume's host and status.", add_volume_infos),
    GAUGE("volume_size_bytes", "Size of the volume.", OF_VOLUME(size_bytes)),
    GAUGE("volume_allocated_bytes", "Bytes of it that are really used.",
          OF_VOLUME(allocated_bytes)),
    GAUGE("volume_migrating", "1 if the volume has a job.", OF_VOLUME(has_job)),
    GAUGE("migration_info", "1, with target and phase of a job.", add_job_infos),
    GAUGE("migration_progress_ratio", "How much of a job is done, from 0 to 1.", add_job_ratios,
          MEMBER(meter, percent)),
    GAUGE("migration_rate_bytes_per_second", "How fast a job was in the last 10 s.",
          OF_JOB(rate_bytes_per_s)),
    GAUGE("migration_eta_seconds", "How long a job still takes, where that is known.",
          OF_JOB(eta_s)),
};

void metrics_add(const struct view *view, struct text *out)
{
    for (size_t i = 0; i < ARRAY_N(families); i++) {
        const struct family *family = &families[i];

        text_add(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                 family->type);
        family->add(family, view, out);
    }
}

void attr_describe_metrics(struct text *out)
{
    for (size_t i = 0; i < ARRAY_N(families); i++)
        text_add(out, "%s\t%s\t%s\n", families[i].name, families[i].type, families[i].help);
}
