/*
 * Transfers in flight: many at a time, begun and ended on one thread.
 *
 * A request is carried out by whatever can do it best: the endpoint's own asynchrony (a network
 * connection), the kernel's (io_uring), or a thread of the queue's that calls the endpoint's
 * blocking operation. What the kernel does not carry out whole, short or with an error, a thread
 * does again from where it stopped, by the blocking operation: that alone knows about falling back
 * and trying again.
 *
 * One thread at a time calls queue_*: it may be another one from then on, as long as nothing is in
 * flight. request_complete is for any thread.
 */
#pragma once

#include "copy/endpoint/endpoint.h"

enum request_kind {
    REQUEST_READ,  /* endpoint_read: all n_bytes */
    REQUEST_WRITE, /* endpoint_write: all n_bytes */
    REQUEST_CALL,  /* call(request) on a thread of the queue: whatever blocks */
};

struct request {
    enum request_kind kind;
    struct endpoint *ep;
    void *buf;      /* aligned to a grain for direct I/O; the caller's until done was called */
    size_t n_bytes; /* above 0 */
    uint64_t offset;
    int (*call)(struct request *request); /* REQUEST_CALL: returns 0 or a negative errno */
    /* On the queue's thread, inside queue_wait: r is 0 or a negative errno, with n_done how far it
     * came. It may submit again, this request too, and must not wait. */
    void (*done)(struct request *request, int r);
    void *arg; /* the caller's */

    size_t n_done;

    struct queue *queue; /* the queue's, from here on */
    int r;
    struct request *next;
};

enum queue_way {
    QUEUE_AUTO,  /* io_uring where the kernel has it and lets us, else threads */
    QUEUE_URING, /* -ENOSYS, -EPERM ... where it cannot be had */
    QUEUE_THREADS,
};

/*
 * depth: requests in flight at most, 1 to 256. Everything that needs a privilege or a system call
 * that a sandbox may forbid is done here, but for starting threads.
 * Returns 0 or a negative errno.
 */
int queue_open(unsigned depth, enum queue_way way, struct queue **ret);
/* Waits for what is in flight, without calling done. NULL is allowed. */
void queue_close(struct queue *queue);
static inline void owned_queue(struct queue **queue)
{
    queue_close(*queue);
}

unsigned queue_depth(const struct queue *queue);
const char *queue_name(const struct queue *queue); /* "io_uring" or "threads" */

/* Begin. Never blocks, never fails (what cannot be begun ends with an error), never calls done
 * itself. At most `depth` in flight: asserted. */
void queue_submit(struct queue *queue, struct request *request);

/*
 * Hand over what ended, at least one unless none ended by until_ns (CLOCK_MONOTONIC; 0: what has
 * ended already, UINT64_MAX: wait for one). Returns how many; 0 at once where none is in flight and
 * until_ns is UINT64_MAX.
 */
unsigned queue_wait(struct queue *queue, uint64_t until_ns);

/* For an endpoint's `submit`: it ended, with request->n_done set. Any thread, once a request. */
void request_complete(struct request *request, int r);
