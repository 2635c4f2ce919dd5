#include "copy/base/crash.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"

/* How often a process passes "here" (up to 3 times) until it is killed: 0 if it never is. */
static int dies_at_passage(const char *wanted)
{
    for (int n = 1; n <= 3; n++) {
        int status = -1;
        pid_t pid = fork();

        if (pid == 0) {
            setenv("FERRYFS_CRASH", wanted, 1);
            for (int i = 0; i < n; i++) {
                CRASH_POINT("elsewhere");
                CRASH_POINT("here");
            }
            _exit(0);
        }
        REQUIRE(waitpid(pid, &status, 0) == pid);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
            return n;
        CHECK_EQ(status, 0);
    }
    return 0;
}

#ifdef FERRYFS_FAULTS

TEST(a_process_dies_at_the_passage_that_was_asked_for)
{
    CHECK_EQ(dies_at_passage("here"), 1);
    CHECK_EQ(dies_at_passage("here:1"), 1);
    CHECK_EQ(dies_at_passage("here:3"), 3);
    CHECK_EQ(dies_at_passage("here:4"), 0);
}

TEST(a_word_that_names_no_point_kills_nobody)
{
    static const char *const words[] = {"", "her", "hereafter", "here:", "here:0", "here:x"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        CHECK_EQ(dies_at_passage(words[i]), 0);
}

TEST(the_daemon_dies_too)
{
    char pid_text[16];
    int status = -1;
    pid_t daemon = fork();

    if (daemon == 0) {
        for (;;)
            pause();
    }
    snprintf(pid_text, sizeof(pid_text), "%d", (int)daemon);
    setenv("FERRYFS_CRASH_PID", pid_text, 1);
    CHECK_EQ(dies_at_passage("here"), 1);
    unsetenv("FERRYFS_CRASH_PID");
    REQUIRE(waitpid(daemon, &status, 0) == daemon);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

#else

TEST(no_point_kills_where_they_are_not_compiled_in)
{
    CHECK_EQ(dies_at_passage("here"), 0);
}

#endif

TEST_MAIN
