/*
 * A request to move a volume while it is checked; what target.c and restore.c share.
 */
#pragma once

#include "fs/migrate/migration.h"

#define CHECK_NS (1900 * UINT64_C(1000000)) /* a write answers within 2 s */
#define PROBE_NS (900 * UINT64_C(1000000))  /* an open does not wait for a disk that hangs */

/* Hosts by number; the first that can takes the volume. */
struct choice {
    uint64_t *hosts;
    size_t n, at;
};

struct admission {
    struct service *service;
    struct vol *vol;
    struct request *request;
    struct choice choice;
    struct site *to;  /* the one whose turn it is; NULL: a look at open(2), to nowhere */
    struct err first; /* why the best one cannot */
    uint64_t began_ns;
    int claim_fd;
    struct pool_reply claim;
    struct host_ask *ask;
    bool restores;
    struct copy retained; /* which is to be the volume again */
};

/* Every admission ends with one of these; it is freed. */
void admission_end(struct admission *a, int result);
void admission_refuse(struct admission *a, const struct err *e);
/* The host whose turn it is cannot take it: the next, or the end. */
void admission_try_next(struct admission *a, const struct err *e);
/* The storage agrees: what memory knows is asked once more, and the job begins. */
void admission_accept(struct admission *a);

/* Check whether the volume can go where the word says; retained: the copy that it shall be again,
 * or NULL. Answers the request, now or later. */
void admission_start(struct service *s, struct vol *v, struct request *request, const char *word,
                     const struct copy *retained);
struct err admission_err(const struct pool_reply *reply);

/* restore.c */
host_done_fn admission_on_retained;
bool admission_was_written(const struct admission *a);
