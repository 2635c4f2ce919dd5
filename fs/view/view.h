/*
 * What readers see: immutable pictures of the service, made by the owner after every change.
 *
 * The owner builds and publishes; any thread takes a reference, reads in peace and lets go. Nothing
 * here ever waits for more than the exchange of a pointer. Only `struct meter` changes in place, by
 * atomic stores.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "fs/catalog/volume.h"
#include "fs/view/feed.h"
#include "fs/view/totals.h"

/* What may change together. A file's row names one: it wakes its poll and dates its mtime. */
enum event {
    EVENT_NEVER,    /* never changes while the thing exists */
    EVENT_STATE,    /* of a volume: something about its job; each value has an event of its own */
    EVENT_STATUS,   /* of a volume: status */
    EVENT_TARGET,   /* of a volume: the host that is wanted */
    EVENT_RESULT,   /* of a volume: how its migration goes or went */
    EVENT_PHASE,    /* of a volume: phase; idle: no job */
    EVENT_ERROR,    /* of a volume */
    EVENT_ABORT,    /* of a volume: an abort is pending or not */
    EVENT_RETAINED, /* of a volume: its old source, where that is kept */
    EVENT_PLACE,    /* of a volume: where it is */
    EVENT_PROGRESS, /* of a volume: percent, rate, eta, counters */
    EVENT_MESSAGE,  /* of a volume: the answer to the last request */
    EVENT_SIZE,     /* of a volume: size, allocated */
    EVENT_SETTING,  /* of a volume, host or the service: a value that was written */
    EVENT_HOST,     /* of a host: state, space, counts; of a volume or the service: what says who
                       may come to which host */
    EVENT_JOBS,     /* of the service: a job began, moved on or ended */
    EVENT_HEALTH,   /* of the service */
    EVENT_HISTORY,  /* of the service */
    EVENT_HIDDEN,   /* of the service */
    EVENT_METRICS,  /* of the service: anything that is shown of anything */
    EVENT_TOLD,     /* of the service: its events, a line more */
    EVENT_MEMBERS,  /* of a directory: what is in it */
    EVENT_N
};
#define EVENT_BIT(event) (1U << (event))

/* Live numbers of a job: stored by the owner, read by anybody. UINT64_MAX: unknown. */
struct meter {
    atomic_uint refs;
    _Atomic uint64_t percent; /* 0..100, never goes back */
    _Atomic uint64_t eta_s;
    _Atomic uint64_t rate_bytes_per_s;
    _Atomic uint64_t speed_bytes_per_s; /* the limit as it is now; UINT64_MAX: none */
    _Atomic uint64_t done_bytes, copied_bytes, zero_bytes, hole_bytes, skipped_bytes,
        verified_bytes;
    _Atomic int64_t changed_s; /* unix time of the last change of percent, eta or rate */
};

/* With one reference: percent 0, eta and rate unknown. NULL: no memory. */
struct meter *meter_open(void);
void meter_close(struct meter *meter);

/* When each of a volume's values last changed; shared by those that changed together. */
struct view_dates {
    atomic_uint refs;
    struct timespec at[EVENT_N];
};

struct view_volume {
    atomic_uint refs;
    uint32_t mtime_s; /* of its file, unix time; 0: not known */
    uint64_t number;
    uuid_t uuid;
    const char *host; /* of the service, as target is */
    char *retained;   /* the line of `migrate/retained`; NULL: none is */
    uint64_t size_bytes, allocated_bytes;
    uint32_t uid, gid;                                  /* of its file */
    uint16_t mode;                                      /* permission bits */
    enum volume_status status : 8, previous_status : 8; /* previous only while migrating */
    bool used;                                          /* its `data` is open */
    bool recovering; /* a job of an earlier run is not decided yet */
    bool has_job;
    bool aborting;         /* `abort` was written */
    const char *target;    /* the wanted host; "": not known */
    const char *phase;     /* a word of INTERFACE, static */
    const char *result;    /* of `migrate/status`, static */
    char *message;         /* NULL: none yet */
    char *error;           /* NULL: none */
    uint64_t job;          /* number of the job under way or the last; 0: none */
    struct job_stat *stat; /* of that job; live byte counts are in meter, if there is one */
    struct meter *meter;   /* of the job under way, else of the last in this run; may be NULL */
    uint64_t *options;     /* by enum volume_option of fs/migrate/option.h; NULL: as preset */
    struct view_dates *dates;
    char name[];
};

struct view_host {
    atomic_uint refs;
    uint64_t number; /* place in the configuration, from 1 */
    char name[TEXT_HOST_BYTES];
    char *path;
    const char *driver;
    bool up;
    bool read_only;
    bool drain;
    uint64_t max_jobs, speed_bytes_per_s;
    uint64_t capacity_bytes, free_bytes; /* free: as the storage says */
    uint64_t reserved_bytes;             /* promised to jobs and not written yet */
    uint64_t max_file_bytes;             /* no file there can be larger; 0: not known */
    uint64_t n_volumes, n_jobs;
    bool was_evacuated;                 /* or is being: of so many volumes ... */
    uint64_t n_to_go, n_gone, n_failed; /* ... so many have gone, or could not */
    char pool[37];                      /* uuid of its marker; "" : unknown */
    char alias_of[TEXT_HOST_BYTES];     /* the same storage as that host; "" : no */
    char last_error[ERR_TEXT_BYTES];
    char **taken; /* sorted: names that are taken there by what is not the volume listed */
    size_t n_taken;
    struct timespec changed[EVENT_N];
};

/*
 * The volumes of a view, by number, in pieces that views share: a change costs a copy of the piece
 * it is in. Their order by name changes only with the members, and is shared until then.
 */
#define VIEW_PIECE 256
struct view_piece {
    atomic_uint refs;
    struct view_volume *volumes[VIEW_PIECE]; /* NULL beyond the last */
};

struct view_order {
    atomic_uint refs;
    uint32_t places[]; /* of the volumes, sorted by strcmp of their names */
};

struct view {
    atomic_uint refs;
    size_t n_volumes, n_hosts;
    struct view_piece **pieces;
    struct view_order *order;
    struct view_host **hosts; /* in the order of the configuration */
    uint64_t max_jobs, max_queue, speed_bytes_per_s, pause, n_queued, n_running;
    bool stopping, doubt; /* the daemon ends; the catalogue cannot be trusted */
    struct totals totals;
    char *health, *jobs, *history, *hidden; /* whole texts, each ending in a newline unless "" */
    struct feed *events;                    /* a reference; it goes on growing */
    struct timespec changed[EVENT_N];
};

/* The place where the current view is. */
struct view_store;
struct view_store *view_store_open(void); /* NULL: no memory */
void view_store_close(struct view_store *store);

/* Any thread: the current view, with a reference; never NULL once one was published. */
struct view *view_get(struct view_store *store);
void view_put(struct view *view); /* NULL is allowed */
static inline void owned_view(struct view **view)
{
    view_put(*view);
}

/* The owner: make `view` (its reference is taken over) the current one. */
void view_publish(struct view_store *store, struct view *view);

/* Building: heap objects with one reference, zeroed; NULL: no memory. The view takes over the
 * reference of what is put into it, and lets go of everything with its last own. */
struct view *view_open(size_t n_volumes, size_t n_hosts);
/* A new view of the volumes of another, shared with it; no hosts, texts or dates yet. */
struct view *view_open_like(const struct view *before, size_t n_hosts);
/* Put a volume at its place, counted from 0 in the order of the numbers; one that is there is let
 * go of. 0, or -ENOMEM: it was let go of, and nothing has changed. */
int view_set(struct view *view, size_t place, struct view_volume *volume);
/* In a view of its own order: which place has the name that is the nth. */
void view_set_order(struct view *view, size_t nth, size_t place);
struct view_dates *view_dates_open(void);
struct view_dates *view_dates_ref(struct view_dates *dates);
void view_dates_put(struct view_dates *dates); /* NULL is allowed */
struct view_volume *view_volume_open(const char *name);
/* In a volume of its own. 0 or -ENOMEM. */
int view_volume_set_stat(struct view_volume *volume, const struct job_stat *stat);
/* Of its job, or of none. */
static inline const struct job_stat *view_volume_stat(const struct view_volume *volume)
{
    static const struct job_stat none;

    return volume->stat ? volume->stat : &none;
}
struct view_volume *view_volume_ref(struct view_volume *volume);
void view_volume_put(struct view_volume *volume);
struct view_host *view_host_open(void);
struct view_host *view_host_ref(struct view_host *host);
void view_host_put(struct view_host *host);

/* The volume at a place in the order of the numbers; the nth in the order of the names. */
static inline struct view_volume *view_volume_at(const struct view *view, size_t place)
{
    return view->pieces[place / VIEW_PIECE]->volumes[place % VIEW_PIECE];
}
static inline struct view_volume *view_volume_nth(const struct view *view, size_t nth)
{
    return view_volume_at(view, view->order->places[nth]);
}
/* The first place with a number of at least that; n_volumes: none. */
size_t view_place_from(const struct view *view, uint64_t number);
/* Look up; NULL: not there. The result lives as long as the view does. */
struct view_volume *view_volume_by_name(const struct view *view, const char *name);
struct view_volume *view_volume_by_number(const struct view *view, uint64_t number);
struct view_host *view_host_by_name(const struct view *view, const char *name);
struct view_host *view_host_by_number(const struct view *view, uint64_t number);
