#include "copy/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "copy/base/text.h"

#define MESSAGE_BYTES 1024 /* a message before it is escaped */
#define LINE_BYTES    (4 * MESSAGE_BYTES)

static bool log_to_syslog; /* set by log_init while there is one thread, read only after */

void log_init(const char *ident, bool to_syslog)
{
    log_to_syslog = to_syslog;
    if (to_syslog)
        openlog(ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

/* One write(2), so that lines of several processes do not mix. Nobody could be told of a failure.
 */
static void to_stderr(int priority, const char *message)
{
    char line[LINE_BYTES + 8];
    ssize_t written;
    int length;

    length = snprintf(line, sizeof(line), "<%d>%s\n", priority & LOG_PRIMASK, message);
    if (length < 0)
        return;
    do {
        written = write(STDERR_FILENO, line, (size_t)length);
    } while (written < 0 && errno == EINTR);
}

void log_say(int priority, const char *fmt, ...)
{
    char message[MESSAGE_BYTES], escaped[LINE_BYTES];
    int saved = errno;
    va_list ap;

    va_start(ap, fmt);
    if (vsnprintf(message, sizeof(message), fmt, ap) < 0)
        message[0] = '\0';
    va_end(ap);
    text_escape(message, strlen(message), escaped, sizeof(escaped));
    if (log_to_syslog)
        syslog(priority, "%s", escaped);
    else
        to_stderr(priority, escaped);
    errno = saved;
}
