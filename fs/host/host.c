#include "fs/host/host.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/host/talk.h"

#define NS_PER_S       UINT64_C(1000000000)
#define RESTART_MAX_S  8 /* between tries to have a pool back: 1, 2, 4, 8, 8 ... seconds */
#define WATCH_NS       NS_PER_S
#define END_MS         50
#define SILENCE_MAX_NS (10 * NS_PER_S) /* an agent tells of itself every 5 s */

void host_say(struct host *host, const char *text)
{
    if (strcmp(host->last_error, text) == 0)
        return;
    snprintf(host->last_error, sizeof(host->last_error), "%s", text);
    log_say(LOG_WARNING, "host %s: %s", host->config.name, text);
}

static void set_up(struct host *host, bool up)
{
    if (host->up == up)
        return;
    host->up = up;
    host->events->changed(host->events_arg, host);
}

int host_use(struct host *host, const char *name)
{
    name_set_remove(&host->unused, name);
    return name_set_add(&host->used, name);
}

static int tell_unused(const char *name, void *arg)
{
    struct pool_request request = {.kind = POOL_UNUSE};

    snprintf(request.name, sizeof(request.name), "%s", name);
    return host_send(arg, &request, sizeof(request), -1);
}

/* What is told twice does no harm. */
static void tell_all_unused(struct host *host)
{
    if (name_set_each(&host->unused, tell_unused, host) == 0)
        name_set_deinit(&host->unused);
}

/* Without memory it is not looked at until it is used again, or its agent is another. */
void host_unuse(struct host *host, const char *name)
{
    name_set_remove(&host->used, name);
    if (tell_unused(name, host) < 0 && name_set_add(&host->unused, name) < 0)
        log_say(LOG_ERR, "host %s: no memory to tell its agent that %s is not in use any more",
                host->config.name, name);
}

static int write_name(const char *name, void *arg)
{
    return io_write(*(const int *)arg, name, strlen(name) + 1);
}

/* A descriptor to read them from, or a negative errno. */
static int used_names(const struct host *host)
{
    OWNED(fd) int fd = memfd_create("names in use", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : name_set_each(&host->used, write_name, &fd);

    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    return r < 0 ? r : take_fd(&fd);
}

static void attach(struct host *host)
{
    struct pool_attach attach = {.kind = POOL_ATTACH};
    OWNED(fd) int names = used_names(host);

    name_set_deinit(&host->unused);
    host->waits = false;
    snprintf(attach.driver, sizeof(attach.driver), "%s", host->config.driver);
    snprintf(attach.path, sizeof(attach.path), "%s", host->config.path);
    host->heard_ns = io_now_ns();
    if (names < 0 || host_send(host, &attach, sizeof(attach), names) < 0)
        host_lose(host, "its agent takes no orders");
}

void host_show(struct host *host)
{
    host->shown = true;
    if (host->after && host->after->waits)
        attach(host->after);
}

/* Let go of the agent: it dies with its socket, and by force. A new one comes with the timer. */
void host_lose(struct host *host, const char *why)
{
    if (host->lost)
        return;
    host->lost = true;
    host_say(host, why);
    loop_remove(take_ptr(host->sock_source));
    owned_fd(&host->sock);
    host->sock = -1;
    owned_fd(&host->lock_fd);
    host->lock_fd = -1;
    host->waits = false;
    child_kill(&host->agent);
    set_up(host, false);
    host->events->changed(host->events_arg, host);
    host_fail_asks(host);
    host_show(host);
}

static void restart_later(struct host *host)
{
    uint64_t wait_s = UINT64_C(1) << host->failures;

    if (wait_s < RESTART_MAX_S)
        host->failures++;
    loop_set_timer(host->restart, wait_s * NS_PER_S);
}

int host_send(struct host *host, const void *message, size_t n, int fd)
{
    return host->sock < 0 ? -EHOSTDOWN : io_send(host->sock, message, n, fd);
}

static void on_socket(void *arg, uint32_t events)
{
    struct host *host = arg;
    union host_message m;
    size_t n;

    (void)events;
    for (int turns = 0; turns < 64 && host->sock >= 0; turns++) { /* others want their turn too */
        OWNED(fd) int fd = -1;
        int r = io_receive(host->sock, &m, sizeof(m), &n, &fd);

        if (r == -EAGAIN)
            return;
        if (r < 0 || n == 0) {
            host_lose(host, "its agent has gone");
            return;
        }
        host_take_message(host, &m, n, &fd);
    }
}

static void on_death(void *arg, uint32_t events)
{
    struct host *host = arg;
    char how[64], text[ERR_TEXT_BYTES];
    int status;

    (void)events;
    loop_remove(take_ptr(host->child_source)); /* before its descriptor goes */
    if (child_reap(&host->agent, &status) <= 0)
        snprintf(how, sizeof(how), "and cannot be reaped");
    else
        child_describe(status, how, sizeof(how));
    snprintf(text, sizeof(text), "its agent ended (%s)", how);
    if (host->sock >= 0) /* its last words first */
        on_socket(host, 0);
    host_lose(host, text);
    restart_later(host);
}

static int start_agent(struct host *host)
{
    char *argv[] = {(char[]){"/proc/self/exe"}, (char[]){"--pool-agent"}, NULL};
    OWNED(fd) int theirs = -1;
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    host->sock = pair[0];
    theirs = pair[1];
    if (fcntl(host->sock, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    r = child_start(&host->agent, argv, &theirs, 1);
    if (r < 0)
        return r;
    r = loop_add_fd(host->loop, host->agent.pidfd, EPOLLIN, on_death, host, &host->child_source);
    if (r < 0)
        return r;
    r = loop_add_fd(host->loop, host->sock, EPOLLIN, on_socket, host, &host->sock_source);
    if (r < 0)
        return r;
    host->waits = true;
    if (!host->before || host->before->shown)
        attach(host);
    return 0;
}

static void restart(void *arg)
{
    struct host *host = arg;
    int r;

    host->lost = false;
    r = start_agent(host);
    if (r == 0)
        return;
    log_say(LOG_ERR, "host %s: cannot start its agent: %s", host->config.name, strerror(-r));
    host_lose(host, "its agent cannot be started");
    if (host->child_source) /* its death sets the timer */
        return;
    if (host->agent.pid > 0) /* killed as it began: there is no disk it could hang on */
        waitpid(host->agent.pid, NULL, 0);
    owned_fd(&host->agent.pidfd);
    host->agent = CHILD_NONE;
    restart_later(host);
}

/* An agent that is stuck says nothing: its disk hangs. */
static void watch(void *arg)
{
    struct host *host = arg;
    bool silent = io_now_ns() - host->heard_ns > SILENCE_MAX_NS;

    loop_set_timer(host->watch, WATCH_NS);
    if (host->waits)
        attach(host);
    tell_all_unused(host);
    if (host->sock < 0 || host->scans == 0)
        return;
    if (silent && host->up)
        host_say(host, "the pool does not answer");
    if (!silent && !host->up && host->lock_fd >= 0)
        host->last_error[0] = '\0';
    set_up(host, !silent && host->lock_fd >= 0);
}

int host_open(struct loop *loop, const struct host_config *config, struct host *before,
              const struct host_events *events, void *arg, struct host **ret)
{
    struct host *host = calloc(1, sizeof(*host));
    int r;

    if (!host)
        return -ENOMEM;
    *host = (struct host){.config = *config,
                          .number = before ? before->number + 1 : 1,
                          .before = before,
                          .loop = loop,
                          .events = events,
                          .events_arg = arg,
                          .agent = CHILD_NONE,
                          .sock = -1,
                          .lock_fd = -1,
                          .drain = config->drain != 0,
                          .max_jobs = config->max_jobs,
                          .speed_bytes_per_s = config->speed_bytes_per_s};
    r = loop_add_timer(loop, restart, host, &host->restart);
    if (r == 0)
        r = loop_add_timer(loop, watch, host, &host->watch);
    if (r < 0) {
        host_close(host);
        return r;
    }
    loop_set_timer(host->watch, WATCH_NS);
    loop_set_timer(host->restart, 0);
    if (before)
        before->after = host;
    *ret = host;
    return 0;
}

/* Whoever ends us may want to unmount the pool next; an agent whose disk hangs is left behind. */
static void await_end(struct child *agent)
{
    struct pollfd death = {.fd = agent->pidfd, .events = POLLIN};
    int status;

    if (agent->pidfd >= 0 && poll(&death, 1, END_MS) == 1)
        child_reap(agent, &status);
}

void host_close(struct host *host)
{
    if (!host)
        return;
    if (host->after)
        host->after->before = NULL;
    if (host->before)
        host->before->after = NULL;
    child_kill(&host->agent);
    loop_remove(host->sock_source);
    loop_remove(host->child_source);
    owned_fd(&host->sock);
    host->sock = -1;
    host_fail_asks(host);
    loop_remove(host->restart);
    loop_remove(host->watch);
    owned_fd(&host->lock_fd);
    await_end(&host->agent);
    owned_fd(&host->agent.pidfd);
    name_set_deinit(&host->used);
    name_set_deinit(&host->unused);
    free(host);
}

void host_rescan(struct host *host)
{
    struct pool_request request = {.kind = POOL_RESCAN};

    if (host->sock < 0 && !host->child_source) /* it waits to be tried again */
        loop_set_timer(host->restart, 0);
    if (host->sock >= 0 && host_send(host, &request, sizeof(request), -1) < 0)
        log_say(LOG_WARNING, "host %s: its agent takes no orders", host->config.name);
}
