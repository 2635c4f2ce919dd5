#include "fs/notify.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "tests/unit/check.h"

/* Whoever listens, at a path or behind an @. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, name, strlen(name));
    if (*name == '@')
        address.sun_path[0] = '\0';
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&address, n) == 0);
    REQUIRE(setenv("NOTIFY_SOCKET", name, 1) == 0);
    return fd;
}

static const char *heard(int fd)
{
    static char bytes[2048];
    ssize_t n = recv(fd, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);

    if (n < 0)
        return NULL;
    bytes[n] = '\0';
    return bytes;
}

TEST(it_is_told_at_a_path_and_at_an_abstract_name)
{
    char folder[] = "/tmp/notify-test-XXXXXX", path[64], abstract[64];
    const char *const names[] = {path, abstract};

    REQUIRE(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(abstract, sizeof(abstract), "@ferryfs/notify-test/%d", getpid());
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        OWNED(fd) int fd = listen_at(names[i]);
        struct notify notify;

        notify_open(&notify);
        notify_say(&notify, "READY=1\nSTATUS=%d volumes\n", 3);
        CHECK_STR(heard(fd), "READY=1\nSTATUS=3 volumes\n");
        CHECK_EQ(notify.watchdog_ns, 0);
        notify_close(&notify);
    }
    unlink(path);
    CHECK_EQ(rmdir(folder), 0);
}

TEST(what_we_start_does_not_speak_for_us)
{
    OWNED(fd) int fd = listen_at("@ferryfs/notify-test/own");
    struct notify notify;

    setenv("WATCHDOG_USEC", "3000000", 1);
    notify_open(&notify);
    CHECK_EQ(notify.watchdog_ns, 3000000000);
    CHECK(!getenv("NOTIFY_SOCKET") && !getenv("WATCHDOG_USEC"));
    notify_close(&notify);
}

TEST(a_watchdog_of_another_process_is_not_ours)
{
    char pid[16];
    struct notify notify;

    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    notify_open(&notify);
    CHECK_EQ(notify.watchdog_ns, 0);
    CHECK(!getenv("WATCHDOG_PID"));

    snprintf(pid, sizeof(pid), "%d", getpid());
    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    notify_open(&notify);
    CHECK_EQ(notify.watchdog_ns, 3000000000);
}

TEST(where_nobody_listens_nothing_is_said_and_nothing_waits)
{
    static const char *const names[] = {"relative", "", "/nowhere/at/all", "@nobody"};
    struct notify notify;

    for (size_t i = 0; i < ARRAY_N(names); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        setenv("WATCHDOG_USEC", "0", 1);
        notify_open(&notify);
        CHECK(notify.fd < 0 && notify.watchdog_ns == 0);
        notify_say(&notify, "READY=1\n");
    }
    notify_open(&notify);
    CHECK(notify.fd < 0 && notify.watchdog_ns == 0);
}

TEST(a_listener_that_is_full_holds_up_nobody)
{
    OWNED(fd) int fd = listen_at("@ferryfs/notify-test/full");
    struct notify notify;

    notify_open(&notify);
    for (int i = 0; i < 2000; i++)
        notify_say(&notify, "WATCHDOG=1\n");
    CHECK_STR(heard(fd), "WATCHDOG=1\n");
    notify_close(&notify);
}

TEST_MAIN
