/*
 * A copy-worker: one process a job, its socket and its counters. Owner thread.
 */
#pragma once

#include "copy/base/child.h"
#include "copy/base/loop.h"
#include "copy/wire.h"

struct worker;

struct worker_events { /* neither is called from within worker_open or worker_ask; reply must not
                          close it */
    void (*reply)(void *arg, const struct wire_reply *reply);
    void (*died)(void *arg, const char *how); /* it is reaped; close it */
};

/* Start one. The descriptors stay the caller's; held_fd: -1 or what must stay open while it lives.
 */
int worker_open(struct loop *loop, const char *path, int source_fd, int destination_fd, int held_fd,
                const struct worker_events *events, void *arg, struct worker **ret);
int worker_ask(struct worker *worker, const struct wire_request *request);
const struct progress *worker_progress(const struct worker *worker);
/* 0: nothing is begun, and so it is at first; UINT64_MAX: no limit. Takes effect within a request.
 */
void worker_set_speed(struct worker *worker, uint64_t bytes_per_s);
/* SIGKILL; died follows, when a disk lets it die. */
void worker_kill(struct worker *worker);
/* Let go; one that lives is killed and not awaited. NULL is allowed. */
void worker_close(struct worker *worker);
