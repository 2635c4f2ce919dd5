/*
 * Storage drivers. A driver runs in the agent of a pool, one process a host (pool.h), single-threaded;
 * its operations run in short-lived children forked from that agent and may hang as long as they like.
 */
#pragma once

#include "fs/backend/pool.h"

struct backend; /* one attached pool */

/* Where a driver says what it finds while it scans. */
typedef int backend_entry_fn(const struct pool_entry *entry, void *arg);

struct backend_ops {
    const char *name; /* the word `driver =` takes */

    /*
     * Find the pool. *ret is the driver's. Reads the marker if there is one (*ret_has_marker).
     * Errors: the errno of what could not be opened, in words in e.
     */
    int (*attach)(const char *path, struct backend **ret, int *ret_has_marker, uuid_t ret_uuid,
                  struct err *e);
    /* Make the marker, whole and durable or not at all. -EEXIST: there is one by now. */
    int (*mark)(struct backend *backend, const uuid_t uuid, struct err *e);
    /* A descriptor to flock for the pool (the backend's own, held as long as it is attached). */
    int (*lock_fd)(struct backend *backend);
    /* A descriptor that is readable when something changed; -1: only rescans tell. */
    int (*watch_fd)(struct backend *backend);
    /* Drain the watch: each thing that changed, once. -EOVERFLOW: scan all; -ENODEV: the pool is lost. */
    int (*changed)(struct backend *backend, backend_entry_fn *fn, void *arg);
    /* Name everything. */
    int (*scan)(struct backend *backend, backend_entry_fn *fn, void *arg);
    int (*space)(struct backend *backend, struct pool_space *ret);

    /*
     * One operation, in a child (pool.h says what each does). fd: the descriptor that came with it,
     * or -1. *ret_fd: one to send back. Returns 0 or a negative errno, in words in e.
     */
    int (*operate)(struct backend *backend, const struct pool_request *request, int fd,
                   struct pool_reply *reply, int *ret_fd, struct err *e);
};

extern const struct backend_ops *const backends[]; /* ends with NULL */
const struct backend_ops *backend_by_name(const char *name); /* NULL: none */

/* The hidden name of a copy. */
void backend_hidden_name(const uuid_t cid, char out[POOL_HIDDEN_BYTES]);

/* The main of an agent: serves the socket until it closes. Returns the exit status. */
int backend_agent_main(void);
