/*
 * .control/hosts/HOST/: a place that can hold volumes.
 */
#include "fs/attr/rows.h"

static void state_show(const struct attr_of *of, struct text *out)
{
    row_word(out, of->host->up ? "up" : "down");
}

static void driver_show(const struct attr_of *of, struct text *out)
{
    row_word(out, of->host->driver);
}

static void address_show(const struct attr_of *of, struct text *out)
{
    row_word(out, of->host->path);
}

static void capacity_show(const struct attr_of *of, struct text *out)
{
    row_number(out, of->host->capacity_bytes);
}

static void free_show(const struct attr_of *of, struct text *out)
{
    row_number(out, of->host->free_bytes);
}

static void reserved_show(const struct attr_of *of, struct text *out)
{
    row_number(out, of->host->reserved_bytes);
}

static void volumes_show(const struct attr_of *of, struct text *out)
{
    row_number(out, of->host->n_volumes);
}

static void jobs_show(const struct attr_of *of, struct text *out)
{
    row_number(out, of->host->n_jobs);
}

static void last_error_show(const struct attr_of *of, struct text *out)
{
    row_word(out, of->host->last_error);
}

static void drain_show(const struct attr_of *of, struct text *out)
{
    row_option(out, &drain_option, of->host->drain ? 1 : 0);
}

static void max_jobs_show(const struct attr_of *of, struct text *out)
{
    row_option(out, &max_jobs_option, of->host->max_jobs);
}

static void speed_show(const struct attr_of *of, struct text *out)
{
    row_option(out, &speed_option, of->host->speed_bytes_per_s);
}

/* What came after the beginning has gone too. */
static void evacuate_show(const struct attr_of *of, struct text *out)
{
    const struct view_host *host = of->host;
    uint64_t n = host->n_gone + host->n_failed;

    if (host->was_evacuated)
        text_add(out, "%" PRIu64 "/%" PRIu64 " %" PRIu64 "\n", host->n_gone,
                 n > host->n_to_go ? n : host->n_to_go, host->n_failed);
    else
        row_word(out, NULL);
}

static const struct attr rows[] = {
    ATTR_RO(state, "up or down", .wakes_on = EVENT_HOST),
    ATTR_RO(driver, "what kind of storage it is"),
    ATTR_SECRET(address, "where its storage is"),
    ATTR_RO(capacity, "bytes", .wakes_on = EVENT_HOST),
    ATTR_RO(free, "bytes", .wakes_on = EVENT_HOST),
    ATTR_RO(reserved, "bytes promised to jobs and not written yet", .wakes_on = EVENT_HOST),
    ATTR_RO(volumes, "how many volumes are there", .wakes_on = EVENT_HOST),
    ATTR_RO(jobs, "how many jobs read or write there", .wakes_on = EVENT_HOST),
    ATTR_RO(last_error, "what last went wrong there, or null", .wakes_on = EVENT_HOST),
    ATTR_RW(drain, "1: no volume is moved there", .wakes_on = EVENT_HOST),
    ATTR_RW(evacuate,
            "auto or a host: all volumes go there, and none comes; 0: no more; reads done/total "
            "failed, or null",
            .wakes_on = EVENT_HOST),
    ATTR_RW(max_jobs, "jobs that run there at once", .wakes_on = EVENT_SETTING),
    ATTR_RW(speed, "bytes/s of all its jobs together, or max", .wakes_on = EVENT_SETTING),
};

const struct attr_dir host_dir = {
    .name = NULL,
    .about = ABOUT_HOST,
    .id = ATTR_DIR_HOST,
    .parent = ATTR_DIR_HOSTS,
    .attrs = rows,
    .n_attrs = ARRAY_N(rows),
    .help = "a host",
};
