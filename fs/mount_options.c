/*
 * The command line of mount(8)'s helper: FILE DIR [-sfnv] [-t TYPE] [-o WORD,...].
 *
 * A word of -o is a setting of ours, or one of those that mount(8) has for every filesystem. Of
 * these, most hold anyway or are about other things than the mount; some ask for what is not so,
 * and an unknown one may: that is an error. Source: mount(8), EXTERNAL HELPERS and
 * FILESYSTEM-INDEPENDENT MOUNT OPTIONS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "fs/settings.h"

static const char *const ignored[] = {
    /* it is always so */
    "rw", "nosuid", "nodev", "noexec", "allow_other", "default_permissions", "nosymfollow",
    /* who may mount it, and when; of `group`, the setting has a value */
    "defaults", "auto", "noauto", "nofail", "_netdev", "user", "users", "nouser", "owner",
    "noowner", "group", "nogroup",
    /* of times and flushing, which mean nothing here */
    "async", "sync", "dirsync", "nodirsync", "atime", "noatime", "diratime", "nodiratime",
    "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime", "iversion",
    "noiversion", "mand", "nomand", "silent", "loud"};

/* For others: x-systemd.automount, comment=..., user=... */
static const char *const ignored_prefixes[] = {"x-", "X-", "comment=", "user=", "uhelper="};

static const struct {
    const char *word, *why;
} refused[] = {
    {"remount", "what can change does so by its file or by SIGHUP; for the rest, unmount it"},
    {"ro", "its files are there to be written; bind-mount it read-only where they are not"},
};

static bool is_ignored(const char *word)
{
    for (size_t i = 0; i < ARRAY_N(ignored); i++)
        if (strcmp(word, ignored[i]) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_N(ignored_prefixes); i++)
        if (strncmp(word, ignored_prefixes[i], strlen(ignored_prefixes[i])) == 0)
            return true;
    return false;
}

static bool is_setting(const char *name)
{
    for (size_t i = 0; i < SETTINGS_N; i++)
        if (strcmp(name, settings[i].name) == 0)
            return true;
    return false;
}

static int take_word(struct options *options, char *word, bool sloppy, struct err *e)
{
    char *value;

    if (!*word || is_ignored(word))
        return 0;
    for (size_t i = 0; i < ARRAY_N(refused); i++)
        if (strcmp(word, refused[i].word) == 0)
            return err_set(e, EINVAL, "the mount option %s cannot be: %s", word, refused[i].why);
    value = strchr(word, '=');
    if (value)
        *value++ = '\0';
    if (value && is_setting(word))
        return setting_key(options, word, value, e);
    return sloppy ? 0 : err_set(e, EINVAL, "there is no mount option %.100s", word);
}

static int take_words(struct options *options, char *words, bool sloppy, struct err *e)
{
    int r = 0;

    for (char *word; r == 0 && (word = strsep(&words, ",")) != NULL;)
        r = take_word(options, word, sloppy, e);
    return r < 0 ? -EINVAL : 0;
}

int options_parse_mount(struct options *options, int argc, char **argv, struct err *e)
{
    OWNED(text) struct text words = {0};
    bool sloppy = false;
    int code, r;

    options->by_mount = true;
    optind = 0; /* a new scan: getopt(3), NOTES */
    while ((code = getopt(argc, argv, "sfnvt:o:")) != -1) {
        if (code == '?')
            return -EINVAL;
        if (code == 's')
            sloppy = true;
        else if (code == 'f')
            options->action = ACTION_CHECK_CONFIG;
        else if (code == 'o')
            text_add(&words, "%s%s", words.n ? "," : "", optarg);
    }
    if (argc - optind != 2)
        return err_set(e, EINVAL, "a configuration file and a directory, not %d words",
                       argc - optind);
    if (words.failed)
        return err_set(e, EINVAL, "the mount options are too long");
    r = options_read_file(options, argv[optind], e);
    if (r == 0 && words.n)
        r = take_words(options, words.bytes, sloppy, e);
    if (r == 0 && setting_absolute(argv[optind + 1], options->mount_point, e) < 0)
        r = -EINVAL;
    return r < 0 ? r : options_finish(options, e);
}
