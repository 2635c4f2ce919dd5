/*
 * The inside of a queue (queue.h): the list of what ended elsewhere, and the two that carry
 * requests out, threads and io_uring.
 */
#pragma once

#include <pthread.h>

#include "copy/endpoint/queue.h"

/* A list of requests by their `next`; last points to the end of it. */
struct requests {
    struct request *first, **last;
};

void requests_init(struct requests *list);
void requests_add(struct requests *list, struct request *request);
struct request *requests_take(struct requests *list); /* the first, or NULL */
/* from is empty afterwards. */
void requests_move(struct requests *to, struct requests *from);

/* What ended on other threads, until the queue's own takes it. */
struct endings {
    pthread_mutex_t lock; /* guards list and asleep */
    struct requests list;
    bool asleep;  /* the queue's thread waits for event_fd, and is to be woken by it */
    int event_fd; /* blocking: only what is known to be readable is read */
};

int endings_init(struct endings *endings);
void endings_deinit(struct endings *endings);
void endings_add(struct endings *endings, struct request *request); /* any thread */
/* All of them. Where there are none and the caller will sleep, the next one wakes it. */
void endings_take(struct endings *endings, struct requests *to, bool will_sleep);
/* Until one is there, a signal comes or it is until_ns. */
void endings_wait(struct endings *endings, uint64_t until_ns);

/* Threads that call what blocks, started when there is work for them, n_max at most. What ended is
 * added to the endings. */
struct threads;

int threads_open(unsigned n_max, struct endings *endings, struct threads **ret);
void threads_close(struct threads *threads); /* has nothing to do any more; NULL is allowed */
/* Read or write from n_done on, or call. On the queue's thread. */
void threads_submit(struct threads *threads, struct request *request);

/* The kernel's asynchrony. It reads the endings' event_fd too, so that waiting for the one waits
 * for the other. */
struct uring;

/* Returns 0 or a negative errno: it cannot be had, or does not have all that is needed here. */
int uring_open(unsigned depth, struct endings *endings, struct uring **ret);
void uring_close(struct uring *uring); /* has nothing to do any more; NULL is allowed */
/* false: the kernel does not take it. */
bool uring_submit(struct uring *uring, struct request *request, int fd);
/* What the kernel is done with. How far each came is added to its n_done; why it came no further is
 * not told. */
void uring_take(struct uring *uring, struct requests *to);
/* Until uring_take or endings_take have something, a signal comes or it is until_ns. */
void uring_wait(struct uring *uring, uint64_t until_ns);
