/*
 * Questions to an agent, and their answers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/host/talk.h"

struct host_ask {
    struct host *host;
    struct host_ask *next;
    uint32_t id;
    host_done_fn *done; /* NULL: forgotten */
    void *arg;
    struct loop_source *deadline;
};

static void ask_free(struct host_ask *ask)
{
    for (struct host_ask **at = &ask->host->asks; *at; at = &(*at)->next)
        if (*at == ask) {
            *at = ask->next;
            break;
        }
    loop_remove(ask->deadline);
    free(ask);
}

/* The ask is gone before its callback runs, so that the callback may do anything to the host. */
static void ask_answer(struct host_ask *ask, const struct pool_reply *reply, int fd)
{
    host_done_fn *done = ask->done;
    void *arg = ask->arg;

    ask_free(ask);
    if (done)
        done(arg, reply, fd);
    else
        owned_fd(&fd);
}

static void ask_fail(struct host_ask *ask, int error, const char *text)
{
    struct pool_reply reply = {.kind = POOL_REPLY, .id = ask->id, .error = error};

    snprintf(reply.text, sizeof(reply.text), "host %s %s", ask->host->config.name, text);
    ask_answer(ask, &reply, -1);
}

static void ask_late(void *arg)
{
    ask_fail(arg, ETIMEDOUT, "did not answer in time");
}

void host_fail_asks(struct host *host)
{
    while (host->asks)
        ask_fail(host->asks, EHOSTDOWN, "was lost");
}

/* *fd: the parcel, and what was in it. 0 or a negative errno. */
static int unwrap(int *fd)
{
    int file = *fd < 0 ? -EBADMSG : io_unwrap_last(*fd);

    if (file == *fd)
        return 0;
    owned_fd(fd);
    *fd = file < 0 ? -1 : file;
    return file < 0 ? file : 0;
}

void host_take_reply(struct host *host, const struct pool_reply *reply, int *fd)
{
    struct host_ask *ask = host->asks;
    int r;

    while (ask && ask->id != reply->id)
        ask = ask->next;
    if (!ask)
        return;
    r = reply->leased && reply->error == 0 ? unwrap(fd) : 0;
    if (r < 0)
        ask_fail(ask, -r, "sent no file");
    else
        ask_answer(ask, reply, take_fd(fd));
}

int host_ask(struct host *host, const struct pool_request *request, int fd, uint64_t timeout_ns,
             host_done_fn *done, void *arg, struct host_ask **ret_ask)
{
    struct pool_request numbered = *request;
    struct host_ask *ask;
    int r;

    ask = calloc(1, sizeof(*ask));
    if (!ask)
        return -ENOMEM;
    *ask = (struct host_ask){.host = host, .id = ++host->next_id, .done = done, .arg = arg};
    numbered.id = ask->id;
    r = loop_add_timer(host->loop, ask_late, ask, &ask->deadline);
    if (r == 0)
        r = host_send(host, &numbered, sizeof(numbered), fd);
    if (r < 0) {
        ask_free(ask);
        return r;
    }
    if (timeout_ns)
        loop_set_timer(ask->deadline, timeout_ns);
    ask->next = host->asks;
    host->asks = ask;
    if (ret_ask)
        *ret_ask = ask;
    return 0;
}

void host_forget(struct host_ask *ask)
{
    if (ask)
        ask->done = NULL;
}
