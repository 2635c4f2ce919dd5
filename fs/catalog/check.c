/*
 * --check-catalogue: what is in a catalogue. tdb repairs what it opens, so a copy in memory is
 * opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "fs/catalog/state.h"

#define UUID_TEXT 37

static int describe_volume(const struct volume *volume, void *arg)
{
    struct text *report = arg;
    char uuid[UUID_TEXT], primary[UUID_TEXT];

    uuid_unparse_lower(volume->uuid, uuid);
    uuid_unparse_lower(volume->primary, primary);
    text_add(report, "volume %s %s number %" PRIu64 " host %s copy %s epoch %" PRIu64 " %s", uuid,
             volume->name, volume->number, volume->host, primary, volume->epoch,
             volume_status_names[volume->status]);
    if (volume->status == VOLUME_MIGRATING)
        text_add(report, " (was %s)", volume_status_names[volume->previous_status]);
    text_add(report, " last %" PRIu64 " %s\n", volume->last_job, result_names[volume->last_result]);
    return 0;
}

static int describe_copy(const struct copy *copy, void *arg)
{
    static const char *const states[COPY_STATE_N] = {
        [COPY_INTENT] = "intent",
        [COPY_MADE] = "made",
        [COPY_SEALED] = "sealed",
    };
    char cid[UUID_TEXT], volume[UUID_TEXT], expires[TEXT_TIME_BYTES];

    uuid_unparse_lower(copy->cid, cid);
    uuid_unparse_lower(copy->volume, volume);
    text_add(arg,
             "copy %s of %s %s host %s %s %s inode %" PRIu64 " bytes %" PRIu64 " epoch %" PRIu64,
             cid, volume, copy->name, copy->host, copy_role_names[copy->role], states[copy->state],
             copy->identity.ino, copy->size_bytes, copy->epoch);
    if (copy->role == COPY_RETAINED) {
        text_time((time_t)copy->expires_s, expires);
        text_add(arg, " until %s%s", expires, copy->hidden ? "" : ", not hidden yet");
    }
    text_add(arg, "\n");
    return 0;
}

static int describe_job(const struct job *job, void *arg)
{
    struct text *report = arg;
    char volume[UUID_TEXT];

    uuid_unparse_lower(job->volume, volume);
    text_add(report, "job %" PRIu64 " volume %s %s -> %s phase ", job->number, volume, job->source,
             job->destination);
    text_add_escaped(report, job->phase);
    text_add(report, " checkpoint %" PRIu64 " of %" PRIu64 " bytes%s", job->stat.checkpoint_bytes,
             job->stat.total_bytes, job->abort ? ", aborted" : "");
    if (job->error != 0)
        text_add(report, ", %s", err_name(job->error));
    if (job->restore)
        text_add(report, ", a restore");
    if (job->keep_s != 0)
        text_add(report, ", keeps its source %" PRIu64 " s", job->keep_s);
    text_add(report, "\n");
    return 0;
}

static int describe_pool(const struct pool *pool, void *arg)
{
    char uuid[UUID_TEXT];

    uuid_unparse_lower(pool->uuid, uuid);
    text_add(arg, "pool %s %s\n", pool->host, uuid);
    return 0;
}

static int describe_evacuation(const struct evacuation *evacuation, void *arg)
{
    text_add(arg,
             "evacuation %s -> %s from job %" PRIu64 " on, %" PRIu64 " of %" PRIu64
             " done, %" PRIu64 " failed%s, uid %u\n",
             evacuation->host, evacuation->target, evacuation->first_job, evacuation->done,
             evacuation->total, evacuation->failed, evacuation->over ? ", over" : "",
             evacuation->uid);
    return 0;
}

static int describe_history(const struct history *history, void *arg)
{
    char start[TEXT_TIME_BYTES], end[TEXT_TIME_BYTES];

    text_time((time_t)history->started_at_s, start);
    text_time((time_t)history->ended_at_s, end);
    text_add(arg, "history %" PRIu64 " %s %s %s %s -> %s %s%s%s bytes %" PRIu64 " uid %u\n",
             history->job, history->name, start, end, history->source, history->destination,
             result_names[history->result], history->error != 0 ? " " : "",
             history->error != 0 ? err_name(history->error) : "", history->bytes, history->uid);
    return 0;
}

static int describe(const struct catalog *catalog, struct text *report)
{
    int r;

    r = catalog_each_volume(catalog, describe_volume, report);
    if (r == 0)
        r = catalog_each_copy(catalog, describe_copy, report);
    if (r == 0)
        r = catalog_each_job(catalog, describe_job, report);
    if (r == 0)
        r = catalog_each_pool(catalog, describe_pool, report);
    if (r == 0)
        r = catalog_each_evacuation(catalog, describe_evacuation, report);
    if (r == 0)
        r = catalog_each_history(catalog, describe_history, report);
    return r;
}

static void summarize(const struct catalog *catalog, bool tidy, unsigned format,
                      const char *verdict, struct text *report)
{
    bool anew = !tidy || (format != 0 && format != RECORD_FORMAT);
    size_t n[RECORD_KIND_N] = {0};

    for (const struct entry *e = image_next(&catalog->image, NULL); e;
         e = image_next(&catalog->image, e))
        n[entry_kind(e)]++;
    text_add(
        report,
        "%s: format %u, generation %" PRIu64
        ", %zu volumes, %zu copies, %zu jobs, %zu pools, %zu evacuations, %zu lines of history%s\n",
        verdict, format, catalog->header.generation, n[RECORD_VOLUME], n[RECORD_COPY],
        n[RECORD_JOB], n[RECORD_POOL], n[RECORD_EVACUATION], n[RECORD_HISTORY],
        anew ? "; the next start makes the file anew" : "");
}

static int open_copy(struct catalog *catalog, const char *state_dir, struct err *e)
{
    OWNED(fd) int fd = -1;
    int r;

    r = place_check_file(&catalog->place, state_dir, PLACE_CATALOGUE, e);
    if (r < 0)
        return r;
    fd = openat(catalog->place.dir, PLACE_CATALOGUE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_set(e, errno, "cannot open %s/" PLACE_CATALOGUE ": %s", state_dir,
                       strerror(errno));
    return store_open_copy(&catalog->store, fd, e);
}

int catalog_check(const char *state_dir, struct text *report, struct err *e)
{
    OWNED(catalog) struct catalog *catalog = calloc(1, sizeof(*catalog));
    unsigned format = 0;
    bool tidy;
    int r, listed;

    if (!catalog)
        return err_set(e, ENOMEM, "no memory for the catalogue");
    catalog->place = PLACE_NONE;
    r = place_open(state_dir, false, &catalog->place, e);
    if (r < 0)
        return r;
    r = open_copy(catalog, state_dir, e);
    if (r < 0)
        return r;
    r = store_load(&catalog->store, &catalog->image, &catalog->header, &tidy, &format, report, e);
    if (r < 0 && r != -EUCLEAN)
        return r;
    listed = describe(catalog, report);
    summarize(catalog, tidy, format, r < 0 ? "damaged" : "sound", report);
    if (listed < 0 || report->failed)
        return err_set(e, ENOMEM, "no memory for the report");
    return r;
}
