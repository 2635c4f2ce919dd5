#include "copy/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "tests/unit/check.h"

#define DEADLINE_MS 20000

static void start(struct child *child, const char *script, const int *fds, size_t n_fds)
{
    char *const argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, strdup(script), NULL};

    *child = CHILD_NONE;
    REQUIRE(child_start(child, argv, fds, n_fds) == 0);
    free(argv[2]);
}

static int await(struct child *child)
{
    struct pollfd death = {.fd = child->pidfd, .events = POLLIN};
    int status = -1;

    REQUIRE(poll(&death, 1, DEADLINE_MS) == 1);
    CHECK_EQ(child_reap(child, &status), 1);
    CHECK_EQ(child->pid, 0);
    CHECK_EQ(child->pidfd, -1);
    return status;
}

/* What a script says on descriptor 3. */
static const char *said(const char *script)
{
    static char out[4096];
    struct child child;
    int ends[2];
    size_t n;

    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    start(&child, script, &ends[1], 1);
    close(ends[1]);
    REQUIRE(io_read(ends[0], out, sizeof(out) - 1, &n) == 0);
    out[n] = '\0';
    close(ends[0]);
    CHECK_EQ(await(&child), 0);
    return out;
}

TEST(a_child_tells_how_it_ended)
{
    struct child child;
    char words[64];
    int status;

    start(&child, "exit 3", NULL, 0);
    status = await(&child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    child_describe(status, words, sizeof(words));
    CHECK_STR(words, "exit 3");
    start(&child, "kill -9 $$", NULL, 0);
    child_describe(await(&child), words, sizeof(words));
    CHECK_STR(words, "signal 9 (Killed)");
}

TEST(a_program_that_is_not_there_shows_as_127)
{
    char *const argv[] = {(char[]){"/nonexistent/program"}, NULL};
    struct child child;
    int status;

    REQUIRE(child_start(&child, argv, NULL, 0) == 0);
    status = await(&child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 127);
}

TEST(a_living_child_is_not_reaped_and_a_killed_one_is)
{
    int ends[2], status = 77;
    struct child child;

    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    start(&child, "read x <&3", &ends[0], 1);
    CHECK_EQ(child_reap(&child, &status), 0);
    CHECK_EQ(status, 77);
    child_kill(&child);
    status = await(&child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_EQ(child_reap(&child, &status), -ECHILD);
    child_kill(&child);
    close(ends[0]);
    close(ends[1]);
}

TEST(a_child_has_the_descriptors_it_was_given_and_no_other)
{
    OWNED(fd) int stranger = fcntl(STDOUT_FILENO, F_DUPFD, 50); /* not close-on-exec */

    CHECK(stranger >= 50);
    CHECK_STR(said("for f in 0 1 2 3 4 5 6 7 8 9 50 51; do"
                   " [ -e /proc/$$/fd/$f ] && printf '%s ' $f >&3; done; true"),
              "0 1 2 3 ");
    CHECK_STR(said("readlink /proc/$$/fd/0 >&3"), "/dev/null\n");
}

/* A file that is unlinked, holds one letter and has exactly this descriptor number. */
static void file_at(int fd, char letter)
{
    char name[] = "/tmp/ferryfs-test-child-XXXXXX";
    OWNED(fd) int file = mkstemp(name);
    OWNED(fd) int high = fcntl(file, F_DUPFD_CLOEXEC, 100);

    REQUIRE(high >= 0 && unlink(name) == 0 && io_pwrite(high, &letter, 1, 0) == 0);
    REQUIRE(dup3(high, fd, O_CLOEXEC) == fd);
    if (file == fd)
        take_fd(&file);
}

TEST(descriptors_that_stand_in_each_others_place_arrive_in_order)
{
    enum { FIRST = 3, N = 5 };
    static const int crossed[N] = {FIRST + 4, FIRST + 3, FIRST + 2, FIRST, FIRST};
    struct child child;
    int saved[N], status;

    for (int i = 0; i < N; i++) {
        saved[i] = fcntl(FIRST + i, F_DUPFD_CLOEXEC, 100);
        file_at(FIRST + i, (char)('a' + i));
    }
    start(&child,
          "[ \"$(cat /proc/self/fd/3)\" = e ] && [ \"$(cat /proc/self/fd/4)\" = d ] &&"
          " [ \"$(cat /proc/self/fd/5)\" = c ] && [ \"$(cat /proc/self/fd/6)\" = a ] &&"
          " [ \"$(cat /proc/self/fd/7)\" = a ] && ! [ -e /proc/self/fd/8 ]",
          crossed, N);
    status = await(&child);
    CHECK_EQ(status, 0);
    for (int i = 0; i < N; i++) {
        close(FIRST + i);
        if (saved[i] >= 0)
            REQUIRE(dup3(saved[i], FIRST + i, O_CLOEXEC) >= 0 && close(saved[i]) == 0);
    }
}

TEST(a_closed_stdin_of_ours_does_not_disturb_a_child)
{
    int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 100);

    close(STDIN_FILENO);
    CHECK_STR(said("readlink /proc/$$/fd/0 >&3"), "/dev/null\n");
    if (saved >= 0) {
        dup2(saved, STDIN_FILENO);
        close(saved);
    }
}

/* Told by grep itself, on our stdout: a shell would unblock signals of its own accord. */
static const char *signals_of_a_child(void)
{
    static char out[256];
    char *const argv[] = {(char[]){"/bin/grep"}, (char[]){"-E"}, (char[]){"^Sig(Blk|Ign)"},
                          (char[]){"/proc/self/status"}, NULL};
    struct child child;
    int ends[2], saved;
    size_t n;

    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    REQUIRE(saved >= 0 && dup2(ends[1], STDOUT_FILENO) >= 0);
    REQUIRE(child_start(&child, argv, NULL, 0) == 0);
    REQUIRE(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    close(ends[1]);
    REQUIRE(io_read(ends[0], out, sizeof(out) - 1, &n) == 0);
    close(ends[0]);
    CHECK_EQ(await(&child), 0);
    return out;
}

TEST(signals_are_at_their_defaults_in_a_child)
{
    sigset_t blocked, before;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGUSR1);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &blocked, &before) == 0);
    signal(SIGPIPE, SIG_IGN);
    CHECK_STR(signals_of_a_child(), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    CHECK(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
    REQUIRE(pthread_sigmask(SIG_SETMASK, &before, &blocked) == 0);
    CHECK(sigismember(&blocked, SIGTERM) && !sigismember(&blocked, SIGINT));
}

struct start {
    struct child child;
    int fd;
};

static void *start_and_end(void *arg)
{
    struct start *s = arg;

    start(&s->child, "read x <&3", &s->fd, 1);
    return NULL;
}

TEST(a_child_dies_with_the_thread_that_started_it)
{
    struct start s = {CHILD_NONE, -1};
    pthread_t thread;
    int ends[2], status;

    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    s.fd = ends[0];
    REQUIRE(pthread_create(&thread, NULL, start_and_end, &s) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    status = await(&s.child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(ends[0]);
    close(ends[1]);
}

TEST(a_dead_parent_is_noticed)
{
    pid_t pid = fork();
    int status = -1, sig = -1;

    if (pid == 0)
        _exit(child_die_with(getpid()) == -ESRCH && child_die_with(getppid()) == 0 &&
                      prctl(PR_GET_PDEATHSIG, &sig) == 0 && sig == SIGKILL
                  ? 0
                  : 1);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK_EQ(status, 0);
}

static void *start_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        struct child child;

        start(&child, "exit 0", NULL, 0);
        CHECK_EQ(await(&child), 0);
    }
    return NULL;
}

TEST(threads_start_children_at_the_same_time)
{
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_N(threads); i++)
        REQUIRE(pthread_create(&threads[i], NULL, start_many, NULL) == 0);
    for (size_t i = 0; i < ARRAY_N(threads); i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
}

/* Of a program that is none of ours: what a script says to descriptor 3. */
static const char *said_as(const char *script, struct child_how *how)
{
    static char out[4096];
    char *const argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, strdup(script), NULL};
    struct child child = CHILD_NONE;
    int ends[2];
    size_t n;

    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    REQUIRE(child_start_how(&child, argv, &ends[1], 1, how) == 0);
    free(argv[2]);
    close(ends[1]);
    REQUIRE(io_read(ends[0], out, sizeof(out) - 1, &n) == 0);
    out[n] = '\0';
    close(ends[0]);
    CHECK_EQ(await(&child), 0);
    return out;
}

TEST(a_program_of_others_has_its_own_environment_stdin_folder_and_group)
{
    char *const envp[] = {(char[]){"PATH=/usr/bin:/bin"}, (char[]){"A=b c"}, NULL};
    int ends[2];
    struct child_how how = {.envp = envp};

    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    REQUIRE(write(ends[1], "in\n", 3) == 3);
    close(ends[1]);
    how.stdin_fd = ends[0];
    CHECK_STR(said_as("{ cat; pwd; env | grep -vE '^(PWD|_|SHLVL)=' | sort; } >&3", &how),
              "in\n/\nA=b c\nPATH=/usr/bin:/bin\n");
    close(ends[0]);
    how.stdin_fd = -1;
    CHECK_STR(said_as("{ cat; ls /proc/self/fd | tr '\\n' ' '; } >&3", &how), "0 1 2 3 4 ");
    CHECK_STR(said_as("test $(cut -d' ' -f5 /proc/self/stat) = $$ && echo group >&3", &how),
              "group\n");
}

TEST(a_program_of_others_has_the_rights_of_its_user_alone)
{
    char *const envp[] = {NULL};
    struct child_how how = {
        .stdin_fd = -1, .envp = envp, .drop = geteuid() == 0, .uid = 65534, .gid = 65533};

    if (!how.drop) {
        printf("# only root can drop what he may\n");
        return;
    }
    CHECK_STR(said_as("/bin/grep -E '^(Uid|Gid|Groups|CapPrm|CapEff):' /proc/self/status | "
                      "/usr/bin/tr '\\t' ' ' >&3",
                      &how),
              "Uid: 65534 65534 65534 65534\nGid: 65533 65533 65533 65533\nGroups:  \n"
              "CapPrm: 0000000000000000\nCapEff: 0000000000000000\n");
}

TEST(a_group_is_ended_with_all_that_it_started)
{
    char *const envp[] = {NULL};
    char *const argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"},
                          (char[]){"/usr/bin/tail -f /dev/null & echo >&3; wait"}, NULL};
    const struct child_how how = {.stdin_fd = -1, .envp = envp};
    struct child child = CHILD_NONE;
    char byte;
    int ends[2];
    size_t n;

    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    REQUIRE(child_start_how(&child, argv, &ends[1], 1, &how) == 0);
    close(ends[1]);
    REQUIRE(io_read(ends[0], &byte, 1, &n) == 0 && n == 1);
    child_kill_group(&child);
    CHECK_EQ(await(&child), 9);
    CHECK_EQ(io_read(ends[0], &byte, 1, &n), 0); /* ends once the last one is gone */
    CHECK_EQ(n, 0);
    close(ends[0]);
}

TEST_MAIN
