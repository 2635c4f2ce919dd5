#include "copy/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/text.h"

#define MESSAGE_BYTES 1024 /* a message before it is escaped */
#define LINE_BYTES    (4 * MESSAGE_BYTES)
#define NAME_BYTES    48

/* Set by log_init while there is one thread, read only after. */
static const char *log_ident;
static bool log_to_syslog;
static int log_journal_fd = -1; /* a socket for the journal; -1: stderr is not the journal's */

/* JOURNAL_STREAM names the journal's end by device and inode; whoever inherited the variable may
 * have another stderr. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char here[48];
    struct stat st;

    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    snprintf(here, sizeof(here), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, here) == 0;
}

void log_init(const char *ident, bool to_syslog)
{
    log_ident = ident;
    log_to_syslog = to_syslog;
    if (to_syslog)
        openlog(ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
    else if (stderr_is_journal())
        log_journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* False: it did not take it, now or at all; stderr leads there too. */
static bool to_journal(int priority, const char *fields, const char *message)
{
    const struct sockaddr_un journal = {AF_UNIX, "/run/systemd/journal/socket"};
    OWNED(text) struct text datagram = {0};

    if (log_journal_fd < 0)
        return false;
    text_add(&datagram, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=%s\n%s", priority & LOG_PRIMASK,
             log_ident, message, fields);
    return !datagram.failed &&
           sendto(log_journal_fd, datagram.bytes, datagram.n, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)&journal, sizeof(journal)) == (ssize_t)datagram.n;
}

/* One write(2), so that lines of several processes do not mix. Nobody could be told of a failure.
 */
static void to_stderr(int priority, const char *message, const char *name)
{
    char line[LINE_BYTES + NAME_BYTES + 8];
    ssize_t written;
    int length;

    length = snprintf(line, sizeof(line), "<%d>%s%s\n", priority & LOG_PRIMASK, message, name);
    if (length < 0)
        return;
    do {
        written = write(STDERR_FILENO, line, (size_t)length);
    } while (written < 0 && errno == EINTR);
}

void log_event(int priority, const char *name, const char *fields, const char *message)
{
    char escaped[LINE_BYTES], bracketed[NAME_BYTES] = "";
    int saved = errno;

    if (*name)
        snprintf(bracketed, sizeof(bracketed), " [%s]", name);
    text_escape(message, strnlen(message, MESSAGE_BYTES - 1), escaped, sizeof(escaped));
    if (log_to_syslog)
        syslog(priority, "%s%s", escaped, bracketed);
    else if (!to_journal(priority, fields, escaped))
        to_stderr(priority, escaped, bracketed);
    errno = saved;
}

void log_say(int priority, const char *fmt, ...)
{
    char message[MESSAGE_BYTES];
    int saved = errno;
    va_list ap;

    va_start(ap, fmt);
    if (vsnprintf(message, sizeof(message), fmt, ap) < 0)
        message[0] = '\0';
    va_end(ap);
    errno = saved;
    log_event(priority, "", "", message);
}
