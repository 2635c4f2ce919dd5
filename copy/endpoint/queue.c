/*
 * A request goes to whoever can carry it out best, and comes back by one of two lists: that of the
 * ring's completions, or that of what ended on other threads. Both are taken by queue_wait alone,
 * so a `done` is never called on another thread or below queue_submit.
 *
 * The kernel's word is believed for one thing: how many bytes it transferred. Whatever it did not
 * transfer is tried again by the endpoint's blocking operation, which knows what an error means
 * there.
 */
#include "copy/endpoint/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/endpoint/queue_ways.h"

#define DEPTH_MAX 256

struct queue {
    unsigned depth, n_flight;
    bool closing;
    struct endings endings;
    struct threads *threads;
    struct uring *uring; /* NULL: there is none */
};

int queue_open(unsigned depth, enum queue_way way, struct queue **ret)
{
    OWNED(mem) struct queue *queue = calloc(1, sizeof(*queue));
    int r;

    if (depth < 1 || depth > DEPTH_MAX)
        return -EINVAL;
    if (!queue)
        return -ENOMEM;
    queue->depth = depth;
    r = endings_init(&queue->endings);
    if (r < 0)
        return r;
    r = threads_open(depth, &queue->endings, &queue->threads);
    if (r == 0 && way != QUEUE_THREADS)
        r = uring_open(depth, &queue->endings, &queue->uring);
    if (r < 0 && way == QUEUE_AUTO && queue->threads)
        r = 0;
    if (r < 0) {
        threads_close(queue->threads);
        endings_deinit(&queue->endings);
        return r;
    }
    *ret = take_ptr(queue);
    return 0;
}

unsigned queue_depth(const struct queue *queue)
{
    return queue->depth;
}

const char *queue_name(const struct queue *queue)
{
    return queue->uring ? "io_uring" : "threads";
}

/* A descriptor for the ring, or -1. */
static int fd_for(const struct queue *queue, const struct request *request)
{
    struct endpoint *ep = request->ep;

    if (!queue->uring || request->kind == REQUEST_CALL || !ep->ops->fd)
        return -1;
    return ep->ops->fd(ep, request->kind == REQUEST_READ, request->buf, request->n_bytes,
                       request->offset);
}

void queue_submit(struct queue *queue, struct request *request)
{
    int fd;

    assert(queue->n_flight < queue->depth);
    queue->n_flight++;
    request->queue = queue;
    request->n_done = 0;
    request->r = 0;
    if (request->kind != REQUEST_CALL && request->ep->ops->submit) {
        request->ep->ops->submit(request->ep, request);
        return;
    }
    fd = fd_for(queue, request);
    if (fd < 0 || !uring_submit(queue->uring, request, fd))
        threads_submit(queue->threads, request);
}

void request_complete(struct request *request, int r)
{
    request->r = r;
    endings_add(&request->queue->endings, request);
}

static void take_from_ring(struct queue *queue, struct requests *ended)
{
    struct requests list;
    struct request *request;

    requests_init(&list);
    uring_take(queue->uring, &list);
    while ((request = requests_take(&list))) {
        if (request->n_done == request->n_bytes || queue->closing)
            requests_add(ended, request);
        else
            threads_submit(queue->threads, request);
    }
}

static void take_ended(struct queue *queue, struct requests *ended, bool will_sleep)
{
    requests_init(ended);
    if (queue->uring)
        take_from_ring(queue, ended);
    endings_take(&queue->endings, ended, will_sleep && !ended->first);
}

static void sleep_until(struct queue *queue, uint64_t until_ns)
{
    if (queue->uring)
        uring_wait(queue->uring, until_ns);
    else
        endings_wait(&queue->endings, until_ns);
}

static unsigned hand_over(struct queue *queue, struct requests *ended)
{
    struct request *request;
    unsigned n = 0;

    while ((request = requests_take(ended))) {
        n++;
        queue->n_flight--;
        if (!queue->closing)
            request->done(request, request->r);
    }
    return n;
}

unsigned queue_wait(struct queue *queue, uint64_t until_ns)
{
    for (;;) {
        bool will_sleep = until_ns > 0 && (queue->n_flight > 0 || until_ns != UINT64_MAX);
        struct requests ended;
        unsigned n;

        take_ended(queue, &ended, will_sleep);
        n = hand_over(queue, &ended);
        if (n > 0 || !will_sleep || io_now_ns() >= until_ns)
            return n;
        sleep_until(queue, until_ns);
    }
}

void queue_close(struct queue *queue)
{
    if (!queue)
        return;
    queue->closing = true;
    while (queue->n_flight > 0)
        queue_wait(queue, UINT64_MAX);
    uring_close(queue->uring);
    threads_close(queue->threads);
    endings_deinit(&queue->endings);
    free(queue);
}
