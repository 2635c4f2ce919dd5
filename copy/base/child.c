/*
 * Between fork and exec only async-signal-safe calls are made: another thread may have held any
 * lock at the moment of the fork. What needs memory is made ready before.
 */
#include "copy/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"

#define FIRST_FD     3
#define EXIT_NO_EXEC 127

static void reset_signals(void)
{
    const struct sigaction preset = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &preset, NULL); /* refused for SIGKILL, SIGSTOP and libc's own */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int fill_stdin(const struct child_how *how)
{
    int fd = how && how->stdin_fd >= 0 ? how->stdin_fd : open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    if (fd == STDIN_FILENO)
        return fcntl(fd, F_SETFD, 0);
    return dup2(fd, STDIN_FILENO);
}

/* First all of them out of the way of each other, then each to its place. held: room for n_fds. */
static int place_fds(const int *fds, size_t n_fds, int *held, const struct child_how *how)
{
    int end = FIRST_FD + (int)n_fds;

    for (size_t i = 0; i < n_fds; i++) {
        held[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, end);
        if (held[i] < 0)
            return -1;
    }
    if (fill_stdin(how) < 0)
        return -1;
    for (size_t i = 0; i < n_fds; i++) {
        if (dup2(held[i], FIRST_FD + (int)i) < 0)
            return -1;
    }
    return close_range((unsigned)end, ~0u, 0);
}

/* What the child of a fork needs; all of it was made before. */
struct birth {
    char *const *argv;
    const int *fds;
    size_t n_fds;
    int *held;
    const struct child_how *how;
    pid_t parent;
    int armed[2]; /* a pipe: the child says that the death signal is set, the parent waits for that
                   */
};

static int estrange(const struct child_how *how)
{
    if (!how)
        return 0;
    if (setpgid(0, 0) < 0 || chdir("/") < 0)
        return -1;
    if (!how->drop)
        return 0;
    return setgroups(0, NULL) < 0 || setresgid(how->gid, how->gid, how->gid) < 0
               ? -1
               : setresuid(how->uid, how->uid, how->uid);
}

static _Noreturn void become(const struct birth *birth)
{
    if (estrange(birth->how) == 0 && child_die_with(birth->parent) == 0 &&
        io_write(birth->armed[1], "", 1) == 0 &&
        place_fds(birth->fds, birth->n_fds, birth->held, birth->how) == 0) {
        reset_signals();
        execve(birth->argv[0], birth->argv, birth->how ? birth->how->envp : environ);
    }
    _exit(EXIT_NO_EXEC);
}

/* None of our signal handlers may run in the child. Returns the pid or a negative errno. */
static pid_t give_birth(const struct birth *birth)
{
    sigset_t all, before;
    pid_t pid;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        become(birth);
    if (pid < 0)
        pid = -errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

/*
 * If this thread ended before the child asked to die with it, the child would live on as that of
 * another thread: hence the pipe. Its end without a byte is a child that died at once.
 */
static int start(struct child *child, struct birth *birth)
{
    OWNED(fd) int armed = birth->armed[0], arming = birth->armed[1];
    char byte;
    size_t n;
    int r;

    child->pid = give_birth(birth);
    if (child->pid < 0)
        return child->pid;
    close(take_fd(&arming));
    r = io_read(armed, &byte, 1, &n);
    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd < 0)
        r = -errno;
    if (r < 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
        owned_fd(&child->pidfd);
    }
    return r;
}

int child_start(struct child *child, char *const argv[], const int *fds, size_t n_fds)
{
    return child_start_how(child, argv, fds, n_fds, NULL);
}

int child_start_how(struct child *child, char *const argv[], const int *fds, size_t n_fds,
                    const struct child_how *how)
{
    OWNED(mem) int *held = calloc(n_fds + 1, sizeof(*held));
    struct birth birth = {argv, fds, n_fds, held, how, getpid(), {-1, -1}};
    struct child started = CHILD_NONE;
    int r;

    if (!held)
        return -ENOMEM;
    if (pipe2(birth.armed, O_CLOEXEC) < 0)
        return -errno;
    r = start(&started, &birth);
    if (r == 0)
        *child = started;
    return r;
}

void child_kill(const struct child *child)
{
    if (child->pidfd >= 0)
        pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
}

/* It is not reaped yet, so its number is still that of its group. */
void child_kill_group(const struct child *child)
{
    if (child->pid > 0)
        kill(-child->pid, SIGKILL);
}

int child_reap(struct child *child, int *ret_status)
{
    int status, r;
    pid_t pid;

    if (child->pid <= 0)
        return -ECHILD;
    pid = waitpid(child->pid, &status, WNOHANG);
    if (pid == 0)
        return 0;
    r = pid < 0 ? -errno : 1; /* an error means that there is no such child any more */
    if (r == 1)
        *ret_status = status;
    close(child->pidfd);
    *child = CHILD_NONE;
    return r;
}

int child_die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    return getppid() == parent ? 0 : -ESRCH;
}

void child_describe(int status, char *out, size_t cap)
{
    if (WIFEXITED(status))
        snprintf(out, cap, "exit %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        snprintf(out, cap, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, cap, "wait status %#x", (unsigned)status);
}
