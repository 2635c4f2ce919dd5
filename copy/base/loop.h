/*
 * An event loop over epoll, for one thread. Only loop_wake may be called from another.
 *
 * Callbacks run one at a time and may add and remove sources, their own too: a removed source is
 * never called again, though its event was already fetched.
 */
#pragma once

#include <stdint.h>

struct loop;
struct loop_source;

typedef void loop_fd_fn(void *arg, uint32_t events);
typedef void loop_fn(void *arg);

int loop_open(struct loop **ret); /* 0, -ENOMEM or the errno of epoll_create1 and eventfd */
void loop_close(struct loop *loop);
static inline void owned_loop(struct loop **loop)
{
    loop_close(*loop);
}

/* Watch fd (the caller's, which must outlive the source) for EPOLLIN and the like. */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg,
                struct loop_source **ret);

/* A timer, at rest until it is set. */
int loop_add_timer(struct loop *loop, loop_fn *fn, void *arg, struct loop_source **ret);
/* Fire once, delay_ns from now (0: at the next turn); setting it again moves it. */
void loop_set_timer(struct loop_source *timer, uint64_t delay_ns);
void loop_stop_timer(struct loop_source *timer);

/* NULL is allowed. */
void loop_remove(struct loop_source *source);

/* fn runs at the end of every turn, after the callbacks. One per loop. */
void loop_set_after(struct loop *loop, loop_fn *fn, void *arg);

/* Any thread, and signal handlers: a turn runs soon, `after` with it. */
void loop_wake(struct loop *loop);

/* Turn until loop_stop. Returns 0, or the negative errno of epoll_wait. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
