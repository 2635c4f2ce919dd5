#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "copy/endpoint/queue_ways.h"

struct threads {
    struct endings *endings;
    pthread_mutex_t lock; /* guards what stands up to closing */
    pthread_cond_t work;  /* something waits, or closing */
    struct requests waiting;
    unsigned n_waiting;
    unsigned n_idle; /* threads that carry out nothing: wait, or are on their way there */
    bool closing;
    unsigned n_threads, n_max; /* the queue's thread's alone */
    pthread_t threads[];
};

static int carry_out(struct request *request)
{
    size_t n = 0, n_left = request->n_bytes - request->n_done;
    uint64_t offset = request->offset + request->n_done;
    char *buf = request->buf;
    int r = 0;

    switch (request->kind) {
    case REQUEST_READ:
        r = endpoint_read(request->ep, buf + request->n_done, n_left, offset, &n);
        break;
    case REQUEST_WRITE:
        r = endpoint_write(request->ep, buf + request->n_done, n_left, offset, &n);
        break;
    case REQUEST_CALL:
        return request->call(request);
    }
    request->n_done += n;
    return r;
}

static struct request *next_waiting(struct threads *threads)
{
    struct request *request;

    pthread_mutex_lock(&threads->lock);
    while (!threads->waiting.first && !threads->closing)
        pthread_cond_wait(&threads->work, &threads->lock);
    request = requests_take(&threads->waiting);
    if (request) {
        threads->n_waiting--;
        threads->n_idle--;
    }
    pthread_mutex_unlock(&threads->lock);
    return request;
}

static void become_idle(struct threads *threads)
{
    pthread_mutex_lock(&threads->lock);
    threads->n_idle++;
    pthread_mutex_unlock(&threads->lock);
}

/* It counts as idle before anybody hears of an end: who then submits again needs no other one. */
static void *thread_main(void *arg)
{
    struct threads *threads = arg;
    struct request *request;

    while ((request = next_waiting(threads))) {
        request->r = carry_out(request);
        become_idle(threads);
        endings_add(threads->endings, request);
    }
    return NULL;
}

/* Signals are for those threads that the program has of its own. */
static int start_thread(struct threads *threads)
{
    sigset_t all, before;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&threads->threads[threads->n_threads], NULL, thread_main, threads);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return -r;
    threads->n_threads++;
    become_idle(threads);
    return 0;
}

int threads_open(unsigned n_max, struct endings *endings, struct threads **ret)
{
    struct threads *threads = calloc(1, sizeof(*threads) + n_max * sizeof(threads->threads[0]));

    if (!threads)
        return -ENOMEM;
    threads->endings = endings;
    threads->n_max = n_max;
    requests_init(&threads->waiting);
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->work, NULL);
    *ret = threads;
    return 0;
}

void threads_close(struct threads *threads)
{
    if (!threads)
        return;
    pthread_mutex_lock(&threads->lock);
    threads->closing = true;
    pthread_cond_broadcast(&threads->work);
    pthread_mutex_unlock(&threads->lock);
    for (unsigned i = 0; i < threads->n_threads; i++)
        pthread_join(threads->threads[i], NULL);
    pthread_cond_destroy(&threads->work);
    pthread_mutex_destroy(&threads->lock);
    free(threads);
}

void threads_submit(struct threads *threads, struct request *request)
{
    bool want_thread;
    int r = 0;

    pthread_mutex_lock(&threads->lock);
    want_thread = threads->n_waiting >= threads->n_idle && threads->n_threads < threads->n_max;
    pthread_mutex_unlock(&threads->lock);
    if (want_thread)
        r = start_thread(threads);
    if (r < 0 && threads->n_threads == 0) {
        request->r = r;
        endings_add(threads->endings, request);
        return;
    }
    pthread_mutex_lock(&threads->lock);
    requests_add(&threads->waiting, request);
    threads->n_waiting++;
    pthread_cond_signal(&threads->work);
    pthread_mutex_unlock(&threads->lock);
}
