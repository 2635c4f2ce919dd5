#include "fs/start.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy/base/cleanup.h"

/* Source: mount(8), EXIT STATUS. */
enum { MOUNT_OK = 0, MOUNT_USAGE = 1, MOUNT_FAILED = 32 };

int start_exit_status(const struct options *options, int code)
{
    if (!options->by_mount)
        return code;
    if (code == EXIT_OK)
        return MOUNT_OK;
    return code == EXIT_USAGE ? MOUNT_USAGE : MOUNT_FAILED;
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

int start_make_folders(const struct options *options, struct err *e)
{
    int r = make_parents(options->state_dir);

    if (r < 0)
        return err_set(e, -r, "cannot make the folders down to %.150s: %s", options->state_dir,
                       strerror(-r));
    return make_default_mount_point(options, e);
}

/* Installed, or beside us in the build tree, or where FERRYFS_WORKER says. */
int start_find_worker(char out[PATH_MAX], struct err *e)
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

void start_prepare_process(void)
{
    struct rlimit files;

    /* Leases are polled; their signal must not end us. A reader that goes must not either. */
    signal(SIGIO, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_NAME, "ferryfs"); /* also where mount(8) called us by another name */
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

int start_leave_terminal(const struct options *options, struct start *start)
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
        _exit(start_exit_status(options, code));
    }
    close(fds[0]);
    start->ready_fd = fds[1];
    /* An automount lets only those pass who are in one process group with mount(8). */
    start->leaves_late = options->by_mount;
    if ((!start->leaves_late && setsid() < 0) || chdir("/") < 0)
        return -errno;
    return let_go_of_stdio(&start->terminal_fd);
}

static int tell_parent(int ready_fd, unsigned char code)
{
    return write(ready_fd, &code, 1) == 1 ? 0 : -errno;
}

int start_signals_fd(void)
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

int start_end(struct start *start)
{
    int r = start->leaves_late && setsid() < 0 ? -errno : 0;

    if (r == 0 && start->ready_fd >= 0)
        r = tell_parent(start->ready_fd, EXIT_OK);
    owned_fd(&start->ready_fd);
    owned_fd(&start->terminal_fd);
    *start = START_INIT;
    return r;
}

void start_fail(struct start *start, int code, const char *why)
{
    dprintf(start->terminal_fd < 0 ? STDERR_FILENO : start->terminal_fd, "ferryfs: %s\n", why);
    if (start->ready_fd >= 0)
        tell_parent(start->ready_fd, (unsigned char)code);
}
