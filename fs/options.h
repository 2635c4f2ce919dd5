/*
 * The command line and the configuration file: one table of settings for both.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "copy/base/err.h"
#include "fs/host/host.h"
#include "fs/migrate/service.h"

#define OPTIONS_MOUNT_POINT "/run/ferryfs"

enum action {
    ACTION_RUN,
    ACTION_HELP,
    ACTION_VERSION,
    ACTION_CHECK_CONFIG,
    ACTION_CHECK_CATALOGUE,
    ACTION_LIST_CRASH_POINTS,
    ACTION_LIST_FILES,
    ACTION_LIST_METRICS,
    ACTION_LIST_EVENTS,
    ACTION_POOL_AGENT,
};

struct options {
    int argc; /* of the command line, to read all of it again */
    char **argv;
    enum action action;
    bool foreground, has_file;
    bool by_mount;         /* called by mount(8), as its helper */
    char source[PATH_MAX]; /* what is mounted, as mount(8) shows it: the file, or "ferryfs" */
    char mount_point[PATH_MAX];
    char state_dir[PATH_MAX];
    gid_t group;
    struct host_config *hosts;
    char *notify_words;            /* what service.notify points into */
    struct service_config service; /* points into this struct once options_finish ran */
};

void options_init(struct options *options);
void options_deinit(struct options *options);

/*
 * Read the command line (mount(8)'s, where we are called by the name of its helper), and the file
 * it names; what the command line says comes last and wins. Returns 0; -EINVAL wrong usage;
 * -EBADMSG a wrong configuration (e names file and line).
 */
int options_parse(struct options *options, int argc, char **argv, struct err *e);

/* What --help prints. */
void options_help(struct text *out);
