/*
 * What is told of an event: a row a key, for .control/events, for the journal's fields and for the
 * environment of `notify` alike.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/events.h"
#include "fs/migrate/migration.h"

static const struct migration *job_of(const struct telling *t)
{
    return t->of->vol ? t->of->vol->migration : NULL;
}

/* A row called `word` has word_add, which adds the value, or nothing where there is none. */

static void time_add(const struct telling *t, struct text *out)
{
    char seconds[TEXT_TIME_BYTES];

    text_time(t->time.tv_sec, seconds);
    text_add(out, "%.19s.%06ldZ", seconds, t->time.tv_nsec / 1000);
}

static void seq_add(const struct telling *t, struct text *out)
{
    text_add(out, "%" PRIu64, t->seq);
}

static void event_add(const struct telling *t, struct text *out)
{
    text_add(out, "%s", t->row->name);
}

static void volume_add(const struct telling *t, struct text *out)
{
    if (t->of->vol)
        text_add(out, "%s", t->of->vol->name);
}

static void uuid_add(const struct telling *t, struct text *out)
{
    char uuid[37];

    if (!t->of->vol)
        return;
    uuid_unparse_lower(t->of->vol->record.uuid, uuid);
    text_add(out, "%s", uuid);
}

static void job_add(const struct telling *t, struct text *out)
{
    if (job_of(t))
        text_add(out, "%" PRIu64, job_of(t)->job.number);
}

static void source_add(const struct telling *t, struct text *out)
{
    if (job_of(t))
        text_add(out, "%s", job_of(t)->job.source);
}

static void destination_add(const struct telling *t, struct text *out)
{
    if (job_of(t))
        text_add(out, "%s", job_of(t)->job.destination);
}

static void phase_add(const struct telling *t, struct text *out)
{
    const struct migration *m = job_of(t);

    if (t->of->phase)
        text_add(out, "%s", t->of->phase);
    else if (m)
        text_add(out, "%s", migration_phase(m));
}

static void percent_add(const struct telling *t, struct text *out)
{
    if (job_of(t))
        text_add(out, "%" PRIu64, atomic_load(&t->of->vol->meter->percent));
}

static void bytes_done_add(const struct telling *t, struct text *out)
{
    if (job_of(t))
        text_add(out, "%" PRIu64, job_of(t)->job.stat.done_bytes);
}

static void bytes_total_add(const struct telling *t, struct text *out)
{
    if (job_of(t))
        text_add(out, "%" PRIu64, job_of(t)->job.stat.total_bytes);
}

static void host_add(const struct telling *t, struct text *out)
{
    if (t->of->host)
        text_add(out, "%s", t->of->host->config.name);
    else if (t->of->vol)
        text_add(out, "%s", t->of->vol->record.host);
}

static void file_add(const struct telling *t, struct text *out)
{
    if (t->of->request)
        text_add(out, "%s", t->of->request->attr);
}

static void uid_add(const struct telling *t, struct text *out)
{
    if (t->of->request)
        text_add(out, "%u", t->of->request->caller.uid);
    else if (job_of(t))
        text_add(out, "%u", job_of(t)->job.uid);
}

static void pid_add(const struct telling *t, struct text *out)
{
    if (t->of->request)
        text_add(out, "%d", t->of->request->caller.pid);
}

static void errno_add(const struct telling *t, struct text *out)
{
    if (t->of->error)
        text_add(out, "%s", err_name(t->of->error));
}

static void text_add_text(const struct telling *t, struct text *out)
{
    text_add(out, "%s", t->text);
}

#define STRING(name_, help_)                                                                       \
    {                                                                                              \
        .name = #name_, .add = name_##_add, .help = help_                                          \
    }
#define NUMBER(name_, help_)                                                                       \
    {                                                                                              \
        .name = #name_, .add = name_##_add, .is_number = true, .help = help_                       \
    }

static const struct key {
    const char *name; /* for programs: never changed */
    void (*add)(const struct telling *t, struct text *out);
    bool is_number;
    const char *help;
} keys[] = {
    STRING(time, "when, in UTC, as RFC 3339 has it"),
    NUMBER(seq, "counts from 1 since the daemon began: a gap is what was missed"),
    STRING(event, "what happened"),
    STRING(volume, "the volume's name"),
    STRING(uuid, "the volume's uuid"),
    NUMBER(job, "the job's number"),
    STRING(source, "the host that the job moves the volume from"),
    STRING(destination, "the host that it moves it to"),
    STRING(phase, "the job's phase; of an error, the one that failed"),
    NUMBER(percent, "the job's progress"),
    NUMBER(bytes_done, "how much of the volume is settled"),
    NUMBER(bytes_total, "the volume's size"),
    STRING(host, "the host; of a volume, the one where it is"),
    STRING(file, "the name of the file that was written"),
    NUMBER(uid, "who wrote it, or who began the job"),
    NUMBER(pid, "the process that wrote it"),
    STRING(errno, "the symbol of an error"),
    {.name = "text", .add = text_add_text, .help = "all of it in words"},
};

static void add_value(const struct key *key, const char *value, struct text *out)
{
    if (!value)
        text_add(out, "null");
    else if (key->is_number)
        text_add(out, "%s", value);
    else
        text_add_json(out, value);
}

void event_keys_json(const struct telling *t, struct text *out)
{
    for (size_t i = 0; i < ARRAY_N(keys); i++) {
        OWNED(text) struct text value = {0};

        keys[i].add(t, &value);
        out->failed |= value.failed;
        text_add(out, "%s\"%s\":", i ? "," : "{", keys[i].name);
        add_value(&keys[i], value.bytes, out);
    }
    text_add(out, "}\n");
}

void event_keys_lines(const struct telling *t, struct text *out)
{
    for (size_t i = 0; i < ARRAY_N(keys); i++) {
        OWNED(text) struct text value = {0};

        keys[i].add(t, &value);
        out->failed |= value.failed;
        if (!value.bytes)
            continue;
        text_add(out, "FERRYFS_");
        for (const char *c = keys[i].name; *c; c++)
            text_add(out, "%c", toupper(*c));
        text_add(out, "=");
        text_add_escaped(out, value.bytes);
        text_add(out, "\n");
    }
}

void event_keys_describe(struct text *out)
{
    for (size_t i = 0; i < ARRAY_N(keys); i++)
        text_add(out, "key\t%s\t%s\n", keys[i].name, keys[i].help);
}
