/*
 * One event, one line. To stderr with a `<N>` priority that the journal understands, or to syslog
 * when the daemon has left its terminal. Every line is escaped (text_escape). Any thread.
 *
 * Where stderr is the journal, the journal gets fields too, by its own protocol: one datagram.
 * Source: sd-daemon(3) for the priorities; systemd.exec(5) for JOURNAL_STREAM;
 * https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ for the datagram.
 */
#pragma once

#include <stdbool.h>
#include <syslog.h>

/* ident: static. to_syslog: false is stderr. Once, before any other thread is started. */
void log_init(const char *ident, bool to_syslog);

/* priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO or LOG_DEBUG. No newline at the end. */
void log_say(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The same of an event that has a name, which ends the line in brackets.
 * fields: for the journal, lines `KEY=value` without control characters in the values.
 */
void log_event(int priority, const char *name, const char *fields, const char *message);
