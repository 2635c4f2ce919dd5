#include "fs/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/option.h"
#include "fs/settings.h"

enum {
    OPTION_HOST = 256,
    OPTION_SET,
    OPTION_CHECK_CONFIG,
    OPTION_CHECK_CATALOGUE,
    OPTION_CRASH_POINTS,
    OPTION_FILES,
    OPTION_METRICS,
    OPTION_EVENTS,
    OPTION_POOL_AGENT,
    OPTION_SETTING
};

#define NOBODY 65534 /* the kernel's own, for who is nobody here: user_namespaces(7) */

static const struct action_row {
    const char *name;
    int code;
    enum action action;
    const char *help; /* NULL: for ourselves */
} actions[] = {
    {"help", 'h', ACTION_HELP, "print this"},
    {"version", 'V', ACTION_VERSION, "print the version"},
    {"check-config", OPTION_CHECK_CONFIG, ACTION_CHECK_CONFIG,
     "say whether the configuration is right"},
    {"check-catalogue", OPTION_CHECK_CATALOGUE, ACTION_CHECK_CATALOGUE,
     "say what is in the catalogue of a ferryfs that does not run"},
    {"list-files", OPTION_FILES, ACTION_LIST_FILES,
     "print the files of the tree, their modes and meaning"},
    {"list-metrics", OPTION_METRICS, ACTION_LIST_METRICS,
     "print the metrics of .control/metrics, their types and meaning"},
    {"list-events", OPTION_EVENTS, ACTION_LIST_EVENTS,
     "print the events, their MESSAGE_IDs and their keys"},
    {"list-crash-points", OPTION_CRASH_POINTS, ACTION_LIST_CRASH_POINTS,
     "print the names FERRYFS_CRASH takes (test builds)"},
    {"pool-agent", OPTION_POOL_AGENT, ACTION_POOL_AGENT, NULL},
};

#define N_LONG (ARRAY_N(actions) + SETTINGS_N + 5)

static void dashed(const char *name, char out[32])
{
    snprintf(out, 32, "%s", name);
    for (char *c = out; *c; c++)
        if (*c == '_')
            *c = '-';
}

static void fill_long(struct option out[N_LONG], char names[SETTINGS_N][32])
{
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_N(actions); i++)
        out[n++] = (struct option){actions[i].name, no_argument, NULL, actions[i].code};
    for (size_t i = 0; i < SETTINGS_N; i++) {
        dashed(settings[i].name, names[i]);
        out[n++] = (struct option){names[i], required_argument, NULL, OPTION_SETTING + (int)i};
    }
    out[n++] = (struct option){"host", required_argument, NULL, OPTION_HOST};
    out[n++] = (struct option){"set", required_argument, NULL, OPTION_SET};
    out[n++] = (struct option){"config", required_argument, NULL, 'c'};
    out[n++] = (struct option){"foreground", no_argument, NULL, 'f'};
    out[n] = (struct option){0};
}

static int take_option(struct options *options, int code, struct err *e)
{
    if (code >= OPTION_SETTING)
        return settings[code - OPTION_SETTING].set(options, optarg, e);
    if (code == OPTION_HOST)
        return setting_host_word(options, optarg, e);
    if (code == OPTION_SET)
        return setting_host_key_word(options, optarg, e);
    if (code == 'f') {
        options->foreground = true;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_N(actions); i++)
        if (actions[i].code == code) {
            options->action = actions[i].action;
            return 0;
        }
    return err_set(e, EINVAL, "wrong usage");
}

/* Two passes: the file first, so that the command line wins. */
static int take_options(struct options *options, int argc, char **argv, bool file_pass,
                        struct err *e)
{
    struct option rows[N_LONG];
    char names[SETTINGS_N][32];
    int code, r = 0;

    fill_long(rows, names);
    optind = 0; /* a new scan: getopt(3), NOTES */
    opterr = file_pass;
    while (r == 0 && (code = getopt_long(argc, argv, "c:fhV", rows, NULL)) != -1) {
        if (code == '?')
            return -EINVAL;
        if (code == 'c')
            r = file_pass ? options_read_file(options, optarg, e) : 0;
        else if (!file_pass)
            r = take_option(options, code, e);
    }
    if (r < 0 && r != -EBADMSG)
        r = -EINVAL;
    return r;
}

int options_finish(struct options *options, struct err *e)
{
    for (size_t i = 0; i < options->service.n_hosts; i++)
        if (!options->hosts[i].path[0])
            return err_set(e, EBADMSG, "host %s has no path", options->hosts[i].name);
    if (options->service.n_hosts == 0 && options->has_file)
        return err_set(e, EBADMSG, "the configuration has no [host NAME]");
    if ((options->action == ACTION_RUN || options->action == ACTION_CHECK_CONFIG) &&
        options->service.n_hosts == 0)
        return err_set(e, EINVAL, "no host is given: --host NAME=PATH, or -c FILE");
    options->service.hosts = options->hosts;
    options->service.state_dir = options->state_dir;
    return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct err *e)
{
    int r;

    options->argc = argc;
    options->argv = argv;
    if (argc > 0 && strcmp(basename(argv[0]), MOUNT_HELPER) == 0)
        return options_parse_mount(options, argc, argv, e);
    r = take_options(options, argc, argv, true, e);
    if (r == 0)
        r = take_options(options, argc, argv, false, e);
    if (r < 0)
        return r;
    if (argc - optind > 1)
        return err_set(e, EINVAL, "one mount point, not %d", argc - optind);
    if (argc - optind == 1 && setting_absolute(argv[optind], options->mount_point, e) < 0)
        return -EINVAL;
    return options_finish(options, e);
}

void options_init(struct options *options)
{
    const char *home = getenv("HOME"), *state = getenv("XDG_STATE_HOME");

    *options = (struct options){.group = getegid()};
    snprintf(options->source, sizeof(options->source), "ferryfs");
    snprintf(options->mount_point, sizeof(options->mount_point), OPTIONS_MOUNT_POINT);
    if (geteuid() == 0)
        snprintf(options->state_dir, sizeof(options->state_dir), "/var/lib/ferryfs");
    else if (state && *state == '/')
        snprintf(options->state_dir, sizeof(options->state_dir), "%s/ferryfs", state);
    else
        snprintf(options->state_dir, sizeof(options->state_dir), "%s/.local/state/ferryfs",
                 home && *home == '/' ? home : "/tmp");
    options->service.max_jobs = max_jobs_option.preset;
    options->service.max_queue = max_queue_option.preset;
    options->service.speed_bytes_per_s = speed_option.preset;
    options->service.stall_s = 60;
    options->service.grace_s = 60;
    options->service.notify.uid = NOBODY;
    options->service.notify.gid = NOBODY;
    options->service.notify.timeout_s = 30;
}

void options_deinit(struct options *options)
{
    free(options->hosts);
    free(options->notify_words);
}

void options_help(struct text *out)
{
    text_add(out, "Usage: ferryfs [OPTION]... --host NAME=PATH... [MOUNTPOINT]\n"
                  "       ferryfs [OPTION]... -c FILE [MOUNTPOINT]\n\n"
                  "Mount the volumes of some hosts as files that move them between the hosts.\n"
                  "The mount point is /run/ferryfs where none is given.\n\n"
                  "      --host NAME=PATH          a host: a directory whose files are volumes\n"
                  "      --set HOST:KEY=VALUE      a key of a host's section, see ferryfs(5)\n"
                  "  -c, --config FILE             read a configuration, see ferryfs(5)\n"
                  "  -f, --foreground              stay in the foreground, log to stderr\n");
    for (size_t i = 0; i < SETTINGS_N; i++) {
        char name[32], left[64];

        dashed(settings[i].name, name);
        snprintf(left, sizeof(left), "%s %s", name, settings[i].value);
        text_add(out, "      --%-22s  %s\n", left, settings[i].help);
    }
    for (size_t i = 0; i < ARRAY_N(actions); i++)
        if (actions[i].help)
            text_add(out, "%s--%-22s  %s\n",
                     actions[i].code == 'h'   ? "  -h, "
                     : actions[i].code == 'V' ? "  -V, "
                                              : "      ",
                     actions[i].name, actions[i].help);
    text_add(
        out,
        "\nExit status: 0 success, 1 failure, 2 wrong usage, 3 wrong configuration, 75 another\n"
        "daemon owns the state.\n");
}
