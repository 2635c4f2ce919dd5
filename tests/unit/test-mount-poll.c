#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include "tests/unit/mounted.h"

TEST(poll_tells_of_a_change_until_the_file_is_read_at_0)
{
    struct mounted m = mounted_begin(2);
    OWNED(fd) int fd = open_at(&m, "vol00001/status", O_RDONLY);
    char bytes[64];

    CHECK_EQ(polled(fd, POLLIN | POLLPRI, 0), POLLIN);
    CHECK_EQ(polled(fd, POLLPRI, 0), 0);
    change_volume(m.service, 2, begin_job, JOB_EVENTS);
    change_volume(m.service, 1, begin_job, EVENT_BIT(EVENT_PROGRESS));
    CHECK_EQ(polled(fd, POLLPRI, 0), 0);
    change_volume(m.service, 1, begin_job, JOB_EVENTS);
    CHECK_EQ(polled(fd, POLLPRI, 0), POLLPRI | POLLERR);
    CHECK_EQ(polled(fd, POLLPRI, 0), POLLPRI | POLLERR);
    CHECK_EQ(pread(fd, bytes, 4, 4), 4);
    CHECK_EQ(polled(fd, POLLPRI, 0), 0);
    change_volume(m.service, 1, end_job, JOB_EVENTS);
    CHECK_EQ(pread(fd, bytes, 4, 4), 4);
    CHECK_EQ(polled(fd, POLLPRI, 0), POLLPRI | POLLERR);
    CHECK_EQ(pread(fd, bytes, sizeof(bytes), 0), 10);
    CHECK_EQ(polled(fd, POLLPRI, 0), 0);
    mounted_end(&m);
}

struct poller {
    int fd;
    short revents;
    _Atomic pid_t tid;
};

static void *poll_long(void *arg)
{
    struct poller *poller = arg;

    atomic_store(&poller->tid, gettid());
    poller->revents = polled(poller->fd, POLLPRI, 10000);
    return NULL;
}

static void tell_of_host(struct service *service, void *arg)
{
    (void)arg;
    mount_changed(service->mount, ABOUT_HOST, 2, EVENT_BIT(EVENT_HOST));
}

TEST(a_sleeping_poll_is_woken)
{
    struct mounted m = mounted_begin(1);
    const struct {
        const char *name;
        uint32_t event; /* of the volume; 0: a host's */
    } rows[] = {
        {"vol00001/status", EVENT_BIT(EVENT_STATUS)},
        {"vol00001/migrate/progress", EVENT_BIT(EVENT_PROGRESS)},
        {"vol00001/migrate/message", EVENT_BIT(EVENT_MESSAGE)},
        {"vol00001/migrate/candidates", 0},
        {".control/hosts/hdd/free", 0},
    };

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct poller poller = {.fd = open_at(&m, rows[i].name, O_RDONLY)};
        pthread_t thread;

        REQUIRE(pthread_create(&thread, NULL, poll_long, &poller) == 0);
        until_true(atomic_load(&poller.tid) && sleeps_in(atomic_load(&poller.tid), SYS_poll));
        if (rows[i].event)
            change_volume(m.service, 1, begin_job, rows[i].event);
        else
            on_owner(m.service, tell_of_host, NULL);
        pthread_join(thread, NULL);
        CHECK_EQ(poller.revents, POLLPRI | POLLERR);
        close(poller.fd);
    }
    mounted_end(&m);
}

TEST(epoll_works_as_poll_does_for_many_descriptors)
{
    struct mounted m = mounted_begin(1);
    OWNED(fd) int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[8];
    int fds[8];

    for (uint32_t i = 0; i < 8; i++) {
        struct epoll_event event = {.events = EPOLLPRI, .data.u32 = i};

        fds[i] = open_at(&m, "vol00001/migrate/phase", O_RDONLY);
        CHECK_EQ(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event), 0);
    }
    CHECK_EQ(epoll_wait(epoll_fd, events, 8, 0), 0);
    close(fds[7]);
    change_volume(m.service, 1, begin_job, JOB_EVENTS);
    CHECK_EQ(epoll_wait(epoll_fd, events, 8, 1000), 7);
    for (size_t i = 0; i < 7; i++)
        close(fds[i]);
    mounted_end(&m);
}

/* The events on `name` until the last bit of mask has come: all of them. */
static uint32_t inotify_events(int fd, uint32_t mask)
{
    _Alignas(struct inotify_event) char bytes[4096];
    uint32_t seen = 0;

    while ((seen & mask) != mask && polled(fd, POLLIN, 5000)) {
        ssize_t n = read(fd, bytes, sizeof(bytes));

        for (ssize_t i = 0; i < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(bytes + i);

            seen |= event->mask;
            i += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    return seen & mask;
}

TEST(inotify_tells_of_a_change_of_status)
{
    struct mounted m = mounted_begin(1);
    const char *names[] = {"vol00001/status", "vol00001/migrate/status"};

    for (size_t i = 0; i < ARRAY_N(names); i++) {
        OWNED(fd) int fd = inotify_init1(IN_CLOEXEC);

        CHECK(inotify_add_watch(fd, at(&m, names[i]), IN_MODIFY | IN_CLOSE_WRITE) >= 0);
        CHECK_EQ(polled(fd, POLLIN, 0), 0);
        change_volume(m.service, 1, begin_job, JOB_EVENTS);
        CHECK_EQ(inotify_events(fd, IN_MODIFY | IN_CLOSE_WRITE), IN_MODIFY | IN_CLOSE_WRITE);
    }
    CHECK_EQ(what_was_told(m.service).n_stored, 0);
    CHECK_EQ(what_was_told(m.service).n_admitted, 0);
    mounted_end(&m);
}

TEST(closing_while_thousands_of_changes_are_still_to_be_told_hangs_nowhere)
{
    struct mounted m = mounted_begin(2000);

    for (uint64_t i = 1; i <= 2000; i++)
        on_owner(m.service, publish,
                 &(struct change){.about = ABOUT_VOLUME, .told = i, .events = ~0U});
    mounted_end(&m);
}

TEST_MAIN
