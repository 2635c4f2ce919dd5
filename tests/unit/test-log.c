#include "copy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "copy/base/io.h"
#include "tests/unit/check.h"

/* What one line leaves on stderr. */
static const char *left_on_stderr(int priority, const char *message, bool of_event)
{
    static char out[8192];
    int ends[2], saved;
    size_t n;

    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    REQUIRE(saved >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    errno = EUCLEAN;
    if (of_event)
        log_event(priority, "success", "MESSAGE_ID=0123\nFERRYFS_VOLUME=db1\n", message);
    else
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

static const char *logged(int priority, const char *message)
{
    return left_on_stderr(priority, message, false);
}

static const char *logged_event(const char *message)
{
    return left_on_stderr(LOG_NOTICE, message, true);
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

/* The journal's end of its socket, where it listens; -1: a journal is there already, or we may not.
 */
static int open_journal(void)
{
    const struct sockaddr_un address = {AF_UNIX, "/run/systemd/journal/socket"};
    int fd;

    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(mkdir("/run/systemd", 0755) == 0 && mkdir("/run/systemd/journal", 0755) == 0);
    REQUIRE(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static const char *received(int fd)
{
    static char out[8192];
    ssize_t n = recv(fd, out, sizeof(out) - 1, MSG_DONTWAIT);

    out[n > 0 ? n : 0] = '\0';
    return out;
}

static void become_journal_stream(void)
{
    char stream[64];
    struct stat st;

    REQUIRE(fstat(STDERR_FILENO, &st) == 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    REQUIRE(setenv("JOURNAL_STREAM", stream, 1) == 0);
}

TEST(an_event_has_its_name_at_the_end_of_the_line)
{
    CHECK_STR(logged_event("a\n<0>b"), "<5>a\\x0a<0>b [success]\n");
}

/* The last: from here on /run is another. */
TEST(the_journal_gets_fields_and_stderr_what_it_does_not_take)
{
    int fd = open_journal();

    if (fd < 0) {
        printf("# only root can be a journal\n");
        return;
    }
    REQUIRE(setenv("JOURNAL_STREAM", "1:2", 1) == 0);
    log_init("test-log", false);
    CHECK_STR(logged(LOG_ERR, "not the journal's"), "<3>not the journal's\n");
    become_journal_stream();
    log_init("test-log", false);
    CHECK_STR(logged_event("a\n<0>b"), "");
    CHECK_STR(received(fd), "PRIORITY=5\nSYSLOG_IDENTIFIER=test-log\nMESSAGE=a\\x0a<0>b\n"
                            "MESSAGE_ID=0123\nFERRYFS_VOLUME=db1\n");
    CHECK_STR(logged(LOG_ERR, "plain"), "");
    CHECK_STR(received(fd), "PRIORITY=3\nSYSLOG_IDENTIFIER=test-log\nMESSAGE=plain\n");
    close(fd);
    CHECK_STR(logged_event("it is gone"), "<5>it is gone [success]\n");
}

TEST_MAIN
