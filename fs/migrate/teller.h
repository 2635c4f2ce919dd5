/*
 * The program that the configuration names in `notify`: run for each event, and never waited for.
 *
 * It gets the event as one line of JSON on stdin and its keys in the environment, which holds
 * nothing else but PATH; no descriptor but the first three; and the rights of `notify_user`. A few
 * run at once, the rest waits; what is too much is dropped, and told in the log, as is a program
 * that fails. All on the owner thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "copy/base/loop.h"

#define TELLER_WORDS_MAX 32 /* the program and its arguments */

struct teller_config {
    char *words[TELLER_WORDS_MAX + 1]; /* an absolute path, arguments, NULL. words[0] NULL: none */
    uid_t uid;                         /* runs as these, where we are root */
    gid_t gid;
    uint64_t timeout_s; /* then it is killed, and what it started */
};

struct teller;

/* config outlives it. 0 or -ENOMEM. */
int teller_open(struct loop *loop, const struct teller_config *config, struct teller **ret);
/* Ends what runs. NULL is allowed. */
void teller_close(struct teller *teller);

/*
 * Run it, or note that it is to be run.
 * event: a name of static storage; json: one line; lines: KEY=value each. They are copied.
 * pressing: it may have the last half of the room for those that wait too.
 */
void teller_tell(struct teller *teller, const char *event, const char *json, const char *lines,
                 bool pressing);
