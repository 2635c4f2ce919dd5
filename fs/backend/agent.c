/*
 * One thread that never waits for the operations of others; only a scan or a look at the pool may
 * hang on the disk, and then the daemon misses POOL_SPACE. The children end with it
 * (PR_SET_PDEATHSIG).
 */
#include "fs/backend/agent.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"

#define TICK_NS UINT64_C(2000000000)

int agent_send(const void *msg, size_t n, int fd)
{
    struct pollfd room = {.fd = POOL_FD_SOCKET, .events = POLLOUT};
    int r;

    while ((r = io_send(POOL_FD_SOCKET, msg, n, fd)) == -EAGAIN)
        poll(&room, 1, -1); /* whatever it says, the next try tells */
    return r;
}

void agent_end(struct agent *agent, int exit_status)
{
    if (agent->stage == AGENT_ENDED)
        return;
    agent->stage = AGENT_ENDED;
    agent->exit_status = exit_status;
    loop_stop(agent->loop);
}

void agent_say(struct agent *agent, const void *msg, size_t n, int fd)
{
    if (agent->stage != AGENT_ENDED && agent_send(msg, n, fd) < 0)
        agent_end(agent, 0);
}

void agent_lose(struct agent *agent, int error, const char *fmt, ...)
{
    struct pool_lost lost = {.kind = POOL_LOST, .error = error};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(lost.text, sizeof(lost.text), fmt, ap);
    va_end(ap);
    agent_say(agent, &lost, sizeof(lost), -1);
    agent_end(agent, 0);
}

union order {
    uint32_t kind;
    struct pool_attach attach;
    struct pool_request request;
};

/* One that cannot be kept is looked at: the lease is broken by that, and nothing else. */
static void use(struct agent *agent, const char *name)
{
    if (name_set_add(&agent->used, name) < 0)
        log_say(LOG_ERR, "pool agent: no memory to note that %s is in use", name);
}

static void use_all(struct agent *agent, int fd)
{
    OWNED(mem) char *name = NULL;
    FILE *names = fd < 0 ? NULL : fdopen(fd, "r");
    size_t cap = 0;

    if (!names)
        owned_fd(&fd);
    while (names && getdelim(&name, &cap, '\0', names) > 0)
        use(agent, name);
    if (names)
        fclose(names);
}

static void obey(struct agent *agent, union order *order, int fd)
{
    switch (order->kind) {
    case POOL_ATTACH:
        use_all(agent, take_fd(&fd));
        agent_attach(agent, &order->attach);
        break;
    case POOL_MARK:
        agent_mark(agent, order->request.volume);
        break;
    case POOL_RESCAN:
        agent_scan(agent);
        break;
    case POOL_UNUSE:
        name_set_remove(&agent->used, order->request.name);
        agent_look(agent, order->request.name);
        break;
    default:
        if (order->kind == POOL_SERVE)
            use(agent, order->request.name);
        agent_operate(agent, &order->request, take_fd(&fd));
        break;
    }
    owned_fd(&fd);
}

static void on_socket(void *arg, uint32_t events)
{
    struct agent *agent = arg;
    OWNED(fd) int fd = -1;
    union order order;
    size_t n;
    int r;

    (void)events;
    r = io_receive(POOL_FD_SOCKET, &order, sizeof(order), &n, &fd);
    if (r == -EAGAIN)
        return;
    if (r < 0 || n == 0) { /* the daemon has gone */
        agent_end(agent, 0);
        return;
    }
    if (n < sizeof(order.kind) ||
        n != (order.kind == POOL_ATTACH ? sizeof(order.attach) : sizeof(order.request))) {
        log_say(LOG_ERR, "pool agent: an order of %zu bytes is none", n);
        agent_end(agent, 1);
        return;
    }
    if (order.kind != POOL_ATTACH)
        order.request.name[sizeof(order.request.name) - 1] = '\0';
    obey(agent, &order, take_fd(&fd));
}

static void child_died(struct agent *agent, pid_t pid, int status)
{
    if (pid != agent->lock_waiter) {
        agent_operation_died(agent, pid, status);
        return;
    }
    agent->lock_waiter = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        agent_locked(agent);
        return;
    }
    agent_lose(agent, EIO, "cannot lock %s/%s", agent->attach.path, POOL_MARKER);
}

static void on_signal(void *arg, uint32_t events)
{
    struct agent *agent = arg;
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    (void)events;
    while (read(agent->signal_fd, &info, sizeof(info)) > 0)
        continue;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        child_died(agent, pid, status);
}

static void on_tick(void *arg)
{
    struct agent *agent = arg;

    loop_set_timer(agent->tick, TICK_NS);
    agent_look_after(agent);
}

/*
 * The agent ends when the daemon does, and not because a terminal or a service manager tells the
 * whole group to: an orderly stop still needs it. A broken lease and a file size limit are no
 * reason to die.
 */
static int set_signals(int *ret_fd)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGIO, SIGXFSZ};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;

    for (size_t i = 0; i < ARRAY_N(ignored); i++) {
        if (sigaction(ignored[i], &ignore, NULL) < 0)
            return -errno;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    *ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *ret_fd < 0 ? -errno : 0;
}

static int begin(struct agent *agent)
{
    int r;

    umask(077);
    r = set_signals(&agent->signal_fd);
    if (r == 0)
        r = loop_open(&agent->loop);
    if (r == 0)
        r = loop_add_fd(agent->loop, POOL_FD_SOCKET, EPOLLIN, on_socket, agent, &agent->socket);
    if (r == 0)
        r = loop_add_fd(agent->loop, agent->signal_fd, EPOLLIN, on_signal, agent, &agent->signals);
    if (r == 0)
        r = loop_add_timer(agent->loop, on_tick, agent, &agent->tick);
    if (r == 0)
        loop_set_timer(agent->tick, TICK_NS);
    return r;
}

int backend_agent_main(void)
{
    struct agent agent = {.signal_fd = -1, .exit_status = 1};
    int r;

    r = begin(&agent);
    if (r == 0)
        r = loop_run(agent.loop);
    if (r < 0)
        log_say(LOG_ERR, "pool agent: %s", strerror(-r));
    agent_kill_operations(&agent);
    loop_close(agent.loop);
    if (agent.pool)
        agent.pool->ops->detach(agent.pool);
    name_set_deinit(&agent.used);
    owned_fd(&agent.signal_fd);
    return r < 0 ? 1 : agent.exit_status;
}
