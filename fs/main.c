/*
 * ferryfs: the wiring. Options, the service, the mount, and waiting for the end.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "copy/crash_points.h"
#include "fs/attr/attr.h"
#include "fs/backend/backend.h"
#include "fs/backend/crash_points.h"
#include "fs/catalog/catalog.h"
#include "fs/migrate/migration.h"
#include "fs/mount/mount.h"
#include "fs/options.h"

enum exit_code { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_CONFIG, EXIT_OWNED = 75 };

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

/* /run is empty after a boot. Another mount point is the administrator's to make. */
static int make_default_mount_point(const struct options *options, struct err *e)
{
    if (strcmp(options->mount_point, OPTIONS_MOUNT_POINT) != 0 ||
        mkdir(options->mount_point, 0755) == 0 || errno == EEXIST)
        return 0;
    return err_set(e, errno, "cannot make %s: %s", options->mount_point, strerror(errno));
}

/* Every directory down to the state's, as mkdir -p does; the last by the catalogue, 0700. */
static int make_parents(const char *path)
{
    OWNED(mem) char *copy = strdup(path);

    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return copy ? 0 : -ENOMEM;
}

/* Installed, or beside us in the build tree, or where FERRYFS_WORKER says. */
static int find_worker(char out[PATH_MAX], struct err *e)
{
    char here[PATH_MAX / 2], beside[PATH_MAX];
    const char *places[] = {getenv("FERRYFS_WORKER"), beside, FERRYFS_LIBEXEC "/copy-worker"};
    ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - 1);
    char *slash;

    here[n > 0 ? n : 0] = '\0';
    slash = strrchr(here, '/');
    if (slash)
        *slash = '\0';
    snprintf(beside, sizeof(beside), "%s/../copy/copy-worker", here);
    for (size_t i = 0; i < ARRAY_N(places); i++) {
        if (!places[i])
            continue;
        snprintf(out, PATH_MAX, "%s", places[i]);
        if (access(out, X_OK) == 0)
            return 0;
    }
    return err_set(e, ENOENT,
                   "copy-worker is not at %.200s; install ferryfs, or set FERRYFS_WORKER", out);
}

static void prepare_process(void)
{
    struct rlimit files;

    /* Leases are polled; their signal must not end us. A reader that goes must not either. */
    signal(SIGIO, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    umask(077);
#ifdef FERRYFS_FAULTS
    char pid[16];

    snprintf(pid, sizeof(pid), "%d", getpid());
    setenv("FERRYFS_CRASH_PID", pid, 1);
#endif
}

/* Whoever waits for the end of our output, a pipe or $( ), does not wait for the daemon's. */
static int let_go_of_stdio(int *ret_terminal_fd)
{
    OWNED(fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    *ret_terminal_fd = fcntl(2, F_DUPFD_CLOEXEC, 3);
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        if (dup2(null, fd) < 0)
            return -errno;
    return null < 0 ? -errno : 0;
}

/* Leave the terminal; the parent stays until `ready_fd` tells how the start went. */
static int leave_terminal(int *ret_ready_fd, int *ret_terminal_fd)
{
    unsigned char code = EXIT_FAILED;
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        close(fds[1]);
        if (read(fds[0], &code, 1) != 1)
            code = EXIT_FAILED;
        _exit(code);
    }
    close(fds[0]);
    *ret_ready_fd = fds[1];
    if (setsid() < 0 || chdir("/") < 0)
        return -errno;
    return let_go_of_stdio(ret_terminal_fd);
}

static int tell_parent(int ready_fd, unsigned char code)
{
    return write(ready_fd, &code, 1) == 1 ? 0 : -errno;
}

static int signals_fd(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -EINVAL;
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Until a signal or the end of the mount. */
static void wait_for_end(int signals, struct mount *mount)
{
    struct pollfd fds[2] = {{.fd = signals, .events = POLLIN},
                            {.fd = mount_ended_fd(mount), .events = POLLIN}};
    struct signalfd_siginfo info;

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        if (fds[1].revents) {
            log_say(LOG_NOTICE, "ending: unmounted");
            return;
        }
        if (!(fds[0].revents & POLLIN) || read(signals, &info, sizeof(info)) != sizeof(info))
            continue;
        if (info.ssi_signo != SIGHUP) {
            log_say(LOG_NOTICE, "ending: signal %u", info.ssi_signo);
            return;
        }
        log_say(LOG_WARNING,
                "SIGHUP: the configuration is read at the start; restart to change it");
    }
}

/* The descriptors of a start: what tells the parent, and the terminal of whoever started us. */
struct start {
    int ready_fd, terminal_fd; /* -1: none, in the foreground or later */
};

/* The start is over: nobody who waits for the end of our output waits for us any longer. */
static int end_start(struct start *start)
{
    int r = start->ready_fd < 0 ? 0 : tell_parent(start->ready_fd, EXIT_OK);

    owned_fd(&start->ready_fd);
    owned_fd(&start->terminal_fd);
    start->ready_fd = start->terminal_fd = -1;
    return r;
}

static int serve(const struct options *options, struct service *service, int signals,
                 struct start *start, struct err *e)
{
    struct mount_config config = {
        .path = options->mount_point, .group = options->group, .allow_other = geteuid() == 0};
    struct mount *mount = NULL;
    int r = service_wait(service, START_MS), stopped;

    if (r == 0)
        r = mount_open(&config, service, &mount, e);
    else
        err_set(e, -r, "the service did not start");
    if (r == 0) {
        service_on_change(service, mount_changed, mount);
        r = mount_serve(mount);
        if (r < 0)
            err_set(e, -r, "cannot serve %s: %s", options->mount_point, strerror(-r));
    }
    if (r == 0) {
        log_say(LOG_NOTICE, "ferryfs %s: %zu host%s at %s", FERRYFS_VERSION,
                options->service.n_hosts, plural(options), options->mount_point);
        r = end_start(start);
        if (r == 0)
            wait_for_end(signals, mount);
    }
    stopped = service_stop(service, STOP_MS);
    if (stopped < 0) { /* a disk holds the owner: the journal is whole at any moment */
        log_say(LOG_ERR, "the catalogue's disk does not answer; leaving at once");
        mount_detach(mount);
        _exit(r < 0 ? EXIT_FAILED : EXIT_OK);
    }
    mount_close(mount);
    return r;
}

static int do_run(const struct options *options)
{
    struct service_config config = options->service;
    struct service *service = NULL;
    char worker[PATH_MAX];
    struct start start = {-1, -1};
    OWNED(fd) int signals = -1;
    struct err e = {0};
    int r = find_worker(worker, &e);

    config.worker_path = worker;
    if (r == 0) {
        r = make_parents(options->state_dir);
        if (r < 0)
            err_set(&e, -r, "cannot make the folders down to %.150s: %s", options->state_dir,
                    strerror(-r));
    }
    if (r == 0)
        r = make_default_mount_point(options, &e);
    if (r == 0 && !options->foreground)
        r = leave_terminal(&start.ready_fd, &start.terminal_fd);
    prepare_process();
    log_init("ferryfs", !options->foreground);
    if (r == 0)
        r = signals = signals_fd();
    if (r >= 0)
        r = service_open(&config, &service, &e);
    if (r == 0) {
        r = serve(options, service, signals, &start, &e);
        service_close(service);
    }
    if (r < 0) {
        dprintf(start.terminal_fd < 0 ? 2 : start.terminal_fd, "ferryfs: %s\n",
                e.text[0] ? e.text : strerror(-r));
        if (start.ready_fd >= 0)
            tell_parent(start.ready_fd, (unsigned char)exit_code_of(r));
    }
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
    [ACTION_POOL_AGENT] = do_pool_agent,
};

int main(int argc, char **argv)
{
    struct options options;
    struct err e = {0};
    int r;

    options_init(&options);
    r = options_parse(&options, argc, argv, &e);
    if (r == 0) {
        r = doers[options.action](&options);
        options_deinit(&options);
        return r;
    }
    options_deinit(&options);
    if (e.text[0]) /* getopt_long says itself what it does not know */
        fprintf(stderr, "ferryfs: %s\n", e.text);
    if (r == -EINVAL)
        fprintf(stderr, "Try 'ferryfs --help' for more information.\n");
    return r == -EINVAL ? EXIT_USAGE : EXIT_CONFIG;
}
