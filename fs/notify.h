/*
 * Telling whoever started us how we are, by systemd's protocol. Source: sd_notify(3), NOTES, and
 * sd_watchdog_enabled(3).
 */
#pragma once

#include <stdint.h>

struct notify {
    int fd;               /* -1: nobody wants to know */
    uint64_t watchdog_ns; /* we are given up where WATCHDOG=1 is not said for so long; 0: never */
};

/* Takes the variables out of the environment: what we start does not speak for us. Logs what is
 * wrong with them; then nobody is told. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/* Lines of NAME=VALUE, 1023 bytes at most. Never waits; it logs where it cannot. */
void notify_say(const struct notify *notify, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
