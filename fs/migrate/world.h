/*
 * The owner's world: volumes, hosts, migrations. Private to fs/migrate; owner thread only, but for
 * what is marked.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "copy/base/loop.h"
#include "copy/wire.h"
#include "fs/catalog/catalog.h"
#include "fs/host/host.h"
#include "fs/migrate/names.h"
#include "fs/migrate/option.h"
#include "fs/migrate/service.h"
#include "fs/migrate/table.h"

#define NS_PER_S UINT64_C(1000000000)

struct events;
struct migration;

/* Of a volume's record, as it is committed. The rest is read from the catalogue by who needs it. */
struct vol_record {
    uuid_t uuid;
    uint64_t number;
    const char *host; /* a word of the service */
    uuid_t primary;
    uint64_t last_job;
    enum volume_status status : 8, previous_status : 8;
    enum result last_result : 8;
};

/* A volume as the owner knows it, and what was seen of it. There may be very many. */
struct vol {
    struct service *service;
    struct site *site; /* that counts it as its own; NULL: its host is not configured */
    struct vol_record record;
    struct io_identity identity; /* of its primary copy */
    uint64_t size_bytes, allocated_bytes;
    uint32_t seen;     /* the host's scan number that named it last */
    uint32_t dirty;    /* EVENT_BITs since it was shown */
    uint32_t place;    /* in the order of the numbers, of those that are shown */
    uint32_t uid, gid; /* of its file */
    uint32_t mtime_s;  /* of its file, unix time */
    uint16_t mode;     /* permission bits */
    bool moved : 1;    /* it was switched in this run: late news of its old places may be about */
    bool held : 1;     /* somebody else has its file open for writing, or locked */
    bool unlisted : 1; /* its file is there, but cannot be a volume as it is */
    bool checking_gone : 1; /* asked its host whether it is gone */
    bool unsaved : 1;       /* its records are still to be committed; a new one is not shown */
    bool is_news : 1;       /* stands in the service's list of news */
    bool was_shown : 1;     /* somebody may know it: its news are told */
    struct left *left;      /* its last old copy, which was removed; NULL: none was in this run */
    char *conflict;    /* evidence that fits no record: a human decides; NULL: none (vol_note) */
    char *warning;     /* what a human should look at though the volume is well; NULL: nothing */
    char *message;     /* the answer to the last request; NULL: none yet */
    uint64_t *options; /* VOLUME_OPTION_N; NULL: as preset */
    uuid_t retained;   /* cid of its old source that is kept; null: none */
    struct migration *migration;
    struct admission *admission; /* a request that is being checked */
    struct meter *meter;
    struct view_volume *shown; /* in the current view; NULL: not yet */
    TAILQ_ENTRY(vol) news;
    struct vol *same_bucket; /* of the service's names */
    char name[];
};

struct left {
    char host[TEXT_HOST_BYTES];
    struct io_identity identity;
};

/* A name on a host that is no volume of ours there: unlistable, or another host has that volume. */
struct taken {
    char name[256]; /* raw */
    char why[24];
    uint32_t seen;
};

/* Of a volume that is gone: to be dropped by the next commit. */
struct gone_records {
    uuid_t volume, primary;
};

struct site { /* a host and what the owner keeps beside it */
    struct host *host;
    struct service *service;
    struct table taken; /* struct taken, by name */
    struct view_host *shown;
    uint32_t dirty;
    struct timespec changed[EVENT_N];
    size_t n_moving;                /* jobs that share the host's speed */
    struct evacuation evacuation;   /* the last one; its host is "": there was none */
    bool offering;                  /* a volume of it to the queue, now */
    uint64_t offer_ns;              /* not before then */
    struct evacuation_check *check; /* of a request for one; NULL: none is */
    bool was_up;
    bool collecting;    /* under way, of a copy there */
    bool collect_again; /* from the start: something has changed meanwhile */
};

struct service {
    const struct service_config *config;
    struct loop *loop;
    struct catalog *catalog;
    struct view_store *views;
    struct events *events;
    service_change_fn *_Atomic on_change; /* set once, after its argument, by another thread */
    void *on_change_arg;
    struct site **sites;
    size_t n_sites;
    struct table words; /* names of hosts that are not configured, for as long as it runs */
    struct names names; /* of the volumes */
    struct roll by_name, by_number; /* struct vol; by_number is walked where no order matters */
    TAILQ_HEAD(news, vol) news;     /* those that are to be shown anew */
    bool members_new;               /* others are shown than in the current view */
    bool notes_new;                 /* the notes of volumes must be put together anew */
    char *notes;
    struct table migrations; /* struct migration, by job number */
    uint64_t max_jobs, max_queue, speed_bytes_per_s, pause;
    size_t n_moving; /* jobs that share that speed */
    struct totals totals;
    struct table gone; /* records of volumes that are gone, to be dropped */
    bool discovered;   /* there is something for world_save_discoveries */
    bool history_new;  /* the history text must be made anew */
    char *history;
    uint32_t dirty;
    struct timespec changed[EVENT_N];
    struct request *answered, **answered_end; /* waiting for the view to be published */
    struct loop_source *tick, *retry, *expiry;
    int expiry_fd;          /* a timerfd of the time of day */
    uint64_t next_expiry_s; /* what it is set to; 0: at rest */
    bool stopped, ready, ticking;
    bool scheduling; /* under way */
    bool look_again;
    struct table uses;         /* struct use, by the volume's number */
    struct loop_source *guard; /* looks whether others keep away from them, while it is set */
    bool guarding;
    struct table left;  /* struct copy: recorded, and not primary */
    bool left_is_known; /* no commit since it was filled */
    pthread_t thread;
    int ready_fd; /* an eventfd: the first look at the pools is over */
    int ended_fd; /* an eventfd: the thread does no more */
    uint64_t began_ns;
    int result; /* of the thread */
    struct {
        pthread_mutex_t lock; /* guards first and end */
        struct request *first, **end;
        bool closed;
    } inbox;
    atomic_bool stopping; /* set by any thread */
};

/* registry.c: volumes and hosts. */
void world_init_volumes(struct service *s);
/* The same host's name, which stays as long as the service does. NULL: no memory, which cannot be
 * of one that is configured or was asked for before. */
const char *world_word(struct service *s, const char *host);
/* One that is in no table yet. NULL: no memory. */
struct vol *vol_open(struct service *s, const char *name);
struct vol *world_volume(struct service *s, const char *name);
struct vol *world_volume_by_number(struct service *s, uint64_t number);
struct vol *world_volume_by_uuid(struct service *s, const uuid_t uuid);
struct site *world_site(struct service *s, const char *host);
struct site *world_site_by_number(struct service *s, uint64_t number);
int world_add_volume(struct service *s, struct vol *v);
void world_count_at(struct vol *v, struct site *site);    /* among the volumes of this one now */
void world_drop_volume(struct service *s, struct vol *v); /* out of the tables, and freed */
void world_forget_volumes(struct service *s);             /* all, and the words, at the end */
int world_load(struct service *s, struct err *e);         /* volumes from the catalogue */

/* discover.c: what the agents see. */
void world_on_entry(void *arg, struct host *host, const struct pool_entry *entry);
void world_on_scanned(void *arg, struct host *host, bool complete);
/* Is that file the recorded copy of a volume that is primary elsewhere? collect.c. */
bool world_is_left_copy(struct service *s, const char *host, const struct pool_entry *entry);
void world_know_left(struct service *s); /* s->left; without memory: as it was known last */
void world_forget_left(struct service *s);
void world_forget_taken(struct site *site);

/* An operation has told sizes of its file. */
void world_see(struct vol *v, const struct pool_reply *reply);

/* save.c */
void world_save_discoveries(struct service *s);
void world_forget_gone(struct service *s);

/* hosts.c: which pools we take. */
extern const struct host_events world_host_events;

/* publish.c: the view. A publication costs what is new, and a little for each VIEW_PIECE volumes;
 * more only where volumes come or go. */
void world_touch(struct vol *v, uint32_t events);
void world_announce(struct vol *v); /* it may be shown now, if it has changed */
void world_hide(struct vol *v);     /* it is shown no more */
void world_touch_site(struct site *site, uint32_t events);
void world_touch_service(struct service *s, uint32_t events);
void world_look_again(
    struct service *s); /* what dates itself, the texts and hosts, may have changed */
void world_publish(struct service *s);

/* For world_publish: what readers see of one thing; NULL: no memory. */
struct view_volume *world_show_volume(struct service *s, const struct vol *v);
struct view_host *world_show_host(const struct site *site);
/* Which values of a volume are others now, as EVENT_BITs; old: NULL, nothing was shown. */
uint32_t world_shown_anew(const struct view_volume *old, const struct view_volume *new);
bool world_shown_same(const struct view_host *a, const struct view_host *b);
void world_forget_shown(struct service *s);

/* report.c: the whole texts of .control. NULL: no memory. */
char *report_health(struct service *s); /* of any bytes, and without a newline */
char *report_line(const char *raw);     /* as it is shown; the others are already */
char *report_jobs(struct service *s);
char *report_history(struct service *s);
char *report_hidden(struct service *s);

/* service.c */
uint64_t world_now_s(void);

/* target.c: requests that are being checked. Answered with ESHUTDOWN. */
struct admission;
void admission_cancel(struct vol *v);

/* retained.c: old sources that are kept for a while. */
int world_open_expiry(struct service *s);
int world_load_retained(struct service *s);
bool world_retained(struct service *s, const struct vol *v, struct copy *ret);
void world_expect_expiry(struct service *s, uint64_t at_s);
/* Its role is recorded as that of a copy which is to be destroyed. To be committed. */
int world_stage_drop(struct service *s, struct copy *copy);

/* Its whole record. Of one that is still to be committed: as it is to be. */
void vol_recall(const struct vol *v, struct volume *ret);
/* That record of it is committed. */
void vol_keep(struct vol *v, const struct volume *record);

/* Set one of a volume's notes; a NULL fmt clears it. Without memory the old one is lost too. */
void vol_note(struct vol *v, char **note, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What the last request was told. */
void vol_say(struct vol *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for a refusal, which is logged too. Returns the negative errno of e. */
int vol_refuse(struct vol *v, const struct request *request, const struct err *e);
