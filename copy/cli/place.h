/*
 * SOURCE and DESTINATION: what their names mean, whether they may be used, and what becomes of a
 * destination that was made here.
 *
 * A new file has no name until it is complete, where the filesystem can do that: whatever ends us,
 * nothing that is half a copy looks like one.
 */
#pragma once

#include <sys/stat.h>

#include "copy/cli/cli.h"
#include "copy/cli/name.h"
#include "copy/endpoint/endpoint.h"

enum place_kind {
    PLACE_FILE,
    PLACE_BLOCK,
    PLACE_OTHER, /* behind a URI */
    PLACE_PIPE,  /* to be read or written from its start to its end */
};

struct place {
    const char *name;           /* as it was given */
    char shown[CLI_NAME_BYTES]; /* the same, for messages */
    const char *path;           /* of a file or a device */
    enum place_kind kind;
    struct stat st; /* of a file, a device or a pipe */
    int fd;         /* of a file or a pipe; -1: none */
    bool owns_fd;
    struct endpoint *ep; /* NULL: a pipe has none */
    uint64_t size_bytes; /* when it was opened; CLI_SIZE_UNKNOWN of a pipe */
    bool made;           /* by us: all holes at first, and discarded unless it was completed */
    bool nameless;       /* and nobody sees it until then */
};

#define PLACE_NONE ((struct place){.fd = -1})

/* How a destination may be had. */
struct place_terms {
    const struct place *source;
    bool create, force;
    bool resume;     /* it is there, and holds what an earlier run has left */
    const char *map; /* that tells so, as it is shown */
    bool keep;       /* a new one has its name from the start, for a later run to find */
};

/* To be read. Return 0 or a negative errno, in words in ret. */
int place_open_source(struct place *place, const char *name, const struct cli_options *options,
                      struct cli_result *ret);
int place_open_destination(struct place *place, const char *name, const struct cli_options *options,
                           const struct place_terms *terms, struct cli_result *ret);

/* How much work it is. destination: NULL: it is only read. */
void place_tell_work(const struct place *source, const struct place *destination, struct cli *cli);

/* See to it that it has room for so much. An old file keeps what it holds, and what lies beyond
 * until place_cut: it may be what the source reads, under a name that nobody sees through. */
int place_set_size(struct place *place, uint64_t size_bytes, struct cli_result *ret);

/* What comes out of a pipe has come so far: see that there is room for it. */
int place_grow(struct place *place, uint64_t size_bytes, struct cli_result *ret);

/* All of the copy is in it and flushed: an old file loses what lies beyond, and the space that its
 * holes were given ahead of data unless it is wanted, durably. */
int place_cut(struct place *place, uint64_t size_bytes, bool sparse, struct cli_result *ret);

/* Was the file written or cut since it was opened, as its time tells? 1, 0, also of what is no
 * file, or a negative errno. */
int place_changed(const struct place *place);
/* What was learnt of a file that was written meanwhile is of no single moment: -ETXTBSY, in words
 * in ret. was: "copied"; again: "copy". */
int place_check_still(const struct place *place, const char *was, const char *again,
                      struct cli_result *ret);

/* Who it is, after a reboot too; out: cap bytes. */
void place_identify(const struct place *place, char *out, size_t cap);

/* Flush the directory that its name is in. 0 or a negative errno, in words in ret. */
int place_sync_parent(const struct place *place, struct cli_result *ret);

/* A read-only source makes a read-only copy. 0 or a negative errno. */
int place_set_mode(const struct place *place, const struct place *source);

/* It is whole and flushed: give it its name, durably. */
int place_complete(struct place *place, const struct place *source, struct cli_result *ret);
/* Remove it, if it was made here and bears its name. Any thread, as we end. */
void place_unlink(const struct place *place);
/* The same for a copy that failed. Returns whether it was made here. */
bool place_discard(struct place *place);
/* PLACE_NONE is allowed. Returns 0, or what closing a thing that was written had to tell. */
int place_close(struct place *place);
