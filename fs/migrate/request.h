/*
 * A written command on its way to the owner thread and its answer on the way back.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "copy/base/text.h"

struct live;
struct service;
struct request;

/* Who asks: as the file was opened, not as it is written. */
struct caller {
    uid_t uid;
    gid_t gid;
    pid_t pid;
};

/* What the command is about: a volume, a host, or neither (both 0: the service). */
struct subject {
    uint64_t volume; /* its number */
    uint64_t host;   /* its number */
};

/* Carries a command out on the owner thread; it ends, now or later, with request_done. */
typedef void request_fn(struct service *service, struct request *request);

struct request {
    struct request *next; /* in the queue's hands */
    request_fn *carry_out;
    struct subject subject;
    struct caller caller;
    const char *attr;                /* the file's name, for the log */
    char word[TEXT_COMMAND_MAX + 1]; /* trimmed (text_command) */
    struct live *live; /* of `data`, a reference: given to an open that succeeds, back by a close */
    /*
     * The answer: 0 or a negative errno, on the owner thread, after the view that shows the change
     * was published. It frees the request.
     */
    void (*answer)(struct request *request, int result);
    void *answer_arg;
    int result;
};

/* The owner: it was carried out; answered when this turn's changes are published. */
void request_done(struct request *request, struct service *service, int result);
