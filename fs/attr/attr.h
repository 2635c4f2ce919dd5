/*
 * What a reader sees: the tree as tables, a row per file. No FUSE, no tdb.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "copy/base/text.h"
#include "fs/migrate/request.h"
#include "fs/view/about.h"
#include "fs/view/view.h"

/* What a file is about. volume or host is NULL where the directory is not about one. */
struct attr_of {
    const struct view *view;
    const struct view_volume *volume;
    const struct view_host *host;
};

struct attr {
    const char *name;
    mode_t mode; /* permission bits */
    enum event wakes_on;
    /* The value and a newline; "null" where there is none. Memory only. NULL: cannot be read. */
    void (*show)(const struct attr_of *of, struct text *out);
    /* Instead of show: the file is this text that grows; the view's reference. */
    struct feed *(*feed)(const struct attr_of *of);
    /* Carry out a written command; NULL: cannot be written. Owner thread. */
    request_fn *store;
    /* Asked when it is opened for writing, word is ""; NULL: always yes. Owner thread. */
    request_fn *admit;
    /* Not NULL: a read blocks until this is true of a newer view; then it is shown. */
    bool (*ready)(const struct attr_of *of);
    bool data;     /* instead of show and store: the volume's own bytes, and its mode and owner */
    bool unlisted; /* answers by name, is in no listing */
    bool touched;  /* inotify tells of its changes too */
    const char *help; /* one line for the manual and .control/help */
};

/* One directory of fixed files. The three that hold volumes, hosts and these are attr_dir too. */
struct attr_dir {
    const char *name; /* "migrate"; NULL: named after its volume or host */
    enum about about;
    enum attr_dir_id {
        ATTR_DIR_ROOT, /* holds the volumes and .control */
        ATTR_DIR_VOLUME,
        ATTR_DIR_MIGRATE,
        ATTR_DIR_CONTROL,
        ATTR_DIR_HOSTS, /* holds the hosts */
        ATTR_DIR_HOST,
        ATTR_DIR_N
    } id;
    enum attr_dir_id parent;
    const struct attr *attrs;
    size_t n_attrs;
    const char *help;
};

extern const struct attr_dir *const attr_dirs[ATTR_DIR_N]; /* by id */

/* When the value last changed; {0}: it never did. */
struct timespec attr_changed(const struct attr_of *of, const struct attr *attr);

/* The manual's lists, made from the tables. Format of a line: PATH MODE HELP, tabs between; and
 * NAME TYPE HELP, of .control/metrics. */
void attr_describe(struct text *out);
void attr_describe_metrics(struct text *out);
