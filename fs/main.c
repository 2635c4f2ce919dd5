/*
 * ferryfs: the wiring. Options, the service, the mount, and waiting for the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "copy/crash_points.h"
#include "fs/attend.h"
#include "fs/attr/attr.h"
#include "fs/backend/backend.h"
#include "fs/backend/crash_points.h"
#include "fs/catalog/catalog.h"
#include "fs/migrate/events.h"
#include "fs/migrate/migration.h"
#include "fs/mount/mount.h"
#include "fs/notify.h"
#include "fs/options.h"
#include "fs/start.h"

#define START_MS 10000 /* the service is ready in 2 s, whatever hangs */
#define STOP_MS  1500

static int exit_code_of(int r)
{
    return r == -EALREADY ? EXIT_OWNED : EXIT_FAILED;
}

static int print(struct text *text)
{
    int r = EXIT_FAILED;

    if (!text->failed && (!text->n || fwrite(text->bytes, text->n, 1, stdout) == 1) &&
        fflush(stdout) == 0)
        r = EXIT_OK;
    text_deinit(text);
    return r;
}

/* What the tables say of themselves. */
static void (*const describers[])(struct text *out) = {
    [ACTION_HELP] = options_help,
    [ACTION_LIST_FILES] = attr_describe,
    [ACTION_LIST_METRICS] = attr_describe_metrics,
    [ACTION_LIST_EVENTS] = events_describe,
};

static int do_describe(const struct options *options)
{
    struct text text = {0};

    describers[options->action](&text);
    return print(&text);
}

static int do_version(const struct options *options)
{
    struct text text = {0};

    (void)options;
    text_add(&text, "ferryfs %s\n", FERRYFS_VERSION);
    return print(&text);
}

static const char *plural(const struct options *options)
{
    return options->service.n_hosts == 1 ? "" : "s";
}

static int do_check_config(const struct options *options)
{
    struct text text = {0};

    text_add(&text, "the configuration is right: %zu host%s, state in %s\n",
             options->service.n_hosts, plural(options), options->state_dir);
    return print(&text);
}

static int do_check_catalogue(const struct options *options)
{
    struct text text = {0};
    struct err e = {0};
    int r = catalog_check(options->state_dir, &text, &e), printed = print(&text);

    if (r < 0)
        fprintf(stderr, "ferryfs: %s\n", e.text);
    return r < 0 ? exit_code_of(r) : printed;
}

static int do_list_crash_points(const struct options *options)
{
    struct text text = {0};

    (void)options;
#ifdef FERRYFS_FAULTS
    migration_list_crash_points(&text);
    for (size_t i = 0; pool_crash_points[i]; i++)
        text_add(&text, "%s\n", pool_crash_points[i]);
    for (size_t i = 0; worker_crash_points[i]; i++)
        text_add(&text, "%s\n", worker_crash_points[i]);
    return print(&text);
#else
    fprintf(stderr, "ferryfs: this build has no crash points; configure it with -Dfaults=true\n");
    text_deinit(&text);
    return EXIT_FAILED;
#endif
}

static int do_pool_agent(const struct options *options)
{
    (void)options;
    prctl(PR_SET_NAME,
          "ferryfs-pool"); /* "exe" otherwise, in ps and in what we say of lock holders */
    return backend_agent_main();
}

/* What a run has besides the service: who hears of it, and what it hears. */
struct run {
    struct start start;
    struct notify notify;
    int signals; /* of a signalfd */
};

/* A disk holds a thread of ours, which uses what would be freed. */
static _Noreturn void leave(struct start *start, int r, const struct err *e)
{
    if (r < 0)
        start_fail(start, exit_code_of(r), e->text);
    _exit(r < 0 ? exit_code_of(r) : EXIT_OK);
}

static int serve(const struct options *options, struct service *service, struct run *run,
                 struct err *e)
{
    const struct mount_config config = {.path = options->mount_point,
                                        .source = options->source,
                                        .group = options->group,
                                        .allow_other = geteuid() == 0};
    struct attend *attend = NULL;
    struct mount *mount = NULL;
    int r = service_wait(service, START_MS), stopped;

    if (r == 0)
        r = mount_open(&config, service, &mount, e);
    else
        err_set(e, -r,
                r == -ETIMEDOUT ? "the disk of the state directory does not answer"
                                : "the service did not start");
    if (r == 0) {
        attend = attend_open(options, service, mount, &run->notify);
        if (!attend)
            r = err_set(e, ENOMEM, "no memory, or too many open files");
    }
    if (r == 0) {
        service_on_change(service, attend_changed, attend);
        r = mount_serve(mount);
        if (r < 0)
            err_set(e, -r, "cannot serve %s: %s", options->mount_point, strerror(-r));
    }
    if (r == 0) {
        log_say(LOG_NOTICE, "ferryfs %s: %zu host%s at %s", FERRYFS_VERSION,
                options->service.n_hosts, plural(options), options->mount_point);
        notify_say(&run->notify, "READY=1\n");
        r = start_end(&run->start);
        if (r == 0)
            attend_until_end(attend, run->signals);
    }
    stopped = service_stop(service, STOP_MS);
    if (stopped < 0) { /* a disk holds the owner: the journal is whole at any moment */
        log_say(LOG_ERR, "the catalogue's disk does not answer; leaving at once");
        mount_abandon(mount);
        leave(&run->start, r, e);
    }
    attend_close(attend);
    if (mount_close(mount) < 0) {
        log_say(LOG_ERR, "the storage of a volume's data does not answer; leaving at once");
        service_abandon(service);
        leave(&run->start, r, e);
    }
    return r;
}

static int do_run(const struct options *options)
{
    struct service_config config = options->service;
    struct run run = {.start = START_INIT, .signals = -1};
    struct service *service = NULL;
    char worker[PATH_MAX];
    struct err e = {0};
    int r = start_find_worker(worker, &e);

    config.worker_path = worker;
    if (r == 0)
        r = start_make_folders(options, &e);
    if (r == 0 && !options->foreground)
        r = start_leave_terminal(options, &run.start);
    start_prepare_process();
    log_init("ferryfs", !options->foreground);
    notify_open(&run.notify);
    if (r == 0)
        r = run.signals = start_signals_fd();
    if (r >= 0)
        r = service_open(&config, &service, &e);
    if (r == 0) {
        r = serve(options, service, &run, &e);
        service_close(service);
    }
    if (r < 0)
        start_fail(&run.start, exit_code_of(r), e.text[0] ? e.text : strerror(-r));
    owned_fd(&run.signals);
    notify_close(&run.notify);
    return r < 0 ? exit_code_of(r) : EXIT_OK;
}

static int (*const doers[])(const struct options *options) = {
    [ACTION_RUN] = do_run,
    [ACTION_HELP] = do_describe,
    [ACTION_VERSION] = do_version,
    [ACTION_CHECK_CONFIG] = do_check_config,
    [ACTION_CHECK_CATALOGUE] = do_check_catalogue,
    [ACTION_LIST_CRASH_POINTS] = do_list_crash_points,
    [ACTION_LIST_FILES] = do_describe,
    [ACTION_LIST_METRICS] = do_describe,
    [ACTION_LIST_EVENTS] = do_describe,
    [ACTION_POOL_AGENT] = do_pool_agent,
};

int main(int argc, char **argv)
{
    struct options options;
    struct err e = {0};
    int r, code;

    options_init(&options);
    r = options_parse(&options, argc, argv, &e);
    if (r == 0)
        code = doers[options.action](&options);
    else
        code = r == -EINVAL ? EXIT_USAGE : EXIT_CONFIG;
    options_deinit(&options);
    if (e.text[0]) /* getopt_long says itself what it does not know */
        fprintf(stderr, "ferryfs: %s\n", e.text);
    if (r == -EINVAL && !options.by_mount)
        fprintf(stderr, "Try 'ferryfs --help' for more information.\n");
    return start_exit_status(&options, code);
}
