/*
 * ferrycopy: what its parts share. The main thread watches (watch.h); the work, an action's
 * run, is on a thread of its own, and blocks as it likes.
 */
#pragma once

#include <stdatomic.h>

#include "copy/cli/options.h"
#include "copy/digest.h"
#include "copy/wire.h"

enum cli_exit {
    CLI_DONE,
    CLI_FAILED, /* and: different */
    CLI_USAGE,
    CLI_REFUSED,    /* nothing was changed; an option, or another name, would allow it */
    CLI_TROUBLE,    /* --compare: neither equal nor different */
    CLI_UNVERIFIED, /* what is read back is not what was written */
};

enum cli_phase { CLI_BEGINNING, CLI_COPYING, CLI_VERIFYING, CLI_READING, CLI_COMPARING };

#define CLI_SIZE_UNKNOWN UINT64_MAX

struct place;

struct cli {
    const struct cli_options *options;
    atomic_bool stop; /* give up within a request */
    int stop_fd;      /* readable once it is set */
    _Atomic uint64_t speed_bytes_per_s;
    struct progress progress;
    _Atomic uint64_t size_bytes; /* of the work; CLI_SIZE_UNKNOWN: nobody knows (yet) */
    _Atomic uint64_t data_bytes; /* of that, what takes time; CLI_SIZE_UNKNOWN: holes may, too */
    _Atomic int phase;           /* enum cli_phase */
    atomic_bool verifying;       /* what is done will be read back too, or is just that */
    _Atomic(const struct place *) unfinished; /* it goes if we end at once; NULL: nothing does */
};

struct cli_result {
    enum cli_exit status;
    bool different;     /* CLI_FAILED of a comparison, which found out */
    uint64_t bad_bytes; /* where, or ENGINE_NO_PLACE */
    bool has_digest;
    struct digest digest;
    struct err err;   /* why not CLI_DONE */
    struct text also; /* what has become of the destination: whole lines */
};

/* An action's work: what is printed to stdout goes there at once. Returns ret->status. */
typedef enum cli_exit cli_run_fn(struct cli *cli, struct cli_result *ret);
cli_run_fn cli_copy, cli_compare, cli_map, cli_digest;

/* What a failure is to an action: of a comparison the status must not say that they differ. */
static inline enum cli_exit cli_trouble(const struct cli_options *options)
{
    return options->action == CLI_COMPARE ? CLI_TROUBLE : CLI_FAILED;
}

/* It ends with status, and why. Returns -code. */
int cli_end(struct cli_result *ret, enum cli_exit status, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define cli_fail(ret, code, ...)   cli_end(ret, CLI_FAILED, code, __VA_ARGS__)
#define cli_refuse(ret, code, ...) cli_end(ret, CLI_REFUSED, code, __VA_ARGS__)

/* A line to stderr, escaped: "ferrycopy: ...". Any thread. */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
