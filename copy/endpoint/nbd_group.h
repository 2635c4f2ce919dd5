/*
 * The connections to one export, and which of them carries what out.
 */
#pragma once

#include <semaphore.h>

#include "copy/endpoint/endpoint.h"
#include "copy/endpoint/nbd_connection.h"

struct nbd_group {
    char *uri;
    struct nbd_facts facts;
    bool is_strict; /* at an end as soon as one connection is lost, not all of them */
    struct connection *connections[ENDPOINT_CONNECTIONS_MAX];
    unsigned n;
};

/* A job that somebody waits for. */
struct nbd_waited {
    struct nbd_job job;
    sem_t over;
};

/* Make the first connection, and have its facts. Returns 0 or a negative errno, in words in e;
 * group_deinit is due in any case. */
int group_init(struct nbd_group *group, const char *uri, bool is_strict, struct err *e);
void group_deinit(struct nbd_group *group);

/* Have n connections, or one where they cannot share. Others join when they are ready. Before any
 * job. Returns 0 or a negative errno. */
int group_set_size(struct nbd_group *group, unsigned n);

/* Is it at an end? Then every job ends with -ENOTCONN. */
bool group_is_lost(const struct nbd_group *group);

/* Begin a job. Does not block. */
void group_submit(struct nbd_group *group, struct nbd_job *job);
/* Carry it out, and wait. Returns the job's r. */
int group_perform(struct nbd_group *group, struct nbd_waited *waited);
/* Flush all connections; where one is lost, -ENOTCONN. */
int group_flush(struct nbd_group *group);
