/*
 * Storage drivers. A driver runs in the agent of a pool, one process a host (pool.h),
 * single-threaded; its operations run in short-lived children forked from that agent and may hang
 * as long as they like.
 */
#pragma once

#include "fs/backend/pool.h"

struct backend_ops;
struct name_set;

/* One attached pool; a driver's own struct begins with it. */
struct backend {
    const struct backend_ops *ops;
    /* Volumes that the daemon itself has open (POOL_SERVE): nobody asks who holds them. The
     * agent's; NULL: none are. */
    const struct name_set *used;
};

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
    void (*detach)(struct backend *backend);
    /* Make the marker, whole and durable or not at all. -EEXIST: there is one by now. To have it
     * locked, detach and attach again. */
    int (*mark)(struct backend *backend, const uuid_t uuid, struct err *e);
    /* A descriptor to flock for the pool (the backend's own, held as long as it is attached); -1:
     * there was no marker. */
    int (*lock_fd)(struct backend *backend);
    /* Does the path still lead to this pool, and is its marker still the one that lock_fd holds? 0
     * or a negative errno, in words in e. Never waits longer than a stat(2) of the path. */
    int (*check)(struct backend *backend, struct err *e);
    /* A descriptor that is readable when something changed since the first call; -1: only rescans
     * tell. */
    int (*watch_fd)(struct backend *backend);
    /* Drain the watch: each thing that changed, once. The last state of a thing is always told, the
     * states before it at most 10 times a second. -EOVERFLOW: scan all; -ENODEV: the pool is lost.
     */
    int (*changed)(struct backend *backend, backend_entry_fn *fn, void *arg);
    /* Tell of that name as it is now, and who holds it. */
    int (*look)(struct backend *backend, const char *name, backend_entry_fn *fn, void *arg);
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

extern const struct backend_ops *const backends[];           /* ends with NULL */
const struct backend_ops *backend_by_name(const char *name); /* NULL: none */

/* The hidden name of a copy. */
void backend_hidden_name(const uuid_t cid, char out[POOL_HIDDEN_BYTES]);

/* The main of an agent: serves the socket until it closes. Returns the exit status. */
int backend_agent_main(void);
