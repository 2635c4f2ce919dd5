#include "fs/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/base/log.h"
#include "copy/base/text.h"

#define NS_PER_US UINT64_C(1000)

/* A path, or behind an @ a name of the abstract kind, which no NUL ends. */
static int reach(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    OWNED(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t n = strlen(name);
    bool abstract = *name == '@';

    if (fd < 0)
        return -errno;
    if ((*name != '/' && !abstract) || n >= sizeof(address.sun_path))
        return -EINVAL;
    memcpy(address.sun_path, name, n);
    if (abstract)
        address.sun_path[0] = '\0';
    n += offsetof(struct sockaddr_un, sun_path) + (abstract ? 0 : 1);
    if (connect(fd, (struct sockaddr *)&address, (socklen_t)n) < 0)
        return -errno;
    return take_fd(&fd);
}

/* Of another process, which we were started by: not meant for us. */
static bool is_ours(const char *pid)
{
    uint64_t number;

    return !pid || (text_parse_u64(pid, &number) == 0 && number == (uint64_t)getpid());
}

void notify_open(struct notify *notify)
{
    const char *name = getenv("NOTIFY_SOCKET"), *period = getenv("WATCHDOG_USEC");
    uint64_t us;

    *notify = (struct notify){.fd = -1};
    if (name) {
        notify->fd = reach(name);
        if (notify->fd < 0)
            log_say(LOG_WARNING, "NOTIFY_SOCKET %s cannot be reached: %s", name,
                    strerror(-notify->fd));
    }
    if (period && is_ours(getenv("WATCHDOG_PID"))) {
        if (text_parse_u64(period, &us) < 0 || us == 0 || us > UINT64_MAX / NS_PER_US)
            log_say(LOG_WARNING, "WATCHDOG_USEC %s is no time", period);
        else
            notify->watchdog_ns = us * NS_PER_US;
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

void notify_say(const struct notify *notify, const char *fmt, ...)
{
    char lines[1024];
    va_list ap;
    int n;

    if (notify->fd < 0)
        return;
    va_start(ap, fmt);
    n = vsnprintf(lines, sizeof(lines), fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if (send(notify->fd, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_say(LOG_WARNING, "systemd cannot be told: %s", strerror(errno));
}
