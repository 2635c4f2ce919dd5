/*
 * A clock of the day that can be set, for one program and its children: preloaded, this adds to
 * CLOCK_REALTIME the seconds, an int64_t, that the file $CLOCKSHIM holds at any moment. As in the
 * kernel when the clock is set, timers at an absolute time of it heed the new time; here from the
 * next epoll_wait(2) on.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 64

static _Atomic int64_t unset;
static _Atomic int64_t *ahead_s = &unset; /* what the file holds */
static int64_t heeded_s;                  /* by the timers */

/* By descriptor: those of CLOCK_REALTIME, and what they were set to. */
static struct {
    int of_day, at_a_time;
    struct itimerspec when;
} timers[FDS_MAX];

/* Nothing stays open: the descriptors of some programs are counted. */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CLOCKSHIM");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*ahead_s), PROT_READ, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED)
        abort();
    close(fd);
    ahead_s = map;
    heeded_s = atomic_load(ahead_s);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    int r;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    r = real(clock, now);
    if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += atomic_load(ahead_s);
    return r;
}

time_t time(time_t *ret)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}

int timerfd_create(int clock, int flags)
{
    static int (*real)(int, int);
    int fd;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "timerfd_create");
    fd = real(clock, flags);
    if (fd >= 0 && fd < FDS_MAX) {
        timers[fd].of_day = clock == CLOCK_REALTIME;
        timers[fd].at_a_time = 0;
    }
    return fd;
}

static int set(int fd, int flags, const struct itimerspec *when, struct itimerspec *old)
{
    static int (*real)(int, int, const struct itimerspec *, struct itimerspec *);
    struct itimerspec there = *when;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "timerfd_settime");
    if (fd >= 0 && fd < FDS_MAX && timers[fd].of_day && (flags & TFD_TIMER_ABSTIME)) {
        there.it_value.tv_sec -= heeded_s;
        if (there.it_value.tv_sec < 1) /* 0 would be: never */
            there.it_value.tv_sec = 1;
    }
    return real(fd, flags, &there, old);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old)
{
    if (fd >= 0 && fd < FDS_MAX) {
        timers[fd].at_a_time = (flags & TFD_TIMER_ABSTIME) && when->it_value.tv_sec > 0;
        timers[fd].when = *when;
    }
    return set(fd, flags, when, old);
}

int epoll_wait(int epoll, struct epoll_event *events, int n, int timeout)
{
    static int (*real)(int, struct epoll_event *, int, int);
    int64_t ahead = atomic_load(ahead_s);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "epoll_wait");
    if (ahead != heeded_s) {
        heeded_s = ahead;
        for (int fd = 0; fd < FDS_MAX; fd++)
            if (timers[fd].of_day && timers[fd].at_a_time)
                set(fd, TFD_TIMER_ABSTIME, &timers[fd].when, NULL);
    }
    return real(epoll, events, n, timeout);
}
