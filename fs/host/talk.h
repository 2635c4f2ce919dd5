/*
 * Between the two halves of a host: what it hears from its agent, and the rest. Private to fs/host.
 */
#pragma once

#include "fs/host/host.h"

union host_message {
    uint32_t kind;
    struct pool_hello hello;
    struct pool_entries entries;
    struct pool_scanned scanned;
    struct pool_space space;
    struct pool_lost lost;
    struct pool_reply reply;
};

/* Note and log why the host is not well, once. */
void host_say(struct host *host, const char *text);
/* End the agent; questions fail with EHOSTDOWN, and a new agent comes later. */
void host_lose(struct host *host, const char *why);
/* It has shown what pool it is, or that it cannot: the next one's turn. */
void host_show(struct host *host);
int host_send(struct host *host, const void *message, size_t n, int fd);
/* Work off one message of n bytes; *fd is taken where it is wanted. */
void host_take_message(struct host *host, union host_message *m, size_t n, int *fd);
/* The agent is lost: EHOSTDOWN. */
void host_fail_asks(struct host *host);
void host_take_reply(struct host *host, const struct pool_reply *reply, int *fd);
