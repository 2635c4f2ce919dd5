#include "fs/attend.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/base/log.h"
#include "fs/reload.h"

#define NS_PER_MS     UINT64_C(1000000)
#define NS_PER_US     UINT64_C(1000)
#define STATUS_GAP_NS (1000 * NS_PER_MS) /* systemd is told of changes, not of each */
#define PINGS         3                  /* so many in the time after which we are given up */

struct attend {
    struct reload *reload;
    struct service *service;
    struct mount *mount;
    struct notify *notify;
    int news_fd;          /* eventfd: something about the service changed */
    uint64_t status_ns;   /* when systemd may be told again */
    uint64_t ping_ns;     /* when the watchdog is to be fed; UINT64_MAX: never */
    atomic_bool answered; /* the owner has answered the probe, which is ours again */
    bool hung;            /* and the log says so */
    struct request probe;
};

static void on_answer(struct request *request, int result)
{
    struct attend *attend = request->answer_arg;

    (void)result;
    atomic_store(&attend->answered, true);
}

static void carry_out(struct service *service, struct request *request)
{
    request_done(request, service, 0);
}

struct attend *attend_open(const struct options *options, struct service *service,
                           struct mount *mount, struct notify *notify)
{
    struct attend *attend = calloc(1, sizeof(*attend));

    if (!attend)
        return NULL;
    *attend = (struct attend){
        .reload = reload_open(options),
        .service = service,
        .mount = mount,
        .notify = notify,
        .news_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK),
        .ping_ns = notify->watchdog_ns ? 0 : UINT64_MAX,
        .answered = true,
        .probe = {.carry_out = carry_out, .answer = on_answer, .answer_arg = attend},
    };
    if (attend->news_fd < 0 || !attend->reload) {
        attend_close(attend);
        return NULL;
    }
    return attend;
}

void attend_close(struct attend *attend)
{
    if (!attend)
        return;
    owned_fd(&attend->news_fd);
    reload_close(attend->reload);
    free(attend);
}

void attend_changed(void *arg, enum about about, uint64_t number, uint32_t events)
{
    struct attend *attend = arg;

    mount_changed(attend->mount, about, number, events);
    /* It fails where so many are waiting already that one more says nothing new. */
    if (about == ABOUT_SERVICE && eventfd_write(attend->news_fd, 1) < 0 && errno != EAGAIN)
        log_say(LOG_ERR, "cannot tell of a change: %s", strerror(errno));
}

static void say_status(struct attend *attend)
{
    OWNED(view) struct view *view = view_get(service_views(attend->service));
    int health = (int)strcspn(view->health, "\n");

    notify_say(
        attend->notify,
        "STATUS=%zu volumes on %zu hosts; %" PRIu64 " moving, %" PRIu64 " queued; health: %.*s\n",
        view->n_volumes, view->n_hosts, view->n_running, view->n_queued, health, view->health);
}

static void ping(struct attend *attend, uint64_t now_ns)
{
    bool mount_lives = mount_is_alive(attend->mount), owner_lives = atomic_load(&attend->answered);

    attend->ping_ns = now_ns + attend->notify->watchdog_ns / PINGS;
    if (mount_lives && owner_lives)
        notify_say(attend->notify, "WATCHDOG=1\n");
    else if (!attend->hung)
        log_say(LOG_ERR, "%s does not answer", owner_lives ? "a thread of the mount" : "the owner");
    attend->hung = !mount_lives || !owner_lives;
    if (owner_lives) {
        atomic_store(&attend->answered, false);
        service_submit(attend->service, &attend->probe);
    }
}

/* Until the next thing that time brings. */
static int timeout_ms(const struct attend *attend, uint64_t now_ns)
{
    uint64_t next_ns = attend->ping_ns, ms;

    if (attend->status_ns > now_ns && attend->status_ns < next_ns)
        next_ns = attend->status_ns;
    if (next_ns == UINT64_MAX)
        return -1;
    ms = next_ns > now_ns ? (next_ns - now_ns) / NS_PER_MS + 1 : 0;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* What is due. */
static void attend_turn(struct attend *attend, uint64_t now_ns, bool news)
{
    eventfd_t n;

    if (now_ns >= attend->ping_ns)
        ping(attend, now_ns);
    if (news && eventfd_read(attend->news_fd, &n) == 0) {
        say_status(attend);
        attend->status_ns = now_ns + STATUS_GAP_NS;
    }
}

/* Source: sd_notify(3), RELOADING=1. */
static void read_again(struct attend *attend)
{
    struct err e = {0};

    notify_say(attend->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n",
               io_now_ns() / NS_PER_US);
    if (reload_again(attend->reload, attend->service, &e) == 0)
        log_say(LOG_NOTICE, "the configuration was read again");
    else
        log_say(LOG_ERR, "the configuration was read again, and nothing changes: %s",
                e.text[0] ? e.text : "the command line is wrong");
    notify_say(attend->notify, "READY=1\n");
}

/* False: it asks for the end. */
static bool heed_signal(struct attend *attend, int signals)
{
    struct signalfd_siginfo info;

    if (read(signals, &info, sizeof(info)) != sizeof(info))
        return true;
    if (info.ssi_signo != SIGHUP) {
        log_say(LOG_NOTICE, "ending: signal %u", info.ssi_signo);
        return false;
    }
    read_again(attend);
    return true;
}

void attend_until_end(struct attend *attend, int signals)
{
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                           {.fd = mount_ended_fd(attend->mount), .events = POLLIN},
                           {.events = POLLIN}};
    uint64_t now_ns = io_now_ns();

    for (;;) {
        fds[2].fd = now_ns >= attend->status_ns ? attend->news_fd : -1;
        if (poll(fds, ARRAY_N(fds), timeout_ms(attend, now_ns)) < 0) {
            if (errno == EINTR)
                continue;
            log_say(LOG_ERR, "ending: cannot wait: %s", strerror(errno));
            break;
        }
        now_ns = io_now_ns();
        if (fds[1].revents) {
            log_say(LOG_NOTICE, "ending: unmounted");
            break;
        }
        if (fds[0].revents & POLLIN && !heed_signal(attend, signals))
            break;
        attend_turn(attend, now_ns, fds[2].revents & POLLIN);
    }
    notify_say(attend->notify, "STOPPING=1\nSTATUS=ending\n");
}
