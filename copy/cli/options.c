#include "copy/cli/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/cli/values.h"
#include "copy/engine.h"
#include "copy/throttle.h"

#define BIT(n)    (UINT64_C(1) << (n))
#define FIRST_ROW 256 /* the code of a row that has no letter: above all letters */
#define ANY       (BIT(CLI_ACTION_N) - 1)
#define COPYING   BIT(CLI_COPY)
#define READING   (BIT(CLI_COPY) | BIT(CLI_COMPARE) | BIT(CLI_MAP) | BIT(CLI_DIGEST))
#define IN_BLOCKS (READING & ~BIT(CLI_DIGEST)) /* a digest has blocks of its own */
#define SHOWING   (BIT(CLI_COPY) | BIT(CLI_COMPARE) | BIT(CLI_DIGEST))
#define LIMITED   SHOWING

struct option_row {
    const char *name;
    char letter;       /* 0: none */
    bool optional;     /* the value may be left out */
    const char *value; /* what --help calls it; NULL: it takes none */
    const char *help;
    uint64_t actions; /* a bit for each that it has a meaning for */
    int (*take)(struct cli_options *options, const char *value, struct err *e);
};

static int take_verify(struct cli_options *options, const char *value, struct err *e)
{
    static const struct cli_word words[] = {{"full", true}, {"off", false}};

    return cli_value_flag(words, ARRAY_N(words), value ? value : "full", &options->verify, e);
}

static int take_sparse(struct cli_options *options, const char *value, struct err *e)
{
    static const struct cli_word words[] = {{"auto", true}, {"never", false}};

    return cli_value_flag(words, ARRAY_N(words), value, &options->sparse, e);
}

static int take_reflink(struct cli_options *options, const char *value, struct err *e)
{
    static const struct cli_word words[] = {{"auto", true}, {"never", false}};

    return cli_value_flag(words, ARRAY_N(words), value, &options->reflink, e);
}

static int take_progress(struct cli_options *options, const char *value, struct err *e)
{
    static const struct cli_word words[] = {{"bar", CLI_SHOW_BAR}, {"json", CLI_SHOW_JSON}};
    int show, r = cli_value_word(words, ARRAY_N(words), value ? value : "bar", &show, e);

    if (r == 0)
        options->show = (enum cli_show)show;
    return r;
}

static int take_io(struct cli_options *options, const char *value, struct err *e)
{
    static const struct cli_word words[] = {
        {"auto", QUEUE_AUTO}, {"io_uring", QUEUE_URING}, {"threads", QUEUE_THREADS}};
    int way, r = cli_value_word(words, ARRAY_N(words), value, &way, e);

    if (r == 0)
        options->way = (enum queue_way)way;
    return r;
}

int cli_options_rate(const char *value, uint64_t *ret, struct err *e)
{
    uint64_t rate = THROTTLE_NONE;

    if (strcmp(value, "max") != 0 && (text_parse_size(value, &rate) < 0 || rate == 0))
        return err_set(e, EINVAL,
                       "\"%.40s\" is no rate: bytes a second above 0, as 500M (K, M, G, T are "
                       "powers of 1024), or max",
                       value);
    *ret = rate;
    return 0;
}

static int take_speed(struct cli_options *options, const char *value, struct err *e)
{
    return cli_options_rate(value, &options->speed_bytes_per_s, e);
}

static int take_control(struct cli_options *options, const char *value, struct err *e)
{
    return cli_value_path(value, &options->control, e);
}

static int take_control_fd(struct cli_options *options, const char *value, struct err *e)
{
    return cli_value_fd(value, &options->control_fd, e);
}

static int take_resume(struct cli_options *options, const char *value, struct err *e)
{
    return cli_value_path(value, &options->map, e);
}

static int take_block_size(struct cli_options *options, const char *value, struct err *e)
{
    uint64_t bytes;

    if (text_parse_size(value, &bytes) < 0 || (bytes & (bytes - 1)) != 0 ||
        bytes < ENGINE_BLOCK_MIN_BYTES || bytes > ENGINE_BLOCK_MAX_BYTES)
        return err_set(e, EINVAL, "\"%.40s\" is not a power of 2 from 64K to 4M", value);
    options->block_bytes = bytes;
    return 0;
}

static int take_queue_depth(struct cli_options *options, const char *value, struct err *e)
{
    return cli_value_count(value, 64, &options->queue_depth, e);
}

static int take_connections(struct cli_options *options, const char *value, struct err *e)
{
    return cli_value_count(value, 16, &options->n_connections, e);
}

static int take_create(struct cli_options *options, const char *value, struct err *e)
{
    (void)value;
    if (options->force)
        return err_set(e, EINVAL, "--create makes a new file, --force overwrites: not both");
    options->create = true;
    return 0;
}

static int take_force(struct cli_options *options, const char *value, struct err *e)
{
    (void)value;
    if (options->create)
        return err_set(e, EINVAL, "--create makes a new file, --force overwrites: not both");
    options->force = true;
    return 0;
}

static int take_action(struct cli_options *options, enum cli_action action, struct err *e)
{
    /* Help and version win, whatever else is there. */
    if (options->action >= CLI_HELP)
        return 0;
    if (options->action != CLI_COPY && options->action != action && action < CLI_HELP)
        return err_set(e, EINVAL, "one of --compare, --map and --digest, not two");
    options->action = action;
    return 0;
}

#define TAKE_ACTION(name, action)                                                                  \
    static int take_##name(struct cli_options *options, const char *value, struct err *e)          \
    {                                                                                              \
        (void)value;                                                                               \
        return take_action(options, action, e);                                                    \
    }
TAKE_ACTION(compare, CLI_COMPARE)
TAKE_ACTION(map, CLI_MAP)
TAKE_ACTION(digest, CLI_DIGEST)
TAKE_ACTION(help, CLI_HELP)
TAKE_ACTION(version, CLI_VERSION)

/* The man page tells of them in this order; contrib/man/check-options holds the two together. */
static const struct option_row rows[] = {
    {"verify", 0, true, "full|off", "read the copy back and compare it (preset: full)", COPYING,
     take_verify},
    {"speed", 0, false, "RATE", "bytes read a second at most: K, M, G, T or max", LIMITED,
     take_speed},
    {"control", 0, false, "FILE", "a file with a RATE, heeded whenever it changes", LIMITED,
     take_control},
    {"control-fd", 0, false, "N", "a descriptor that a RATE a line is read from", LIMITED,
     take_control_fd},
    {"resume", 0, false, "MAP", "keep a map of what is done, go on where it ends", COPYING,
     take_resume},
    {"sparse", 0, false, "auto|never", "leave holes where the source reads zero (auto)", COPYING,
     take_sparse},
    {"reflink", 0, false, "auto|never", "share storage where the filesystem can (auto)", COPYING,
     take_reflink},
    {"create", 0, false, NULL, "the destination must be new", COPYING, take_create},
    {"force", 'f', false, NULL, "overwrite what the destination holds", COPYING, take_force},
    {"progress", 'p', true, "bar|json", "show how far it is: a bar, or lines of JSON", SHOWING,
     take_progress},
    {"block-size", 0, false, "BYTES", "of a request, 64K to 4M (512K)", IN_BLOCKS, take_block_size},
    {"queue-depth", 0, false, "N", "requests in flight, 1 to 64 (16)", READING, take_queue_depth},
    {"connections", 0, false, "N", "to each NBD server, 1 to 16 (4, if it can)", READING,
     take_connections},
    {"io", 0, false, "auto|io_uring|threads", "how requests are carried out (auto)", READING,
     take_io},
    {"compare", 0, false, NULL, "are two volumes equal? if not, where not?", ANY, take_compare},
    {"map", 0, false, NULL, "print where there is data, a hole, or zeroes", ANY, take_map},
    {"digest", 0, false, NULL, "print a digest of the contents", ANY, take_digest},
    {"help", 'h', false, NULL, "print this", ANY, take_help},
    {"version", 'V', false, NULL, "print the version", ANY, take_version},
};

static const struct action_row {
    const char *words; /* in a message */
    int n_min, n_max;  /* operands */
} actions[] = {
    [CLI_COPY] = {"a copy", 2, 2},         [CLI_COMPARE] = {"--compare", 2, 2},
    [CLI_MAP] = {"--map", 1, 1},           [CLI_DIGEST] = {"--digest", 1, 1},
    [CLI_HELP] = {"--help", 0, INT32_MAX}, [CLI_VERSION] = {"--version", 0, INT32_MAX},
};

static const struct option_row *row_of(int code)
{
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        if (code == (int)(FIRST_ROW + i) || (rows[i].letter && code == rows[i].letter))
            return &rows[i];
    }
    return NULL;
}

static int take_row(struct cli_options *options, const struct option_row *row, struct err *e)
{
    struct err why = {0};
    int r = row->take(options, optarg, &why);

    options->given |= BIT(row - rows);
    if (r < 0 && row->value)
        err_set(e, EINVAL, "--%s: %s", row->name, why.text);
    else if (r < 0)
        *e = why;
    return r;
}

static int bad_option(int code, char **argv, struct err *e)
{
    const struct option_row *row = row_of(optopt);
    const char *word = argv[optind - 1];

    if (code == ':' && row)
        return err_set(e, EINVAL, "--%s wants a value: %s", row->name, row->value);
    if (row)
        return err_set(e, EINVAL, "--%s takes no value", row->name);
    if (optopt)
        return err_set(e, EINVAL, "there is no option -%c", optopt);
    return err_set(e, EINVAL, "there is no option %.80s, or several begin so", word);
}

static int take_rows(struct cli_options *options, int argc, char **argv, struct err *e)
{
    struct option longs[ARRAY_N(rows) + 1] = {0};
    char letters[2 + 2 * ARRAY_N(rows)] = ":";
    int code, r = 0;

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        int wants = !rows[i].value     ? no_argument
                    : rows[i].optional ? optional_argument
                                       : required_argument;

        longs[i] = (struct option){rows[i].name, wants, NULL, (int)(FIRST_ROW + i)};
        if (rows[i].letter)
            strncat(letters, &rows[i].letter, 1);
    }
    optind = 1;
    opterr = 0;
    while (r == 0 && (code = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        const struct option_row *row = row_of(code);

        r = row ? take_row(options, row, e) : bad_option(code, argv, e);
    }
    return r;
}

static int take_operands(struct cli_options *options, int n, char **operands, struct err *e)
{
    const struct action_row *action = &actions[options->action];

    if (n < action->n_min || n > action->n_max)
        return err_set(e, EINVAL, "%s wants %s, not %d name%s", action->words,
                       action->n_min == 1            ? "one SOURCE"
                       : options->action == CLI_COPY ? "SOURCE and DESTINATION"
                                                     : "two volumes",
                       n, n == 1 ? "" : "s");
    for (int i = 0; i < action->n_min; i++) {
        if (!*operands[i])
            return err_set(e, EINVAL, "an empty name");
    }
    options->source = action->n_min > 0 ? operands[0] : NULL;
    options->destination = action->n_min > 1 ? operands[1] : NULL;
    return 0;
}

bool cli_options_given(const struct cli_options *options, const char *name)
{
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        if (strcmp(rows[i].name, name) == 0)
            return options->given & BIT(i);
    }
    return false;
}

int cli_options_parse(struct cli_options *options, int argc, char **argv, struct err *e)
{
    int r;

    *options = (struct cli_options){
        .control_fd = -1,
        .speed_bytes_per_s = THROTTLE_NONE,
        .block_bytes = ENGINE_BLOCK_BYTES,
        .queue_depth = ENGINE_QUEUE_DEPTH,
        .verify = true,
        .sparse = true,
        .reflink = true,
    };
    r = take_rows(options, argc, argv, e);
    if (r < 0 || options->action >= CLI_HELP)
        return r;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        if ((options->given & BIT(i)) && !(rows[i].actions & BIT(options->action)))
            return err_set(e, EINVAL, "--%s has no meaning for %s", rows[i].name,
                           actions[options->action].words);
    }
    return take_operands(options, argc - optind, argv + optind, e);
}

static void help_row(const struct option_row *row, struct text *out)
{
    char left[48];

    snprintf(left, sizeof(left), "--%s%s%s%s%s", row->name, row->optional ? "[" : "",
             row->value ? "=" : "", row->value ? row->value : "", row->optional ? "]" : "");
    if (row->letter)
        text_add(out, "  -%c, %-28s %s\n", row->letter, left, row->help);
    else
        text_add(out, "      %-28s %s\n", left, row->help);
}

void cli_options_help(struct text *out)
{
    text_add(
        out,
        "Usage: ferrycopy [OPTION]... SOURCE DESTINATION\n"
        "       ferrycopy --compare [OPTION]... VOLUME VOLUME\n"
        "       ferrycopy --map | --digest [OPTION]... SOURCE\n\n"
        "Copy a volume: sparse, verified, durable. A volume is the path of a file or a block\n"
        "device, a URI (nbd://HOST/NAME, nbd+unix:///NAME?socket=PATH, nbds://..., null:SIZE),\n"
        "or - for a pipe.\n\n");
    for (size_t i = 0; i < ARRAY_N(rows); i++)
        help_row(&rows[i], out);
    text_add(
        out,
        "\nExit status: 0 done, or equal; 1 failure, or different; 2 wrong usage; 3 refused, to\n"
        "protect what is there; 4 --compare could not compare; 5 what is read back differs.\n"
        "More is in ferrycopy(1).\n");
}
