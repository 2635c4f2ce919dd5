/*
 * VOLUME/migrate/: the last migration, and how to ask for another.
 */
#include <string.h>

#include "fs/attr/rows.h"

static uint64_t live(const struct view_volume *volume, const _Atomic uint64_t *counter,
                     uint64_t recorded)
{
    uint64_t value = volume->meter ? atomic_load(counter) : recorded;

    return value == UINT64_MAX ? 0 : value;
}
#define LIVE(volume, counter)                                                                      \
    live(volume, (volume)->meter ? &(volume)->meter->counter : NULL,                               \
         view_volume_stat(volume)->counter)

static void target_show(const struct attr_of *of, struct text *out)
{
    const struct view_volume *volume = of->volume;

    row_word(out, volume->target[0] ? volume->target : volume->host);
}

static void status_show(const struct attr_of *of, struct text *out)
{
    row_word(out, of->volume->result);
}

static void phase_show(const struct attr_of *of, struct text *out)
{
    row_word(out, of->volume->phase ? of->volume->phase : "idle");
}

static bool succeeded(const struct view_volume *volume)
{
    return volume->result && strcmp(volume->result, result_names[RESULT_SUCCESS]) == 0;
}

/* After a restart the last job's meter is gone: of a success the percent is known all the same. */
static void progress_show(const struct attr_of *of, struct text *out)
{
    const struct view_volume *volume = of->volume;
    uint64_t percent = UINT64_MAX;

    if (volume->meter)
        percent = atomic_load(&volume->meter->percent);
    else if (succeeded(volume))
        percent = 100;
    if (volume->job == 0 || percent == UINT64_MAX)
        row_word(out, NULL);
    else
        row_number(out, percent);
}

static void eta_show(const struct attr_of *of, struct text *out)
{
    const struct view_volume *volume = of->volume;
    uint64_t eta_s = UINT64_MAX;

    if (volume->has_job && volume->meter)
        eta_s = atomic_load(&volume->meter->eta_s);
    if (eta_s == UINT64_MAX)
        row_word(out, NULL);
    else
        row_number(out, eta_s);
}

static void rate_show(const struct attr_of *of, struct text *out)
{
    const struct view_volume *volume = of->volume;
    uint64_t rate = 0;

    if (volume->has_job && volume->meter)
        rate = atomic_load(&volume->meter->rate_bytes_per_s);
    row_number(out, rate == UINT64_MAX ? 0 : rate);
}

/* 0: no limit, or no job. */
static uint64_t speed_effective(const struct view_volume *volume)
{
    uint64_t speed = SPEED_MAX;

    if (volume->has_job && volume->meter)
        speed = atomic_load(&volume->meter->speed_bytes_per_s);
    return speed == SPEED_MAX ? 0 : speed;
}

/* The keys of INTERFACE in its order; what no job can have yet is 0. */
static void stat_show(const struct attr_of *of, struct text *out)
{
    const struct view_volume *volume = of->volume;
    const struct job_stat *stat = view_volume_stat(volume);
    const struct {
        const char *key;
        uint64_t value;
    } lines[] = {
        {"job", volume->job},
        {"queued_at", stat->queued_at_s},
        {"started_at", stat->started_at_s},
        {"ended_at", stat->ended_at_s},
        {"bytes_total", stat->total_bytes},
        {"bytes_done", LIVE(volume, done_bytes)},
        {"bytes_copied", LIVE(volume, copied_bytes)},
        {"bytes_zero", LIVE(volume, zero_bytes)},
        {"bytes_hole", LIVE(volume, hole_bytes)},
        {"bytes_skipped", LIVE(volume, skipped_bytes)},
        {"bytes_verified", LIVE(volume, verified_bytes)},
        {"pass", stat->pass},
        {"bytes_dirty", 0},
        {"checkpoint", stat->checkpoint_bytes},
        {"resumes", stat->resumes},
        {"speed_effective", speed_effective(volume)},
        {"downtime_ms", 0},
        {"claim_weak", stat->claim_weak},
    };

    for (size_t i = 0; i < ARRAY_N(lines); i++)
        text_add(out, "%s %" PRIu64 "\n", lines[i].key, lines[i].value);
}

static void message_show(const struct attr_of *of, struct text *out)
{
    row_word(out, of->volume->message);
}

static void error_show(const struct attr_of *of, struct text *out)
{
    row_word(out, of->volume->error);
}

static void abort_show(const struct attr_of *of, struct text *out)
{
    row_number(out, of->volume->aborting ? 1 : 0);
}

static void wait_show(const struct attr_of *of, struct text *out)
{
    status_show(of, out);
}

static bool wait_ready(const struct attr_of *of)
{
    return !of->volume->has_job;
}

static void candidates_show(const struct attr_of *of, struct text *out)
{
    refuse_candidates(of->view, of->volume, out);
}

static void show_option(const struct attr_of *of, struct text *out, enum volume_option option)
{
    row_option(out, &volume_options[option], option_of(of->volume->options, option));
}

static void speed_show(const struct attr_of *of, struct text *out)
{
    show_option(of, out, VOLUME_OPTION_SPEED);
}

static void pause_show(const struct attr_of *of, struct text *out)
{
    show_option(of, out, VOLUME_OPTION_PAUSE);
}

static void verify_show(const struct attr_of *of, struct text *out)
{
    show_option(of, out, VOLUME_OPTION_VERIFY);
}

static void keep_show(const struct attr_of *of, struct text *out)
{
    show_option(of, out, VOLUME_OPTION_KEEP);
}

static void retained_show(const struct attr_of *of, struct text *out)
{
    row_word(out, of->volume->retained);
}

static const struct attr rows[] = {
    ATTR_RW(target, "write a host's name, or auto, to move the volume there",
            .wakes_on = EVENT_TARGET, .admit = service_admit_target),
    ATTR_RO(status, "null, starting, migrating, completing, success, error or aborted",
            .wakes_on = EVENT_RESULT, .touched = true),
    ATTR_RO(phase,
            "idle, queued, reserving, copying, catching-up, verifying, switching, cleaning, "
            "paused, stopped or rolling-back",
            .wakes_on = EVENT_PHASE),
    ATTR_RO(progress, "0 to 100, 100 only with success; null if there is none or it is unknown",
            .wakes_on = EVENT_PROGRESS),
    ATTR_RO(eta, "seconds to the end, null while unknown", .wakes_on = EVENT_PROGRESS),
    ATTR_RO(rate, "bytes/s over the last 10 s", .wakes_on = EVENT_PROGRESS),
    ATTR_RO(stat, "numbers of the job under way or the last, a line each: key number",
            .wakes_on = EVENT_PROGRESS),
    ATTR_RO(message, "the answer to the last request", .wakes_on = EVENT_MESSAGE),
    ATTR_RO(error, "ERRNO phase offset text of the last job, or null", .wakes_on = EVENT_ERROR),
    ATTR_RW(abort, "write 1 to stop the job and put the volume back", .wakes_on = EVENT_ABORT,
            .admit = service_admit_abort),
    ATTR_RO(wait, "blocks until no job runs, then the status word", .wakes_on = EVENT_PHASE,
            .ready = wait_ready, .unlisted = true),
    ATTR_RO(candidates, "every other host, best first: HOST ok or HOST ERRNO reason, free bytes",
            .wakes_on = EVENT_HOST),
    ATTR_RW(pause, "1: the job stands still until 0 is written; it can be aborted",
            .wakes_on = EVENT_SETTING),
    ATTR_RW(speed, "bytes/s at most, or max; K, M, G and T are powers of 1024",
            .wakes_on = EVENT_SETTING),
    ATTR_RW(verify, "full or off: read back and compare what was copied; not while a job runs",
            .wakes_on = EVENT_SETTING),
    ATTR_RW(keep,
            "seconds the old source is retained after a success, 0: not; not while a job runs",
            .wakes_on = EVENT_SETTING),
    ATTR_RW(retained,
            "HOST bytes expires of the old source that is kept, or null; write drop, or restore to "
            "make it the volume again if nothing was written since",
            .wakes_on = EVENT_RETAINED, .admit = service_admit_retained),
};

const struct attr_dir migrate_dir = {
    .name = "migrate",
    .about = ABOUT_VOLUME,
    .id = ATTR_DIR_MIGRATE,
    .parent = ATTR_DIR_VOLUME,
    .attrs = rows,
    .n_attrs = ARRAY_N(rows),
    .help = "the volume's migration",
};
