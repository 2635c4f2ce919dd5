/*
 * What is asked of an NBD server, command by command. One job is sent over one connection, one
 * command after the other; many jobs are on their way at a time. On a connection's thread, but for
 * whoever fills one in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "copy/endpoint/nbd_extents.h"
#include "copy/endpoint/nbd_facts.h"

struct connection;

enum nbd_job_kind { NBD_JOB_READ, NBD_JOB_WRITE, NBD_JOB_ZERO, NBD_JOB_FLUSH, NBD_JOB_EXTENTS };

/* Whoever makes one sets the first members, and the rest to 0. */
struct nbd_job {
    enum nbd_job_kind kind;
    void *buf;                   /* of a read */
    const void *from;            /* of a write */
    struct nbd_extents *extents; /* to be filled in: empty, and starts at offset */
    uint64_t offset;
    uint64_t n_bytes;
    /* It is over, and may be freed: r and n_done are set. On a connection's thread, or where no
     * connection takes it, the submitter's. */
    void (*over)(struct nbd_job *job);
    void *arg;

    int r;           /* 0 or a negative errno */
    uint64_t n_done; /* from the start of it on */

    /* The connection's. */
    TAILQ_ENTRY(nbd_job) link;
    struct connection *connection;
    unsigned char *bounce;   /* whole units around a transfer that is not of them */
    bool reading;            /* the command is a read */
    uint64_t start, at, end; /* on the wire; the command on its way ends at `next` */
    uint64_t next;
    uint64_t n_told; /* bytes of its answer */
};
TAILQ_HEAD(nbd_jobs, nbd_job);

/* Would a write touch a part of a unit, and so have to read it first? */
bool job_is_ragged(const struct nbd_job *job, const struct nbd_facts *facts);

/* Before the first job_send. 0 or -ENOMEM. */
int job_begin(struct nbd_job *job, const struct nbd_facts *facts);
/* Send the next command; `answered` is called by libnbd, unless this returns a negative errno. */
int job_send(struct nbd_job *job, const struct nbd_facts *facts, struct nbd_handle *handle,
             int (*answered)(void *job, int *error));
/* The command came back with job->r. true: there is another one to send. */
bool job_advance(struct nbd_job *job);
/* No command is on its way any more: r is 0 or what went wrong. Calls over. */
void job_end(struct nbd_job *job, int r);
