/*
 * What can be set, by the command line and by a file alike: a row each. Private to the options.
 */
#pragma once

#include "fs/options.h"

/* A setting of [ferryfs], which is `--NAME` too; underscores are dashes there. */
struct setting {
    const char *name, *value, *help;
    int (*set)(struct options *options, const char *value, struct err *e);
};

enum { SETTINGS_N = 11 };
extern const struct setting settings[SETTINGS_N];

/* The host of that name, made if it is new. NULL: why in e. */
struct host_config *setting_host(struct options *options, const char *name, struct err *e);
/* A key of [ferryfs] where it is written to last: paths are absolute. 0 or a negative errno; of an
 * unknown key e tells which there are. */
int setting_key(struct options *options, const char *key, const char *value, struct err *e);
/* The same of the section of a host. */
int setting_host_key(struct options *options, const char *name, const char *key, const char *value,
                     struct err *e);
/* NAME=PATH. 0 or a negative errno. */
int setting_host_word(struct options *options, const char *value, struct err *e);
/* NAME:KEY=VALUE, a key of that host's section. 0 or a negative errno. */
int setting_host_key_word(struct options *options, const char *value, struct err *e);
/* A path as seen from the current directory, without slashes at its end. 0 or a negative errno. */
int setting_absolute(const char *path, char out[PATH_MAX], struct err *e);

/* What holds of all settings together. 0, -EINVAL or -EBADMSG. */
int options_finish(struct options *options, struct err *e);

/* mount(8) calls the helper of a type by this name. */
#define MOUNT_HELPER "mount.fuse.ferryfs"
/* The command line of mount(8)'s helper. As options_parse. */
int options_parse_mount(struct options *options, int argc, char **argv, struct err *e);

/* Read a configuration. 0 or -EBADMSG, with file and line in e. */
int options_read_file(struct options *options, const char *path, struct err *e);
