/*
 * The service: the owner thread's world. It alone touches the catalogue, the agents, the workers and
 * the jobs; everybody else reads views and submits requests.
 */
#pragma once

#include "fs/migrate/request.h"
#include "fs/view/about.h"
#include "fs/view/view.h"

struct service;

/* Any thread: queue a request for the owner. The request is the owner's until it is answered. */
void service_submit(struct service *service, struct request *request);

/* Any thread. */
struct view_store *service_views(struct service *service);

/*
 * Called on the owner thread after a view was published: what changed, once a thing. events: EVENT_BITs.
 * number: of the volume or host; 0: the service. Before the answers of the requests that changed it.
 */
typedef void service_change_fn(void *arg, enum about about, uint64_t number, uint32_t events);
void service_on_change(struct service *service, service_change_fn *fn, void *arg);

/* What a write of each file does (request_fn: owner thread, ends with an answer). */
request_fn service_store_target, service_admit_target;
request_fn service_store_abort, service_admit_abort;
request_fn service_store_verify;   /* volume */
request_fn service_store_rescan;   /* service */
request_fn service_store_max_jobs; /* service, or host */
request_fn service_store_max_queue;
request_fn service_store_drain;    /* host */
