#include "copy/endpoint/nbd_group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "copy/endpoint/nbd_library.h"

int group_set_size(struct nbd_group *group, unsigned n)
{
    int r = 0;

    if (!group->facts.can_share)
        n = 1;
    while (r == 0 && group->n < n) {
        r = connection_open(group->uri, &group->facts, &group->connections[group->n]);
        group->n += r == 0 ? 1 : 0;
    }
    while (group->n > n)
        connection_close(group->connections[--group->n]);
    return r;
}

int group_init(struct nbd_group *group, const char *uri, bool is_strict, struct err *e)
{
    struct err why = {0};
    int r;

    group->is_strict = is_strict;
    group->n = 0;
    group->uri = strdup(uri);
    if (!group->uri)
        return err_set(e, ENOMEM, "no memory");
    r = nbd_library_load(&why);
    if (r < 0)
        return err_set(e, -r, "cannot open %s: %s", uri, why.text);
    r = connection_open(group->uri, NULL, &group->connections[0]);
    if (r < 0)
        return err_set(e, -r, "cannot connect to %s: %s", uri, strerror(-r));
    group->n = 1;
    r = connection_wait(group->connections[0], &why);
    if (r < 0)
        return err_set(e, -r, "cannot connect to %s: %s", uri, why.text);
    group->facts = *connection_facts(group->connections[0]);
    return 0;
}

void group_deinit(struct nbd_group *group)
{
    while (group->n > 0)
        connection_close(group->connections[--group->n]);
    free(group->uri);
}

bool group_is_lost(const struct nbd_group *group)
{
    unsigned n_ready = 0, n_lost = 0;

    for (unsigned i = 0; i < group->n; i++) {
        enum connection_state state = connection_state(group->connections[i]);

        n_ready += state == CONNECTION_READY ? 1 : 0;
        n_lost += state == CONNECTION_LOST ? 1 : 0;
    }
    return n_ready == 0 || (group->is_strict && n_lost > 0);
}

/* The one with the least to do. */
static struct connection *idlest(const struct nbd_group *group)
{
    struct connection *best = NULL;

    for (unsigned i = 0; i < group->n; i++) {
        struct connection *connection = group->connections[i];

        if (connection_state(connection) == CONNECTION_READY &&
            (!best || connection_load(connection) < connection_load(best)))
            best = connection;
    }
    return best;
}

void group_submit(struct nbd_group *group, struct nbd_job *job)
{
    bool ragged = job_is_ragged(job, &group->facts);

    while (!group_is_lost(group)) {
        struct connection *connection = ragged ? group->connections[0] : idlest(group);

        if (connection && connection_submit(connection, job))
            return;
    }
    job_end(job, -ENOTCONN);
}

static void wake(struct nbd_job *job)
{
    sem_post(&((struct nbd_waited *)job)->over);
}

static void waited_init(struct nbd_waited *waited)
{
    sem_init(&waited->over, 0, 0);
    waited->job.over = wake;
}

static int wait_for(struct nbd_waited *waited)
{
    while (sem_wait(&waited->over) < 0 && errno == EINTR)
        ;
    sem_destroy(&waited->over);
    return waited->job.r;
}

int group_perform(struct nbd_group *group, struct nbd_waited *waited)
{
    waited_init(waited);
    group_submit(group, &waited->job);
    return wait_for(waited);
}

/* A write was answered over a connection that is in service or, by now, lost. */
int group_flush(struct nbd_group *group)
{
    struct nbd_waited flushes[ENDPOINT_CONNECTIONS_MAX];
    unsigned n = 0;
    int r = 0;

    for (unsigned i = 0; i < group->n; i++) {
        flushes[n] = (struct nbd_waited){.job = {.kind = NBD_JOB_FLUSH}};
        waited_init(&flushes[n]);
        n += connection_submit(group->connections[i], &flushes[n].job) ? 1 : 0;
    }
    for (unsigned i = 0; i < n; i++) {
        int r_one = wait_for(&flushes[i]);

        r = r < 0 ? r : r_one;
    }
    return r < 0 ? r : group_is_lost(group) ? -ENOTCONN : 0;
}
