/*
 * A host: a named pool, the agent process that serves it, and what the two said to each other.
 *
 * All on the owner thread. A host never blocks: an agent that does not answer costs a deadline.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "copy/base/child.h"
#include "copy/base/loop.h"
#include "fs/backend/name_set.h"
#include "fs/backend/pool.h"

struct host_config {
    char name[TEXT_HOST_BYTES];
    char driver[16];
    char path[PATH_MAX];
    uint64_t max_jobs, speed_bytes_per_s, drain; /* presets of their files */
    bool on_command_line;
};

struct host;

/* What the owner does about news of a host. */
struct host_events {
    /*
     * The pool shows its marker (pool.h); uuid is valid unless there is none. Returns 0 to go on
     * (without a marker: fresh was filled with the uuid of the one to make), or a negative errno to
     * let the pool be, in words in e; it is tried again later.
     */
    int (*hello)(void *arg, struct host *host, const struct pool_hello *hello, uuid_t fresh,
                 struct err *e);
    void (*entry)(void *arg, struct host *host, const struct pool_entry *entry);
    /* A batch of entries ended; complete: what none of them named is gone. */
    void (*scanned)(void *arg, struct host *host, bool complete);
    /* State, space or last error changed. */
    void (*changed)(void *arg, struct host *host);
};

struct host {
    struct host_config config;
    uint64_t number; /* place in the configuration, from 1 */
    bool up;         /* attached, scanned and answering */
    bool read_only;
    uint64_t capacity_bytes, free_bytes, max_file_bytes;
    uint64_t space_ns; /* io_now_ns() at the pool's look at them */
    char pool[37];     /* uuid of the marker; "" : not seen */
    char last_error[ERR_TEXT_BYTES];
    uint32_t scans; /* complete ones in this run */
    /* Settings and sums, kept here by the owner. */
    bool drain;
    uint64_t max_jobs, speed_bytes_per_s, reserved_bytes, n_jobs, n_volumes;
    char alias_of[TEXT_HOST_BYTES];

    struct loop *loop;
    const struct host_events *events;
    void *events_arg;
    struct child agent;
    int sock;    /* -1: no agent */
    int lock_fd; /* of the pool's marker, while the agent holds it; for workers. -1: none */
    bool lost;   /* the agent is being ended; a new one starts later */
    bool held;   /* another process holds the pool */
    bool shown;  /* it has shown its marker, or that it cannot: whoever comes after it may look */
    bool waits;  /* its agent runs, and waits for `before` to be shown */
    struct host *before, *after; /* in the configuration */
    uint64_t heard_ns;
    unsigned failures; /* agents that ended before they had scanned */
    uint32_t next_id;
    struct host_ask *asks;
    struct name_set used;   /* host_use */
    struct name_set unused; /* and its agent is still to be told */
    struct loop_source *sock_source, *child_source, *restart, *watch;
};

/* The answer to a question. reply: valid during the call; fd: -1 or a descriptor that is the
 * callee's now. reply->error is EHOSTDOWN where the agent was lost, ETIMEDOUT after the deadline.
 */
typedef void host_done_fn(void *arg, const struct pool_reply *reply, int fd);

struct host_ask;

/*
 * Makes the host and starts its agent. before: the last one that was made, NULL for the first: its
 * pool is looked at first, so that of two names for one storage the same one gets it every time; a
 * second later this one is looked at anyhow. 0 or a negative errno.
 */
int host_open(struct loop *loop, const struct host_config *config, struct host *before,
              const struct host_events *events, void *arg, struct host **ret);
/* Ends the agent, and waits a moment for that; what was asked and not forgotten is answered with
 * EHOSTDOWN. NULL is allowed. */
void host_close(struct host *host);

/*
 * Ask for an operation (pool.h). fd: sent along, stays the caller's; -1: none. timeout_ns: 0 waits
 * as long as the agent lives. done is called exactly once, unless the ask was forgotten; never
 * before host_ask returns. *ret_ask (may be NULL) is valid until then. Returns 0, -ENOMEM,
 * -EHOSTDOWN without an agent, or -EAGAIN where it does not take more.
 */
int host_ask(struct host *host, const struct pool_request *request, int fd, uint64_t timeout_ns,
             host_done_fn *done, void *arg, struct host_ask **ret_ask);
/* done is not called any more. The operation may still run. NULL is allowed. */
void host_forget(struct host_ask *ask);

/* We have that volume's file open, or are about to ask for it (POOL_SERVE): an agent that is
 * started anew is told too. 0 or -ENOMEM. */
int host_use(struct host *host, const char *name);
/* We have it no more (POOL_UNUSE). */
void host_unuse(struct host *host, const char *name);

/* Look at everything again. */
void host_rescan(struct host *host);
