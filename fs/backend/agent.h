/*
 * The parts of an agent (pool.h says what it is for).
 */
#pragma once

#include "copy/base/loop.h"
#include "fs/backend/backend.h"
#include "fs/backend/name_set.h"

enum agent_stage {
    AGENT_NEW,      /* nothing was said yet */
    AGENT_UNMARKED, /* the pool has no marker, the daemon decides */
    AGENT_WAITING,  /* somebody else holds the lock */
    AGENT_UP,
    AGENT_ENDED,
};

struct operation;

struct agent {
    struct loop *loop;
    struct loop_source *socket, *signals, *watch, *tick;
    int signal_fd;
    int exit_status;
    enum agent_stage stage;
    struct pool_attach attach;
    struct backend *pool; /* NULL: not attached */
    struct name_set used; /* POOL_SERVE */
    pid_t lock_waiter;    /* 0: none */
    struct operation *operations;
    struct pool_entries batch; /* found and not yet sent */
    struct pool_space space;   /* as it was sent */
    uint64_t scanned_ns;
};

/* agent.c */

/* Send one message; waits while the socket is full. 0 or a negative errno: the daemon is gone. */
int agent_send(const void *msg, size_t n, int fd);
/* The same, and the end of the agent where it fails. */
void agent_say(struct agent *agent, const void *msg, size_t n, int fd);
void agent_end(struct agent *agent, int exit_status);
/* The pool cannot be had: say so and end. error: a positive errno. */
void agent_lose(struct agent *agent, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* agent_lock.c */

/* Lock without waiting: 0, -EWOULDBLOCK or another error. */
int agent_lock_try(int lock_fd);
/* Start a child that waits for the lock; when it has ended, the lock is ours. 0 or a negative
 * errno. */
int agent_lock_wait(int lock_fd, pid_t *ret);
/* Who has it, in words. */
void agent_lock_holder(int lock_fd, char *out, size_t cap);

/* agent_pool.c */
void agent_attach(struct agent *agent, const struct pool_attach *attach);
void agent_mark(struct agent *agent, const uuid_t uuid);
void agent_locked(struct agent *agent); /* the lock waiter had success */
void agent_scan(struct agent *agent);
void agent_look(struct agent *agent, const char *name);
/* Look after the pool: is it there, how much room, is it time to scan. To be called every 2 s. */
void agent_look_after(struct agent *agent);

/* agent_ops.c */

/* Carry out an operation in a child. fd: goes into the agent's hands. */
void agent_operate(struct agent *agent, const struct pool_request *request, int fd);
/* A child has died: was it one of the operations, and has it answered? */
void agent_operation_died(struct agent *agent, pid_t pid, int status);
/* Kill what still runs; nobody waits for it. */
void agent_kill_operations(struct agent *agent);
