/*
 * The threads that serve requests.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct mount;
struct server;

/* Start mount->n_threads threads, and the one that touches files. 0 or a negative errno; then no
 * request is served, and serve_stop ends those that were started. */
int serve_start(struct mount *mount);
bool serve_is_alive(struct mount *mount); /* mount_is_alive */
/* Stop and join them. 0, or -ETIMEDOUT: one is at a request whose storage hangs, and uses the
 * mount. */
int serve_stop(struct mount *mount);

/*
 * For a serving thread, in the middle of a request that is about to wait for storage: it is not
 * counted among those that serve any more, and another takes its place, so that no other request
 * waits for it and serve_is_alive does not. Until serve_return, by which it has answered.
 */
struct server *serve_leave(struct mount *mount);
void serve_return(struct server *server);
/* The thread's own memory for n bytes, until its next request. NULL: there is none. */
void *serve_buffer(struct server *server, size_t n);
