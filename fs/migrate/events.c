/*
 * The events, and where each is told: the file that grows, the log, and `notify`.
 */
#include "fs/migrate/events.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/teller.h"
#include "fs/view/feed.h"

#define TEXT_BYTES 1024 /* of one event: what is longer is cut */

struct events {
    struct feed *feed;
    struct teller *notify; /* NULL: none */
    uint64_t seq;          /* of the last one */
    char *health;          /* as it was said last; NULL: "ok" */
};

const struct event_row event_rows[SAY_N] = {
    [SAY_STARTED] = {"started", "fa1af99c940940b184bc0dec332183b8", -1,
                     "the daemon begins; nothing before it is in the file"},
    [SAY_ACCEPTED] = {"accepted", "cb6095821856451f8f86dc0fb7225be5", LOG_NOTICE,
                      "a migration was asked for, and begins or waits for its turn"},
    [SAY_REFUSED] = {"refused", "14bd96773a864e3cbe8af9c7e86071bc", LOG_WARNING,
                     "a written command was refused, and changed nothing"},
    [SAY_PHASE] = {"phase", "884dc91f64f64db2a2419e8af6109c60", -1, "the job is in another phase",
                   .busy = true},
    [SAY_PROGRESS] = {"progress", "f7dbdf94be3747d2b16e3905111ad9d3", -1,
                      "5 % more of the job are done", .busy = true},
    [SAY_STOPPED] = {"stopped", "c18c58b9b34f471c8c7c114c395dedd0", LOG_WARNING,
                     "the job waits for better times; the next phase event says that it goes on"},
    [SAY_PAUSED] = {"paused", "761f15d5d6464f2abea3f4cff4bf4e60", LOG_NOTICE,
                    "somebody holds the job"},
    [SAY_RESUMED] = {"resumed", "d567454b1f864f55817106335872a15a", LOG_NOTICE,
                     "somebody lets it go on"},
    [SAY_ABORTING] = {"aborting", "09b6d0f29d554affb7d3cecf2f640f90", LOG_NOTICE,
                      "somebody aborts the job; aborted follows"},
    [SAY_RECOVERED] = {"recovered", "5168862999dc463b8ab04741e46476dd", LOG_NOTICE,
                       "a job that a restart or a lost host interrupted goes on"},
    [SAY_SUCCESS] = {"success", "bd4fc075d09d47c0b83f0cbceece7c47", LOG_NOTICE,
                     "the volume is at its destination, and the job has ended"},
    [SAY_ERROR] = {"error", "a0541738bef944a5a09a5c0775d0c2bf", LOG_WARNING,
                   "the job has failed; the volume is where it was"},
    [SAY_ABORTED] = {"aborted", "7bc8312042e54e2eb36ee3607ca3d27a", LOG_WARNING,
                     "the job was aborted; the volume is where it was"},
    [SAY_HOST_UP] = {"host-up", "9f1c80fe7c9e41b38a6c0b7e6d803116", LOG_NOTICE,
                     "a host can be used"},
    [SAY_HOST_DOWN] = {"host-down", "50bd0ac8188f4f2591a75a6e509ee9ff", LOG_WARNING,
                       "a host cannot be used any more"},
    [SAY_HEALTH] = {"health", "6275f620049847488bcda6a6c435d380", LOG_NOTICE,
                    "what .control/health says is something else now"},
};

/* Builds for tests turn over sooner where they are asked to. */
static uint64_t limit_bytes(void)
{
    uint64_t limit = FEED_LIMIT_BYTES;
#ifdef FERRYFS_FAULTS
    const char *wanted = getenv("FERRYFS_EVENTS_BYTES");

    if (wanted && text_parse_size(wanted, &limit) < 0)
        limit = FEED_LIMIT_BYTES;
#endif
    return limit;
}

int events_open(struct teller *notify, struct events **ret)
{
    struct events *events = calloc(1, sizeof(*events));

    if (events)
        events->feed = feed_open(limit_bytes());
    if (!events || !events->feed) {
        free(events);
        return -ENOMEM;
    }
    events->notify = notify;
    *ret = events;
    return 0;
}

void events_close(struct events *events)
{
    if (!events)
        return;
    teller_close(events->notify);
    feed_put(events->feed);
    free(events->health);
    free(events);
}

struct feed *events_feed(struct events *events)
{
    return events->feed;
}

static void add_to_log(const struct telling *t, const char *lines)
{
    OWNED(text) struct text fields = {0};

    text_add(&fields, "MESSAGE_ID=%s\n%s", t->row->message_id, lines);
    log_event(t->row->priority, t->row->name, fields.failed ? "" : fields.bytes, t->text);
}

/* A flood of refusals, which anybody can make who may write, leaves the others their room. */
static void tell(struct events *events, const struct telling *t, const char *line, size_t n,
                 const char *lines)
{
    bool pressing = t->row != &event_rows[SAY_REFUSED];

    if (feed_append(events->feed, line, n) < 0)
        log_say(LOG_ERR, "no memory to show event %" PRIu64, t->seq);
    if (t->row->priority >= 0)
        add_to_log(t, lines);
    if (events->notify && !t->row->busy)
        teller_tell(events->notify, t->row->name, line, lines, pressing);
}

void events_say(struct service *s, enum event_kind kind, const struct event_of *of, const char *fmt,
                ...)
{
    static const struct event_of nothing;
    struct telling t = {
        .row = &event_rows[kind], .of = of ? of : &nothing, .seq = ++s->events->seq};
    OWNED(text) struct text line = {0}, lines = {0};
    char text[TEXT_BYTES];
    va_list args;

    va_start(args, fmt);
    if (vsnprintf(text, sizeof(text), fmt, args) < 0)
        text[0] = '\0';
    va_end(args);
    t.text = text;
    clock_gettime(CLOCK_REALTIME, &t.time);
    event_keys_json(&t, &line);
    event_keys_lines(&t, &lines);
    if (line.failed || lines.failed)
        log_say(LOG_ERR, "no memory to tell: %s", text);
    else
        tell(s->events, &t, line.bytes, line.n, lines.bytes);
    world_touch_service(s, EVENT_BIT(EVENT_TOLD));
}

void events_look_at_health(struct service *s, const char *health)
{
    char **said = &s->events->health;

    if (strcmp(health, *said ? *said : "ok") == 0)
        return;
    free(*said);
    *said = strdup(health);
    events_say(s, SAY_HEALTH, NULL, "health: %s", health);
}

void events_describe(struct text *out)
{
    for (int kind = 0; kind < SAY_N; kind++)
        text_add(out, "event\t%s\t%s\t%s\n", event_rows[kind].name, event_rows[kind].message_id,
                 event_rows[kind].help);
    event_keys_describe(out);
}
