/*
 * One connection to an NBD server. A thread of its own owns libnbd's handle: it makes the
 * connection, sends jobs as they come, many at a time, and tells of each when it is over. Nobody
 * else touches the handle, and no lock is held while the server is waited for.
 *
 * A connection that is lost is not made again: a server that has started anew may have lost what
 * the old one had not flushed.
 */
#pragma once

#include "copy/base/err.h"
#include "copy/endpoint/nbd_job.h"

enum connection_state {
    CONNECTION_BEGUN,
    CONNECTION_READY,
    CONNECTION_REFUSED, /* never came to be */
    CONNECTION_LOST,
};

/*
 * Start to connect, once libnbd is loaded (nbd_library.h). uri: outlives it. like: of another
 * connection to the same server, that this one must have too, or it is refused; NULL: anything
 * goes. Returns 0 or a negative errno.
 */
int connection_open(const char *uri, const struct nbd_facts *like, struct connection **ret);

/* Wait until it is ready, but no longer than a patient person would. Returns 0, or a negative errno
 * in words in e. */
int connection_wait(struct connection *connection, struct err *e);

/* Hang up. What is on its way ends with -ENOTCONN. NULL is allowed. */
void connection_close(struct connection *connection);

/* Any thread. */
enum connection_state connection_state(const struct connection *connection);
unsigned connection_load(const struct connection *connection); /* jobs it has */
/* Of one that was ready once. */
const struct nbd_facts *connection_facts(const struct connection *connection);

/* Begin a job; false: this connection takes none (any more). Does not block. Once it has taken it,
 * `over` is called, with -ENOTCONN if the connection is lost. */
bool connection_submit(struct connection *connection, struct nbd_job *job);
