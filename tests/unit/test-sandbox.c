/* What a process in the sandbox cannot do any more, tried in a child that has entered it. */
#include "copy/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "tests/unit/check.h"

#define NOBODY      65534
#define PATIENCE_MS 20000

#if defined(FERRYFS_FAULTS) || defined(FERRYFS_SANITIZED)
#define FILTERS_CALLS false
#else
#define FILTERS_CALLS true
#endif

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

/* What is tried: 0, or an errno. */

static int result_of(int r)
{
    return r < 0 ? errno : 0;
}

static int try_reading(void)
{
    return result_of(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
}

static int try_writing(void)
{
    return result_of(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static int try_making_a_file(void)
{
    return result_of(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

static int try_removing_a_directory(void)
{
    return result_of(rmdir("/tmp/no such directory"));
}

static int try_running(void)
{
    char *argv[] = {(char[]){"/bin/true"}, NULL};

    return result_of(execv(argv[0], argv));
}

static int try_connecting(void)
{
    return result_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_forking(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return result_of(pid);
}

static int try_killing(void)
{
    return result_of(kill(getppid(), 0));
}

static int try_changing_user(void)
{
    return result_of(setresuid(0, 0, 0));
}

/* How it ends by the filter of system calls, and where there is none by landlock: an errno, or the
 * signal that kills, negative. LET_BE: it is nothing of landlock's. */
enum { LET_BE = 1000 };

static const struct attempt {
    const char *name;
    int (*try)(void);
    int filtered, unfiltered;
} attempts[] = {
    {"reading a file", try_reading, EPERM, EACCES},
    {"writing a file", try_writing, EPERM, EACCES},
    {"making a file", try_making_a_file, EPERM, EACCES},
    {"removing a directory", try_removing_a_directory, EPERM, LET_BE},
    {"running a program", try_running, -SIGSYS, EACCES},
    {"connecting", try_connecting, EPERM, LET_BE},
    {"forking", try_forking, EPERM, LET_BE},
    {"killing", try_killing, -SIGSYS, LET_BE},
    {"changing the user", try_changing_user, EPERM, LET_BE},
};

static void enter(void)
{
    struct err e = {0};

    if (sandbox_enter(&e) < 0) {
        dprintf(2, "# %s\n", e.text);
        _exit(255);
    }
}

/* What comes of it in a child: an errno, or the signal that killed it, negative. */
static int attempt(int (*try)(void))
{
    pid_t pid = fork();
    int status;

    REQUIRE(pid >= 0);
    if (pid == 0) {
        enter();
        _exit(try());
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK(!WCOREDUMP(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(inside_no_file_is_opened_no_program_run_and_nobody_called)
{
    for (size_t i = 0; i < ARRAY_N(attempts); i++) {
        int wanted = FILTERS_CALLS ? attempts[i].filtered : attempts[i].unfiltered;

        if (wanted == LET_BE || (!FILTERS_CALLS && !has_landlock()))
            continue;
        CHECK_EQ(attempt(attempts[i].try), wanted);
        if (check_failures) {
            printf("# %s\n", attempts[i].name);
            break;
        }
    }
}

static int core_limit(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur || limit.rlim_max ? 1 : 0;
}

static int die_by_abort(void)
{
    abort();
}

TEST(it_dumps_no_core)
{
    CHECK_EQ(attempt(core_limit), 0);
    CHECK_EQ(attempt(die_by_abort), -SIGABRT);
}

/* A child of ours that waits inside until the other end of its socket is closed. It was not root
 * before. */
static pid_t inmate_start(int socket)
{
    pid_t pid = fork();
    char byte = 0;

    REQUIRE(pid >= 0);
    if (pid > 0)
        return pid;
    if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
        _exit(1);
    prctl(PR_SET_DUMPABLE, 1); /* as a process is that never changed its user */
    enter();
    if (write(socket, &byte, 1) == 1 && read(socket, &byte, 1) == 0)
        _exit(0);
    _exit(1);
}

static void await_inmate(int socket)
{
    char byte;

    REQUIRE(read(socket, &byte, 1) == 1);
}

/* Source: proc(5): of a process that cannot be dumped root owns what is in /proc/PID. */
TEST(others_of_its_user_cannot_look_into_it)
{
    int ends[2], status = -1;
    char path[64];
    struct stat st;
    pid_t pid;

    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    pid = inmate_start(ends[1]);
    await_inmate(ends[0]);
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    REQUIRE(stat(path, &st) == 0);
    CHECK_EQ(st.st_uid, 0);
    REQUIRE(shutdown(ends[0], SHUT_WR) == 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    close(ends[0]);
    close(ends[1]);
}

TEST(it_dies_with_its_parent)
{
    struct pollfd dead;
    int ends[2];
    pid_t parent;

    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    parent = fork();
    REQUIRE(parent >= 0);
    if (parent == 0) {
        inmate_start(ends[1]);
        for (;;)
            pause();
    }
    close(ends[1]);
    await_inmate(ends[0]);
    REQUIRE(kill(parent, SIGKILL) == 0 && waitpid(parent, NULL, 0) == parent);
    dead = (struct pollfd){.fd = ends[0], .events = POLLRDHUP};
    CHECK_EQ(poll(&dead, 1, PATIENCE_MS), 1); /* nobody holds its end any more */
    REQUIRE(shutdown(ends[0], SHUT_WR) == 0);
    close(ends[0]);
}

TEST_MAIN
