#include "fs/settings.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/backend/backend.h"
#include "fs/migrate/option.h"

int setting_absolute(const char *path, char out[PATH_MAX], struct err *e)
{
    char here[PATH_MAX];
    int n;

    if (!*path)
        return err_set(e, EINVAL, "an empty path");
    if (*path == '/')
        n = snprintf(out, PATH_MAX, "%s", path);
    else if (!getcwd(here, sizeof(here)))
        return err_set(e, errno, "cannot tell the current directory: %s", strerror(errno));
    else
        n = snprintf(out, PATH_MAX, "%s/%s", strcmp(here, "/") == 0 ? "" : here, path);
    if (n < 0 || n >= PATH_MAX)
        return err_set(e, ENAMETOOLONG, "the path is too long");
    while (n > 1 && out[n - 1] == '/')
        out[--n] = '\0';
    return 0;
}

static int set_state(struct options *options, const char *value, struct err *e)
{
    return setting_absolute(value, options->state_dir, e);
}

static int set_group(struct options *options, const char *value, struct err *e)
{
    char buffer[65536]; /* a group's members are in it too */
    struct group group, *found = NULL;

    if (getgrnam_r(value, &group, buffer, sizeof(buffer), &found) != 0 || !found)
        return err_set(e, EINVAL, "there is no group %s", value);
    options->group = group.gr_gid;
    return 0;
}

static int set_option(const struct option_row *row, const char *value, uint64_t *ret, struct err *e)
{
    if (option_parse(row, value, ret) < 0)
        return err_set(e, EINVAL, "%s is %s", row->name, row->takes);
    return 0;
}

static int set_max_jobs(struct options *options, const char *value, struct err *e)
{
    return set_option(&max_jobs_option, value, &options->service.max_jobs, e);
}

static int set_max_queue(struct options *options, const char *value, struct err *e)
{
    return set_option(&max_queue_option, value, &options->service.max_queue, e);
}

static int set_speed(struct options *options, const char *value, struct err *e)
{
    return set_option(&speed_option, value, &options->service.speed_bytes_per_s, e);
}

static int set_pause(struct options *options, const char *value, struct err *e)
{
    return set_option(&pause_option, value, &options->service.pause, e);
}

static int set_stall(struct options *options, const char *value, struct err *e)
{
    static const struct option_row stall = {
        .name = "stall", .kind = OPTION_COUNT, .max = 86400, .takes = "a number from 0 to 86400"};

    return set_option(&stall, value, &options->service.stall_s, e);
}

static int set_grace(struct options *options, const char *value, struct err *e)
{
    static const struct option_row grace = {
        .name = "grace", .kind = OPTION_COUNT, .max = 86400, .takes = "a number from 0 to 86400"};

    return set_option(&grace, value, &options->service.grace_s, e);
}

/* Words with blanks between; there is no quoting. */
static int set_notify(struct options *options, const char *value, struct err *e)
{
    struct teller_config *notify = &options->service.notify;
    size_t n = 0;
    char *rest;

    if (value[0] != '/')
        return err_set(e, EINVAL, "notify begins with the path of a program, from / on");
    free(options->notify_words);
    options->notify_words = rest = strdup(value);
    if (!rest)
        return err_set(e, ENOMEM, "no memory");
    for (char *word; (word = strsep(&rest, " \t"));) {
        if (*word && n == TELLER_WORDS_MAX)
            return err_set(e, EINVAL, "notify has at most %d words", TELLER_WORDS_MAX);
        if (*word)
            notify->words[n++] = word;
    }
    notify->words[n] = NULL;
    return 0;
}

static int set_notify_user(struct options *options, const char *value, struct err *e)
{
    struct teller_config *notify = &options->service.notify;
    struct passwd user, *found = NULL;
    char buffer[4096];

    if (getpwnam_r(value, &user, buffer, sizeof(buffer), &found) != 0 || !found)
        return err_set(e, EINVAL, "there is no user %s", value);
    notify->uid = user.pw_uid;
    notify->gid = user.pw_gid;
    return 0;
}

static int set_notify_timeout(struct options *options, const char *value, struct err *e)
{
    static const struct option_row timeout = {.name = "notify_timeout",
                                              .kind = OPTION_COUNT,
                                              .min = 1,
                                              .max = 3600,
                                              .takes = "a number from 1 to 3600"};

    return set_option(&timeout, value, &options->service.notify.timeout_s, e);
}

const struct setting settings[SETTINGS_N] = {
    {"state", "DIR", "catalogue and journals (/var/lib/ferryfs)", set_state},
    {"group", "NAME", "may write the controls (the daemon's own)", set_group},
    {"max_jobs", "N", "migrations at once; more are queued (2)", set_max_jobs},
    {"max_queue", "N", "migrations that may wait (1000)", set_max_queue},
    {"speed", "RATE", "bytes a second of all migrations (max)", set_speed},
    {"pause", "0|1", "1: nothing moves until .control/pause is written (0)", set_pause},
    {"stall", "SECONDS", "a job is stopped when no disk answers for so long; 0: never (60)",
     set_stall},
    {"grace", "SECONDS", "how long a job may be stopped before it rolls back (60)", set_grace},
    {"notify", "PROGRAM", "run for each event: a path and arguments", set_notify},
    {"notify_user", "NAME", "runs it, where we are root (nobody)", set_notify_user},
    {"notify_timeout", "SECONDS", "how long it may run (30)", set_notify_timeout},
};

static struct host_config *find_host(struct options *options, const char *name)
{
    for (size_t i = 0; i < options->service.n_hosts; i++)
        if (strcmp(options->hosts[i].name, name) == 0)
            return &options->hosts[i];
    return NULL;
}

struct host_config *setting_host(struct options *options, const char *name, struct err *e)
{
    struct host_config *hosts, *host = find_host(options, name);

    if (host)
        return host;
    if (!text_is_host_name(name)) {
        err_set(e, EINVAL, "'%.80s' is no host's name: letters, digits and ._- , at most 64", name);
        return NULL;
    }
    if (strcmp(name, "auto") == 0 || strcmp(name, "null") == 0 || strcmp(name, "0") == 0) {
        err_set(e, EINVAL, "no host can be called %s: that word has a meaning of its own", name);
        return NULL;
    }
    hosts = reallocarray(options->hosts, options->service.n_hosts + 1, sizeof(*hosts));
    if (!hosts) {
        err_set(e, ENOMEM, "no memory");
        return NULL;
    }
    options->hosts = hosts;
    host = &hosts[options->service.n_hosts++];
    *host = (struct host_config){.driver = "dir",
                                 .max_jobs = max_jobs_option.preset,
                                 .speed_bytes_per_s = speed_option.preset};
    snprintf(host->name, sizeof(host->name), "%s", name);
    return host;
}

int setting_host_word(struct options *options, const char *value, struct err *e)
{
    OWNED(mem) char *name = strdup(value);
    char *path = name ? strchr(name, '=') : NULL;
    struct host_config *host;

    if (!name)
        return err_set(e, ENOMEM, "no memory");
    if (!path)
        return err_set(e, EINVAL, "--host takes NAME=PATH, not '%.100s'", value);
    *path++ = '\0';
    host = setting_host(options, name, e);
    if (!host)
        return -e->code;
    if (host->on_command_line)
        return err_set(e, EINVAL, "host %s is given twice", name);
    host->on_command_line = true; /* it wins over a file */
    return setting_absolute(path, host->path, e);
}

static int set_host_path(struct host_config *host, const char *value, struct err *e)
{
    if (host->path[0])
        return err_set(e, EINVAL, "host %s has a path already", host->name);
    return setting_absolute(value, host->path, e);
}

static int set_host_driver(struct host_config *host, const char *value, struct err *e)
{
    if (!backend_by_name(value))
        return err_set(e, EINVAL, "there is no driver %.100s", value);
    snprintf(host->driver, sizeof(host->driver), "%s", value);
    return 0;
}

static int set_host_max_jobs(struct host_config *host, const char *value, struct err *e)
{
    return set_option(&max_jobs_option, value, &host->max_jobs, e);
}

static int set_host_speed(struct host_config *host, const char *value, struct err *e)
{
    return set_option(&speed_option, value, &host->speed_bytes_per_s, e);
}

static int set_host_drain(struct host_config *host, const char *value, struct err *e)
{
    return set_option(&drain_option, value, &host->drain, e);
}

static const struct {
    const char *name;
    int (*set)(struct host_config *host, const char *value, struct err *e);
} host_keys[] = {
    {"path", set_host_path},   {"driver", set_host_driver}, {"max_jobs", set_host_max_jobs},
    {"speed", set_host_speed}, {"drain", set_host_drain},
};

/* A path that lasts must not depend on where the program is started. */
static int check_lasting(const char *key, const char *value, struct err *e)
{
    if ((strcmp(key, "path") == 0 || strcmp(key, "state") == 0) && value[0] != '/')
        return err_set(e, EINVAL, "%s must begin with /", key);
    return 0;
}

static int no_such_key(const char *key, const struct text *known, struct err *e)
{
    return err_set(e, EINVAL, "there is no key %.40s; there are %s", key,
                   known->failed ? "others" : known->bytes);
}

int setting_key(struct options *options, const char *key, const char *value, struct err *e)
{
    OWNED(text) struct text known = {0};

    if (check_lasting(key, value, e) < 0)
        return -e->code;
    for (size_t i = 0; i < SETTINGS_N; i++)
        if (strcmp(settings[i].name, key) == 0)
            return settings[i].set(options, value, e);
    for (size_t i = 0; i < SETTINGS_N; i++)
        text_add(&known, "%s%s", i ? ", " : "", settings[i].name);
    return no_such_key(key, &known, e);
}

int setting_host_key(struct options *options, const char *name, const char *key, const char *value,
                     struct err *e)
{
    struct host_config *host = setting_host(options, name, e);
    OWNED(text) struct text known = {0};

    if (!host || check_lasting(key, value, e) < 0)
        return -e->code;
    for (size_t i = 0; i < ARRAY_N(host_keys); i++)
        if (strcmp(host_keys[i].name, key) == 0)
            return host_keys[i].set(host, value, e);
    for (size_t i = 0; i < ARRAY_N(host_keys); i++)
        text_add(&known, "%s%s", i ? ", " : "", host_keys[i].name);
    return no_such_key(key, &known, e);
}

int setting_host_key_word(struct options *options, const char *value, struct err *e)
{
    OWNED(mem) char *name = strdup(value);
    char *key = name ? strchr(name, ':') : NULL, *rest = key ? strchr(key, '=') : NULL;

    if (!name)
        return err_set(e, ENOMEM, "no memory");
    if (!rest)
        return err_set(e, EINVAL, "--set takes HOST:KEY=VALUE, not '%.100s'", value);
    *key++ = '\0';
    *rest++ = '\0';
    return setting_host_key(options, name, key, rest, e);
}
