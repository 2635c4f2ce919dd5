/*
 * A migration: one job, driven by the owner through the table of phases.
 *
 * The rule (SAFETY 4): before a phase begins, a committed record names it; its `go` then does the
 * work, which may be repeated after a crash; the phase that is marked `switches` is entered by the
 * one transaction that makes the destination the primary copy. Going back runs every `undo` from
 * the highest phase down, whatever was reached: each is idempotent.
 *
 * A restore is a job whose destination is the retained copy that an earlier one left: it is only
 * compared, by a worker that writes nothing, and going back hides it again. It stays retained until
 * the switch, so that nothing but `drop`, its end or a later switch ever lets it be destroyed.
 *
 * Without a lease, what is written between the last look at the source and the switch is not seen
 * before it: the old copy, whose time differs then, is kept for a human (ESTALE of POOL_REMOVE).
 */
#pragma once

#include "fs/migrate/progress.h"
#include "fs/migrate/worker.h"
#include "fs/migrate/world.h"

struct migration;

struct phase {
    const char *name;                  /* on disk, and shown as `phase`: never renamed */
    const char *status;                /* what `migrate/status` shows meanwhile */
    void (*go)(struct migration *m);   /* begins it; ends in migration_next or migration_fail */
    void (*undo)(struct migration *m); /* ends in migration_undone; NULL: nothing to undo */
    bool waits;                        /* for its turn in the queue */
    bool pauses;                       /* it stands still while it is told to */
    bool copies;                       /* a restore passes it by: its destination is there */
    bool backwards;                    /* the job is on its way back */
    bool switches;                     /* entering it makes the destination the primary copy */
    bool final;                        /* only forward from here */
};

/* In the order of a migration; the last is the way back. */
enum phase_id {
    PHASE_QUEUED,
    PHASE_RESERVING,
    PHASE_COPYING,
    PHASE_VERIFYING,
    PHASE_SWITCHING,
    PHASE_CLEANING,
    PHASE_ROLLING_BACK,
    PHASE_N
};
extern const struct phase phases[PHASE_N];
int phase_by_name(const char *name); /* -1: none */

/* What the death of a worker leads to. */
enum then {
    THEN_RETRY,  /* it died by itself: another takes over */
    THEN_WAIT,   /* the timer goes on */
    THEN_SWITCH, /* it is done */
    THEN_AGAIN,  /* the phase was begun again meanwhile */
    THEN_UNDO,
    THEN_RECOVER, /* look at the evidence anew */
};

/*
 * What a job has written is taken off its reservation once a look at the pool's free bytes that
 * began later is known: until then those bytes are missing in neither, and would be promised twice.
 * That look may be older than the last sample.
 */
#define ROOM_SAMPLES 4
struct room {
    struct {
        uint64_t written_bytes, at_ns; /* into space that was free before */
    } samples[ROOM_SAMPLES];
    unsigned next;
    uint64_t settled_bytes; /* the free bytes that are known of the host are without these */
    uint64_t kept_bytes;    /* of the job's copied bytes, at the checkpoint */
    uint64_t again_bytes;   /* copied once more after it, where space was taken already */
};

struct migration {
    struct service *service;
    struct vol *vol;
    struct job job;          /* the journal; as committed but for its counters */
    struct copy destination; /* its record; what changed goes with the next commit */
    struct site *from, *to;  /* NULL: not configured any more */
    enum phase_id phase;
    bool running;    /* counts against max_jobs */
    bool recovering; /* of an earlier run or a lost agent: its evidence is not judged yet */
    bool fresh;      /* nothing was ever written to the destination */
    bool whole;      /* one claim has held, and one worker has run, since the copy began from 0 */
    const char *stopped; /* not NULL: why it waits for better times, in the phase it is in */
    char stopped_text[ERR_TEXT_BYTES];
    uint64_t stopped_offset;
    uint64_t stopped_since_ns;
    bool stalled;             /* stopped as no disk answers its worker, which goes on by itself */
    uint64_t beats, beats_ns; /* of its worker, and since when there are no more */
    bool held;                /* the phase begins again once it is paused no more */
    uint64_t need_bytes;      /* of space at the destination, at most */
    struct room room;         /* and what it has of that */
    int undoing;              /* the phase whose undo runs; -1: none does */
    int claim_fd, destination_fd;
    struct io_identity source;
    uint64_t source_mtime_ns;
    char not_opened[ERR_TEXT_BYTES]; /* why, of the old copy */
    struct worker *worker;
    enum then after_worker; /* what its death leads to */
    unsigned deaths;        /* of workers, since the last checkpoint */
    unsigned compared;      /* passes of verification that succeeded under this claim */
    struct host_ask *ask;
    host_done_fn *answered; /* of ask */
    bool copy_left;         /* the copy that should go is still there: its record stays */
    bool not_adopted;       /* and cannot be any more: its owner is told */
    bool older_goes;        /* and so does one that was retained before */
    bool copy_kept;         /* it is retained: its record becomes `kept` */
    struct copy kept;
    uint64_t volume_mtime_ns;  /* at the destination, once adopted */
    uint32_t found_source;     /* enum pool_found, while recovering */
    struct loop_source *timer; /* begins again what timer_fn does */
    void (*timer_fn)(struct migration *m);
    int retry_phase;      /* to be entered again by the timer */
    struct job_stat base; /* the counters before this worker */
    struct counted counted;
    struct meter_rate rate;
    uint64_t said_percent; /* of the last event of its progress */
    bool said_paused;      /* the last event of its phase or a pause said so */
};

/*
 * Accept: the records are committed. retained: NULL, or what is to be restored. claim_fd is taken
 * over (on success). Returns 0, or -EIO and the like when nothing was stored.
 */
int migration_accept(struct service *s, struct vol *v, struct site *to, const struct copy *retained,
                     uid_t uid, int *claim_fd, const struct pool_reply *claim, struct err *e);
/* Take up a job of an earlier run. */
int migration_load(struct service *s, const struct job *job);
/* Ask to abort. request: of whom, for the events; NULL: of an evacuation. 0, -EBUSY too late, -EIO
 * not stored. */
int migration_abort(struct migration *m, const struct request *request, struct err *e);
/* Look at the evidence of jobs that wait for it; called when a host came up, and by rescan. */
void migration_recover_all(struct service *s);
bool migration_is_at_work(const struct migration *m);
/* Is there room for one more such job? */
bool migration_may_run(const struct migration *m);
/* Begin those whose turn it is. */
void migration_schedule(struct service *s);
/* Retry to destroy copies that wait for it. */
void migration_collect(struct service *s);
/* Let go of everything; the journal stays. */
void migration_close_all(struct service *s);

/* Look at the counters of the workers. Before a host is asked how much room it has: what they have
 * written until now is in its answer. */
void migration_sample(struct service *s);
/* Every tick: counters, leases. */
void migration_tick(struct service *s);
/* An agent was lost: what was under way there is looked at again when it is back. */
void migration_host_lost(struct service *s, struct site *site);

/* A copy that should go could not be destroyed: note it where that will not change by itself. */
void migration_note_left(struct vol *v, const char *host, const struct pool_reply *reply);

/* For the phases. */
const char *migration_phase(const struct migration *m); /* as it is shown */
/* It moves no byte until it is told to; its lease is watched, and an abort goes on. */
bool migration_is_paused(const struct migration *m);
void migration_heed_pause(struct service *s,
                          const struct request *request); /* it was written, somewhere */
void migration_next(struct migration *m);                 /* to the phase after this one */
void migration_enter(struct migration *m, enum phase_id phase);
/* error: positive errno. Back from here; where it is too late for that, it is tried again. */
void migration_fail(struct migration *m, int error, uint64_t offset, const char *text);
/* Show that it waits for better times, and for which. false: it has done so as long as the grace
 * lasts, and goes back. */
bool migration_wait(struct migration *m, int error, uint64_t offset, const char *text);
/* Wait, and begin the phase again. */
void migration_stop(struct migration *m, int error, uint64_t offset, const char *text);
void migration_undone(struct migration *m);
void migration_finish(struct migration *m);
void migration_recover(struct migration *m);
void migration_go_again(struct migration *m); /* the phase it is in */
void migration_later(struct migration *m, uint64_t delay_ns, void (*fn)(struct migration *m));
/* One question at a time. Lost agents and a roll-back that waits for it are seen to. */
void migration_ask(struct migration *m, struct site *site, const struct pool_request *request,
                   int fd, host_done_fn *done);
struct pool_request migration_request(const struct migration *m, enum pool_op op, bool at_source);
void migration_let_go(struct migration *m);  /* of the claim, at once */
void migration_release(struct migration *m); /* of the claim and the destination's descriptor */
bool migration_claimed(const struct migration *m); /* nobody wants to write the source */
void migration_touch(struct migration *m, uint32_t events);
unsigned migration_work(const struct migration *m); /* enum progress_work */
void migration_say_phase(struct migration *m);      /* the event of a phase that has begun */
void migration_undo_from_the_top(struct migration *m);
void migration_reckon(struct service *s); /* jobs and reserved space of the hosts */
void migration_steer(struct service *s);  /* what each worker may do, as things are now */
void migration_crash_point(const char *when, const struct migration *m);
/* Claim the source and open the destination, then begin the phase (again). */
void migration_acquire(struct migration *m);

/* NAMES of the points that fs/migrate has, one a line, into out. */
void migration_list_crash_points(struct text *out);

/* stage.c: record that it enters a phase; in doubt nothing is changed here. 0 or -errno. */
int migration_store(struct migration *m, enum phase_id phase, struct err *e);

/* cleaning.c: the phase after the switch. */
void cleaning_go(struct migration *m);

/* copying.c: the phases of the worker. */
void copying_go(struct migration *m), verifying_go(struct migration *m);
void copying_undo(struct migration *m);
/* Is it stalled, or no more? */
void copying_look(struct migration *m);
/* End the worker, if there is one, and do that. */
void copying_end(struct migration *m, enum then then);
