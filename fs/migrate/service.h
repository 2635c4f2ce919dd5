/*
 * The service: the owner thread's world. It alone touches the catalogue, the agents, the workers
 * and the jobs; everybody else reads views and submits requests.
 */
#pragma once

#include "copy/base/err.h"
#include "fs/migrate/request.h"
#include "fs/migrate/teller.h"
#include "fs/view/about.h"
#include "fs/view/view.h"

struct service;
struct host_config;

/* Everything in it outlives the service. */
struct service_config {
    const char *state_dir;
    const char *worker_path; /* of copy-worker */
    const struct host_config *hosts;
    size_t n_hosts;
    uint64_t max_jobs, max_queue, speed_bytes_per_s, pause;
    uint64_t stall_s; /* a disk that answers nothing for so long stops the job; 0: never */
    uint64_t grace_s; /* how long a job may be stopped before it rolls back */
    struct teller_config notify;
};

/*
 * Open the catalogue and start the owner thread. Returns 0 or a negative errno (catalog_open says
 * which), in words in e.
 */
int service_open(const struct service_config *config, struct service **ret, struct err *e);

/* Wait until every pool was looked at once: then listings are whole. 0, the negative errno that
 * ended the owner thread, or -ETIMEDOUT: it did next to nothing for timeout_ms, so a disk holds it.
 * With many volumes on a busy machine it may have to do more than fits into that. */
int service_wait(struct service *service, int timeout_ms);

/*
 * End the owner thread: requests are answered with ESHUTDOWN, workers and agents are ended, jobs
 * stay in the journal. Returns -ETIMEDOUT where it hangs in a disk: then only _exit is left, and it
 * is safe.
 */
int service_stop(struct service *service, int timeout_ms);
/* It was stopped: let go of the state directory, which another daemon may take then. Only _exit(2)
 * may follow. */
void service_abandon(struct service *service);
/* Free it; it was stopped. NULL is allowed. */
void service_close(struct service *service);

/* Any thread: queue a request for the owner. The request is the owner's until it is answered. */
void service_submit(struct service *service, struct request *request);

/* Any thread. */
struct view_store *service_views(struct service *service);

/*
 * Called on the owner thread after a view was published: what changed, once a thing; not of a
 * volume that was never in a view before. events: EVENT_BITs. number: of the volume or host; 0: the
 * service. Before the answers of the requests that changed it. Once, from any thread.
 */
typedef void service_change_fn(void *arg, enum about about, uint64_t number, uint32_t events);
void service_on_change(struct service *service, service_change_fn *fn, void *arg);

/* What a write of each file does (request_fn: owner thread, ends with an answer). */
request_fn service_store_target, service_admit_target;
request_fn service_admit_data; /* of a volume; the first open may wait for the storage */
request_fn service_close_data; /* what such an open was given; its answer means nothing */
request_fn service_store_abort, service_admit_abort;
request_fn service_store_verify; /* volume */
request_fn service_store_keep;
request_fn service_store_retained, service_admit_retained;
request_fn service_store_rescan;   /* service */
request_fn service_store_max_jobs; /* service, or host */
request_fn service_store_max_queue;
request_fn service_store_drain;    /* host */
request_fn service_store_evacuate; /* host */
request_fn service_store_speed;    /* volume, host or service */
request_fn service_store_pause;    /* volume or service */
