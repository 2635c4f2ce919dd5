#include "copy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "copy/base/io.h"
#include "tests/unit/check.h"

/* What one log_say leaves on stderr. */
static const char *logged(int priority, const char *message)
{
    static char out[8192];
    int ends[2], saved;
    size_t n;

    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    REQUIRE(saved >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    errno = EUCLEAN;
    log_say(priority, "%s", message);
    CHECK_EQ(errno, EUCLEAN);
    REQUIRE(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    close(ends[1]);
    REQUIRE(io_read(ends[0], out, sizeof(out) - 1, &n) == 0);
    close(ends[0]);
    out[n] = '\0';
    return out;
}

TEST(a_message_is_one_line_with_its_priority)
{
    log_init("test-log", false);
    CHECK_STR(logged(LOG_ERR, "db1: disk full"), "<3>db1: disk full\n");
    CHECK_STR(logged(LOG_DEBUG, ""), "<7>\n");
    CHECK_STR(logged(LOG_NOTICE | LOG_DAEMON, "x"), "<5>x\n");
}

TEST(nobody_forges_a_second_line)
{
    CHECK_STR(logged(LOG_INFO, "a\n<0>b\x1b[2J"), "<6>a\\x0a<0>b\\x1b[2J\n");
}

TEST(a_long_message_is_cut_and_still_one_line)
{
    char message[5000];
    const char *line;

    memset(message, '\n', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    line = logged(LOG_INFO, message);
    CHECK(strlen(line) > 4000);
    CHECK(strchr(line, '\n') == line + strlen(line) - 1);
}

TEST_MAIN
