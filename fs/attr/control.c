/*
 * .control/: the service itself.
 */
#include "fs/attr/rows.h"

static void version_show(const struct attr_of *of, struct text *out)
{
    (void)of;
    row_word(out, FERRYFS_VERSION);
}

static void help_show(const struct attr_of *of, struct text *out)
{
    (void)of;
    attr_describe(out);
    text_add(
        out,
        "\nWhat a file sets holds until it is written again or ferryfs ends; then it is what the\n"
        "configuration says, see ferryfs(5).\n");
}

static void health_show(const struct attr_of *of, struct text *out)
{
    row_text(out, of->view->health);
}

static void jobs_show(const struct attr_of *of, struct text *out)
{
    row_text(out, of->view->jobs);
}

static void history_show(const struct attr_of *of, struct text *out)
{
    row_text(out, of->view->history);
}

static void hidden_show(const struct attr_of *of, struct text *out)
{
    row_text(out, of->view->hidden);
}

static void metrics_show(const struct attr_of *of, struct text *out)
{
    metrics_add(of->view, out);
}

static struct feed *events_feed(const struct attr_of *of)
{
    return of->view->events;
}

static void rescan_show(const struct attr_of *of, struct text *out)
{
    (void)of;
    row_number(out, 0);
}

static void max_jobs_show(const struct attr_of *of, struct text *out)
{
    row_option(out, &max_jobs_option, of->view->max_jobs);
}

static void max_queue_show(const struct attr_of *of, struct text *out)
{
    row_option(out, &max_queue_option, of->view->max_queue);
}

static void pause_show(const struct attr_of *of, struct text *out)
{
    row_option(out, &pause_option, of->view->pause);
}

static void speed_show(const struct attr_of *of, struct text *out)
{
    row_option(out, &speed_option, of->view->speed_bytes_per_s);
}

static const struct attr rows[] = {
    ATTR_RO(version, "the version of ferryfs"),
    ATTR_RO(help,
            "every file: path, mode and meaning, with tabs between; then what else holds for all"),
    ATTR_RO(health, "ok, recovering N, or degraded and why", .wakes_on = EVENT_HEALTH),
    ATTR_RO(jobs, "a line a job: volume source destination phase percent eta rate method",
            .wakes_on = EVENT_JOBS),
    ATTR_RO(history,
            "newest first: job volume start end source destination result errno bytes seconds uid",
            .wakes_on = EVENT_HISTORY),
    ATTR_RO(metrics, "numbers for Prometheus, in its text format", .wakes_on = EVENT_METRICS),
    ATTR_FEED(events, "a JSON object a line, one for each change; grows, and starts anew at 16 MiB",
              .wakes_on = EVENT_TOLD, .touched = true),
    ATTR_SECRET(hidden, "hidden copies, a line each: uuid role volume host bytes since",
                .wakes_on = EVENT_HIDDEN),
    ATTR_RW(rescan, "write 1 to look at the pools again"),
    ATTR_RW(max_jobs, "jobs that run at once, the others wait", .wakes_on = EVENT_SETTING),
    ATTR_RW(max_queue, "jobs that may wait", .wakes_on = EVENT_SETTING),
    ATTR_RW(pause, "1: no job moves a byte, and none begins, until 0 is written",
            .wakes_on = EVENT_SETTING),
    ATTR_RW(speed, "bytes/s of all jobs together, or max", .wakes_on = EVENT_SETTING),
};

const struct attr_dir control_dir = {
    .name = ".control",
    .about = ABOUT_SERVICE,
    .id = ATTR_DIR_CONTROL,
    .parent = ATTR_DIR_ROOT,
    .attrs = rows,
    .n_attrs = ARRAY_N(rows),
    .help = "the service",
};

const struct attr_dir hosts_dir = {
    .name = "hosts",
    .about = ABOUT_SERVICE,
    .id = ATTR_DIR_HOSTS,
    .parent = ATTR_DIR_CONTROL,
    .help = "the hosts, a directory each",
};
