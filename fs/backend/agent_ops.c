#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/child.h"
#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "fs/backend/agent.h"

struct operation {
    struct operation *next;
    pid_t pid;
    uint32_t id;
};

static struct pool_reply refusal(uint32_t id, int error, const char *text)
{
    struct pool_reply reply = {.kind = POOL_REPLY, .id = id, .error = error};

    snprintf(reply.text, sizeof(reply.text), "%s", text);
    return reply;
}

/* Of a parcel the daemon, and all that it starts, never close a file of the pool, which may wait
 * for its storage, unless it has a lease to look at. */
static int wrap(const struct pool_request *request, struct pool_reply *reply, int *fd)
{
    int parcel;

    if (*fd < 0)
        return 0;
    reply->leased =
        request->kind == POOL_SERVE || (request->kind == POOL_CLAIM && !reply->weak) ? 1 : 0;
    parcel = io_wrap(*fd);
    close(*fd);
    *fd = parcel;
    return parcel < 0 ? parcel : 0;
}

/* What came with it may be a parcel too. */
static int run(struct backend *pool, const struct pool_request *request, int fd,
               struct pool_reply *reply, int *ret_fd, struct err *e)
{
    int file = fd < 0 ? fd : io_unwrap(fd);
    int r = fd < 0 || file >= 0 ? 0 : file;

    if (r == 0)
        r = pool->ops->operate(pool, request, file, reply, ret_fd, e);
    if (file >= 0 && file != fd)
        close(file);
    return r < 0 ? r : wrap(request, reply, ret_fd);
}

/*
 * Exit status 0 says that there was an answer, whatever it was. Nothing is held any more when it is
 * given: a file that is removed next would keep its space for as long as this process takes to end.
 */
static _Noreturn void operate(struct backend *pool, const struct pool_request *request, int fd,
                              pid_t parent)
{
    struct pool_reply reply = {.kind = POOL_REPLY, .id = request->id};
    struct err e = {0};
    int ret_fd = -1;
    int r;

    if (child_die_with(parent) < 0)
        _exit(1);
    r = run(pool, request, fd, &reply, &ret_fd, &e);
    owned_fd(&fd);
    if (r < 0)
        reply = refusal(request->id, -r, e.text[0] ? e.text : strerror(-r));
    if (pool->ops->space(pool, &reply.space) < 0) /* the agent will see that for itself */
        reply.space.at_ns = 0;
    _exit(agent_send(&reply, sizeof(reply), ret_fd) < 0 ? 1 : 0);
}

static void refuse(struct agent *agent, uint32_t id, int error, const char *text)
{
    struct pool_reply reply = refusal(id, error, text);

    agent_say(agent, &reply, sizeof(reply), -1);
}

void agent_operate(struct agent *agent, const struct pool_request *request, int fd)
{
    OWNED(fd) int owned = fd;
    OWNED(mem) struct operation *operation = NULL;
    pid_t parent = getpid();

    if (agent->stage != AGENT_UP) {
        refuse(agent, request->id, EAGAIN, "the pool is not ours yet");
        return;
    }
    operation = calloc(1, sizeof(*operation));
    if (!operation) {
        refuse(agent, request->id, ENOMEM, "no memory");
        return;
    }
    operation->id = request->id;
    operation->pid = fork();
    if (operation->pid == 0)
        operate(agent->pool, request, owned, parent);
    if (operation->pid < 0) {
        refuse(agent, request->id, errno, "cannot start a process");
        return;
    }
    operation->next = agent->operations;
    agent->operations = take_ptr(operation);
}

void agent_operation_died(struct agent *agent, pid_t pid, int status)
{
    struct operation **at = &agent->operations;
    OWNED(mem) struct operation *operation = NULL;
    char how[64], text[ERR_TEXT_BYTES];

    while (*at && (*at)->pid != pid)
        at = &(*at)->next;
    operation = *at;
    if (!operation)
        return;
    *at = operation->next;
    if (status == 0)
        return;
    child_describe(status, how, sizeof(how));
    snprintf(text, sizeof(text), "the operation died: %s", how);
    refuse(agent, operation->id, EIO, text);
}

void agent_kill_operations(struct agent *agent)
{
    if (agent->lock_waiter > 0)
        kill(agent->lock_waiter, SIGKILL);
    while (agent->operations) {
        OWNED(mem) struct operation *operation = agent->operations;

        agent->operations = operation->next;
        kill(operation->pid, SIGKILL);
    }
}
