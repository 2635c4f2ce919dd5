#include "copy/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "tests/unit/check.h"

#define MS UINT64_C(1000000)

/* What the callbacks of one test see and leave. */
struct world {
    struct loop *loop;
    struct loop_source *a, *b;
    int fds[2];
    unsigned n_a, n_b, n_after;
    char order[16];
};

static void open_world(struct world *w)
{
    *w = (struct world){.fds = {-1, -1}};
    REQUIRE(loop_open(&w->loop) == 0);
    for (int i = 0; i < 2; i++) {
        w->fds[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* readable from the start */
        REQUIRE(w->fds[i] >= 0);
    }
}

static void close_world(struct world *w)
{
    loop_close(w->loop);
    close(w->fds[0]);
    close(w->fds[1]);
}

static void stop(void *arg)
{
    struct world *w = arg;

    loop_stop(w->loop);
}

static void drain_and_stop(void *arg, uint32_t events)
{
    struct world *w = arg;
    eventfd_t n;

    CHECK_EQ(events, EPOLLIN);
    CHECK_EQ(eventfd_read(w->fds[0], &n), 0);
    w->n_a++;
    loop_stop(w->loop);
}

TEST(a_readable_descriptor_is_reported)
{
    struct world w;

    open_world(&w);
    REQUIRE(loop_add_fd(w.loop, w.fds[0], EPOLLIN, drain_and_stop, &w, &w.a) == 0);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_EQ(w.n_a, 1);
    close_world(&w);
}

TEST(a_descriptor_that_cannot_be_watched_is_an_error)
{
    OWNED(fd) int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct world w;

    open_world(&w);
    CHECK_EQ(loop_add_fd(w.loop, file, EPOLLIN, drain_and_stop, &w, &w.a), -EPERM);
    CHECK_EQ(loop_add_fd(w.loop, -1, EPOLLIN, drain_and_stop, &w, &w.a), -EBADF);
    CHECK_EQ(loop_add_fd(w.loop, w.fds[0], EPOLLIN, drain_and_stop, &w, &w.a), 0);
    CHECK_EQ(loop_add_fd(w.loop, w.fds[0], EPOLLIN, drain_and_stop, &w, &w.b), -EEXIST);
    close_world(&w);
}

/* Both are readable in one turn: whoever comes first removes both. */
static void remove_both(void *arg, uint32_t events)
{
    struct world *w = arg;

    (void)events;
    w->n_a++;
    loop_remove(w->a);
    loop_remove(w->b);
    loop_stop(w->loop);
}

TEST(a_removed_source_is_not_called_though_its_event_was_fetched)
{
    struct world w;

    open_world(&w);
    REQUIRE(loop_add_fd(w.loop, w.fds[0], EPOLLIN, remove_both, &w, &w.a) == 0);
    REQUIRE(loop_add_fd(w.loop, w.fds[1], EPOLLIN, remove_both, &w, &w.b) == 0);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_EQ(w.n_a, 1);
    loop_wake(w.loop);
    loop_set_after(w.loop, stop, &w);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_EQ(w.n_a, 1);
    close_world(&w);
}

static void replace_itself(void *arg, uint32_t events)
{
    struct world *w = arg;

    (void)events;
    loop_remove(w->a);
    CHECK_EQ(loop_add_fd(w->loop, w->fds[0], EPOLLIN, drain_and_stop, w, &w->a), 0);
}

TEST(a_callback_may_put_another_source_in_its_place)
{
    struct world w;

    open_world(&w);
    REQUIRE(loop_add_fd(w.loop, w.fds[0], EPOLLIN, replace_itself, &w, &w.a) == 0);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_EQ(w.n_a, 1);
    close_world(&w);
}

TEST(a_descriptor_closed_too_early_whose_file_lives_on_calls_nobody)
{
    OWNED(fd) int copy = -1; /* as a child has between fork and exec */
    struct world w;

    open_world(&w);
    REQUIRE(loop_add_fd(w.loop, w.fds[0], EPOLLIN, remove_both, &w, &w.a) == 0);
    copy = dup(w.fds[0]);
    REQUIRE(copy >= 0 && close(w.fds[0]) == 0);
    loop_remove(w.a);
    w.fds[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop_set_after(w.loop, stop, &w);
    for (int i = 0; i < 3; i++) {
        loop_wake(w.loop);
        CHECK_EQ(loop_run(w.loop), 0);
    }
    CHECK_EQ(w.n_a, 0);
    close_world(&w);
}

static void note_a(void *arg)
{
    struct world *w = arg;

    w->n_a++;
    strcat(w->order, "a");
}

static void note_b(void *arg)
{
    struct world *w = arg;

    w->n_b++;
    strcat(w->order, "b");
}

static struct loop_source *add_timer(struct world *w, loop_fn *fn, uint64_t delay_ns)
{
    struct loop_source *timer = NULL;

    REQUIRE(loop_add_timer(w->loop, fn, w, &timer) == 0);
    loop_set_timer(timer, delay_ns);
    return timer;
}

TEST(timers_fire_once_in_the_order_of_their_time_and_never_early)
{
    uint64_t begin = io_now_ns();
    struct world w;

    open_world(&w);
    add_timer(&w, stop, 30 * MS);
    add_timer(&w, note_b, 20 * MS);
    add_timer(&w, note_a, 10 * MS);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_STR(w.order, "ab");
    CHECK(io_now_ns() - begin >= 30 * MS);
    close_world(&w);
}

TEST(a_timer_at_rest_stopped_or_removed_does_not_fire)
{
    struct loop_source *at_rest, *stopped, *removed;
    struct world w;

    open_world(&w);
    REQUIRE(loop_add_timer(w.loop, note_a, &w, &at_rest) == 0);
    stopped = add_timer(&w, note_a, 0);
    removed = add_timer(&w, note_a, 0);
    add_timer(&w, note_a, UINT64_MAX);
    add_timer(&w, stop, 5 * MS);
    loop_stop_timer(stopped);
    loop_stop_timer(at_rest);
    loop_remove(removed);
    loop_remove(NULL);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_EQ(w.n_a, 0);
    close_world(&w);
}

TEST(setting_a_timer_again_moves_it)
{
    struct loop_source *later, *sooner;
    struct world w;

    open_world(&w);
    later = add_timer(&w, note_a, 0);
    sooner = add_timer(&w, note_b, 3600 * 1000 * MS);
    loop_set_timer(later, 3600 * 1000 * MS);
    loop_set_timer(sooner, 1 * MS);
    add_timer(&w, stop, 5 * MS);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_STR(w.order, "b");
    close_world(&w);
}

static void again_at_once(void *arg)
{
    struct world *w = arg;

    w->n_b++;
    loop_set_timer(w->b, 0);
}

TEST(a_timer_that_is_always_due_starves_nobody)
{
    struct world w;

    open_world(&w);
    w.b = add_timer(&w, again_at_once, 0);
    REQUIRE(loop_add_fd(w.loop, w.fds[0], EPOLLIN, drain_and_stop, &w, &w.a) == 0);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_EQ(w.n_a, 1);
    CHECK(w.n_b <= 2);
    close_world(&w);
}

static void remove_itself(void *arg)
{
    struct world *w = arg;

    w->n_b++;
    loop_remove(w->b);
    loop_set_timer(w->b, 0); /* too late to matter */
    loop_stop(w->loop);
}

TEST(a_timer_may_remove_itself)
{
    struct world w;

    open_world(&w);
    w.b = add_timer(&w, remove_itself, 0);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_EQ(w.n_b, 1);
    close_world(&w);
}

static void count_and_stop_at_three(void *arg)
{
    struct world *w = arg;

    w->n_after++;
    if (w->n_after == 3)
        loop_stop(w->loop);
    else
        loop_wake(w->loop);
}

TEST(after_runs_once_a_turn)
{
    struct world w;

    open_world(&w);
    loop_set_after(w.loop, count_and_stop_at_three, &w);
    loop_wake(w.loop);
    loop_wake(w.loop);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_EQ(w.n_after, 3);
    close_world(&w);
}

static void count_turn(void *arg)
{
    struct world *w = arg;

    w->n_after++;
}

TEST(waiting_for_a_timer_takes_no_turns)
{
    struct world w;

    open_world(&w);
    loop_set_after(w.loop, count_turn, &w);
    for (uint64_t i = 1; i <= 10; i++)
        add_timer(&w, i == 10 ? stop : note_a, i * MS * 3 / 2);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK(w.n_after <= 20);
    close_world(&w);
}

static void *wake_from_outside(void *arg)
{
    struct world *w = arg;

    loop_wake(w->loop);
    return NULL;
}

TEST(another_thread_wakes_the_loop)
{
    pthread_t thread;
    struct world w;

    open_world(&w);
    loop_set_after(w.loop, stop, &w);
    REQUIRE(pthread_create(&thread, NULL, wake_from_outside, &w) == 0);
    CHECK_EQ(loop_run(w.loop), 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    close_world(&w);
}

static struct loop *signalled;

static void on_alarm(int sig)
{
    (void)sig;
    loop_wake(signalled);
}

static void stop_when_alarmed(void *arg)
{
    struct world *w = arg;

    w->n_after++;
    loop_stop(w->loop);
}

TEST(a_signal_handler_wakes_the_loop)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    struct world w;

    open_world(&w);
    signalled = w.loop;
    loop_set_after(w.loop, stop_when_alarmed, &w);
    REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
    ualarm(1000, 0);
    CHECK_EQ(loop_run(w.loop), 0);
    CHECK_EQ(w.n_after, 1);
    close_world(&w);
}

TEST(a_loop_that_was_stopped_before_it_ran_returns_at_once)
{
    struct world w;

    open_world(&w);
    loop_stop(w.loop);
    CHECK_EQ(loop_run(w.loop), 0);
    loop_close(NULL);
    close_world(&w);
}

static void hung_up(void *arg, uint32_t events)
{
    struct world *w = arg;

    CHECK(events & EPOLLHUP);
    loop_stop(w->loop);
}

TEST(a_peer_that_hangs_up_is_an_event)
{
    struct world w;
    int socks[2];

    open_world(&w);
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) == 0);
    REQUIRE(loop_add_fd(w.loop, socks[0], EPOLLIN, hung_up, &w, &w.a) == 0);
    close(socks[1]);
    CHECK_EQ(loop_run(w.loop), 0);
    loop_remove(w.a);
    close(socks[0]);
    close_world(&w);
}

TEST_MAIN
