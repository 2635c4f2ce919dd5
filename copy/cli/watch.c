#include "copy/cli/watch.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/base/loop.h"
#include "copy/cli/control.h"
#include "copy/cli/control_lines.h"
#include "copy/cli/hold.h"
#include "copy/cli/place.h"
#include "copy/cli/progress.h"

struct watch {
    struct cli *cli;
    cli_run_fn *run;
    struct cli_result *result;
    struct loop *loop;
    struct cli_control control;
    struct cli_control_lines control_lines;
    struct cli_progress progress;
    struct cli_hold hold;
    struct loop_source *signals, *end, *timer;
    int signal_fd, end_fd; /* readable: a signal; the work has ended */
    int stopped_by;
};

static void wake(int fd)
{
    const uint64_t one = 1;

    /* An eventfd at 1 cannot fail. */
    (void)io_write(fd, &one, sizeof(one));
}

static void *work(void *arg)
{
    struct watch *watch = arg;

    watch->run(watch->cli, watch->result);
    wake(watch->end_fd);
    return NULL;
}

/* The work hangs in something that cannot be stopped. */
static void end_by(int signo)
{
    sigset_t set;

    cli_progress_clear();
    signal(signo, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signo);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(signo);
}

static void on_signal(void *arg, uint32_t events)
{
    struct watch *watch = arg;
    struct signalfd_siginfo info;

    (void)events;
    if (io_read(watch->signal_fd, &info, sizeof(info), NULL) < 0)
        return;
    if (info.ssi_signo == SIGUSR1) {
        cli_control_read(&watch->control);
        cli_progress_line(&watch->progress);
        return;
    }
    if (watch->stopped_by) {
        const struct place *unfinished = atomic_load(&watch->cli->unfinished);

        cli_hold_release(&watch->hold);
        if (unfinished)
            place_unlink(unfinished);
        end_by((int)info.ssi_signo);
    }
    watch->stopped_by = (int)info.ssi_signo;
    atomic_store(&watch->cli->stop, true);
    wake(watch->cli->stop_fd);
}

static void on_end(void *arg, uint32_t events)
{
    struct watch *watch = arg;

    (void)events;
    loop_stop(watch->loop);
}

static void on_time(void *arg)
{
    struct watch *watch = arg;

    loop_set_timer(watch->timer, cli_progress_tick(&watch->progress));
}

/* What whoever started us wants ignored (nohup, a background job) stays so. */
static int signals_open(void)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction now;
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    for (size_t i = 0; i < ARRAY_N(stops); i++) {
        if (sigaction(stops[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaddset(&set, stops[i]);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int watch_open(struct watch *watch, struct err *e)
{
    struct cli *cli = watch->cli;
    int r;

    watch->signal_fd = signals_open();
    watch->end_fd = eventfd(0, EFD_CLOEXEC);
    cli->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (watch->signal_fd < 0 || watch->end_fd < 0 || cli->stop_fd < 0)
        return err_set(e, errno, "cannot watch for signals: %s", strerror(errno));
    r = loop_open(&watch->loop);
    if (r == 0)
        r = loop_add_fd(watch->loop, watch->signal_fd, EPOLLIN, on_signal, watch, &watch->signals);
    if (r == 0)
        r = loop_add_fd(watch->loop, watch->end_fd, EPOLLIN, on_end, watch, &watch->end);
    if (r == 0)
        r = loop_add_timer(watch->loop, on_time, watch, &watch->timer);
    if (r < 0)
        return err_set(e, -r, "cannot watch for signals: %s", strerror(-r));
    r = cli_control_begin(&watch->control, cli, watch->loop, cli->options->control, e);
    if (r < 0)
        return r;
    return cli_control_lines_begin(&watch->control_lines, cli, watch->loop,
                                   cli->options->control_fd, e);
}

static void watch_close(struct watch *watch)
{
    cli_control_lines_end(&watch->control_lines);
    cli_control_end(&watch->control);
    loop_remove(watch->timer);
    loop_remove(watch->end);
    loop_remove(watch->signals);
    loop_close(watch->loop);
    owned_fd(&watch->signal_fd);
    owned_fd(&watch->end_fd);
    owned_fd(&watch->cli->stop_fd);
}

static int watch_run(struct watch *watch, struct err *e)
{
    pthread_t thread;
    int r;

    loop_set_timer(watch->timer, 0);
    r = pthread_create(&thread, NULL, work, watch);
    if (r != 0)
        return err_set(e, r, "cannot start a thread: %s", strerror(r));
    r = loop_run(watch->loop);
    if (r < 0) /* nobody to hear of signals any more; the work goes on */
        cli_say("cannot watch for signals: %s", strerror(-r));
    pthread_join(thread, NULL);
    return 0;
}

void cli_watch(struct cli *cli, cli_run_fn *run, struct cli_result *result, int *ret_signal)
{
    struct watch watch = {.cli = cli,
                          .run = run,
                          .result = result,
                          .control = {.fd = -1},
                          .signal_fd = -1,
                          .end_fd = -1};
    int r;

    cli->stop_fd = -1;
    cli_progress_begin(&watch.progress, cli);
    cli_hold_look(&watch.hold, cli->options);
    r = watch_open(&watch, &result->err);
    if (r == 0)
        r = watch_run(&watch, &result->err);
    if (r < 0)
        result->status = cli_trouble(cli->options);
    cli_progress_end(&watch.progress, result);
    cli_hold_end(&watch.hold);
    watch_close(&watch);
    *ret_signal = result->status == CLI_DONE ? 0 : watch.stopped_by;
}
