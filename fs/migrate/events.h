/*
 * Being told: .control/events, the log and the `notify` program tell of the same events, each by
 * one call of events_say. Owner thread.
 */
#pragma once

#include "copy/base/text.h"
#include "fs/migrate/world.h"

/* A row each in events.c. */
enum event_kind {
    SAY_STARTED,
    SAY_ACCEPTED,
    SAY_REFUSED,
    SAY_PHASE,
    SAY_PROGRESS,
    SAY_STOPPED,
    SAY_PAUSED,
    SAY_RESUMED,
    SAY_ABORTING,
    SAY_RECOVERED,
    SAY_SUCCESS,
    SAY_ERROR,
    SAY_ABORTED,
    SAY_HOST_UP,
    SAY_HOST_DOWN,
    SAY_HEALTH,
    SAY_N
};

struct event_row {
    const char *name;       /* for programs: never changed */
    const char *message_id; /* the journal's MESSAGE_ID: never changed */
    int priority;           /* of its line in the log; -1: not logged */
    const char *help;
    bool busy; /* often, and of no consequence: `notify` is not run */
};
extern const struct event_row event_rows[SAY_N];

/* What an event is about; any may be missing, and of nothing it is NULL. */
struct event_of {
    const struct vol *vol; /* and its job, while it has one */
    const struct host *host;
    const struct request *request; /* who asked, by which file */
    const char *phase;             /* if not the job's of now */
    int error;                     /* a positive errno; 0: none */
};
#define EVENT_OF(...) (&(const struct event_of){__VA_ARGS__})

/*
 * events_say(s, SAY_PAUSED, EVENT_OF(.vol = v, .request = request), "volume %s: ...", ...);
 *
 * The text is for a person who reads nothing else: it names volume, job, hosts and reason. It is
 * escaped where it is shown, not here. The job's keys are added. What waits to be read is shown
 * with the next view.
 */
void events_say(struct service *s, enum event_kind kind, const struct event_of *of, const char *fmt,
                ...) __attribute__((format(printf, 4, 5)));

/* Say it if health (report_health) is something else than was said last. */
void events_look_at_health(struct service *s, const char *health);

struct events;
struct teller;
/* notify: NULL: none. Taken over on success. 0 or -ENOMEM. */
int events_open(struct teller *notify, struct events **ret);
void events_close(struct events *events); /* NULL is allowed */
struct feed *events_feed(struct events *events);

/* The manual's lists: "event NAME ID HELP" and "key NAME HELP", tabs between. */
void events_describe(struct text *out);

/* event_keys.c: what is told of one event. */
struct telling {
    const struct event_row *row;
    const struct event_of *of;
    uint64_t seq;
    struct timespec time;
    const char *text;
};
/* All keys as a JSON object and a newline; those that have a value as lines FERRYFS_KEY=value. */
void event_keys_json(const struct telling *t, struct text *out);
void event_keys_lines(const struct telling *t, struct text *out);
void event_keys_describe(struct text *out);
