#include "copy/base/crash.h"

#ifdef FERRYFS_FAULTS

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy/base/text.h"

/* Is `name` the point that `wanted` (NAME or NAME:N) speaks of? *ret_n is the passage it means. */
static bool is_wanted(const char *wanted, const char *name, uint64_t *ret_n)
{
    size_t n = strlen(name);

    *ret_n = 1;
    if (strncmp(wanted, name, n) != 0)
        return false;
    if (wanted[n] == '\0')
        return true;
    return wanted[n] == ':' && text_parse_u64(wanted + n + 1, ret_n) == 0;
}

/* The daemon first: its other children die with it, ourselves included if we are one. */
static void die(void)
{
    const char *daemon = getenv("FERRYFS_CRASH_PID");
    uint64_t pid;

    if (daemon && text_parse_u64(daemon, &pid) == 0 && pid > 0 && pid <= INT_MAX)
        kill((pid_t)pid, SIGKILL);
    kill(getpid(), SIGKILL);
}

void crash_point(const char *name)
{
    static atomic_uint_fast64_t passages; /* one point at most is wanted in a process */
    const char *wanted = getenv("FERRYFS_CRASH");
    uint64_t n;

    if (wanted && is_wanted(wanted, name, &n) && atomic_fetch_add(&passages, 1) + 1 == n)
        die();
}

#else

void crash_point(const char *name)
{
    (void)name;
}

#endif
