#include "fs/migrate/option.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const verify_words[] = {[VERIFY_OFF] = "off", [VERIFY_FULL] = "full", NULL};

#define SPEED_ROW                                                                                  \
    {                                                                                              \
        .name = "speed", .kind = OPTION_SPEED, .preset = SPEED_MAX,                                \
        .takes = "bytes a second above 0, as 50M (K, M, G, T are powers of 1024), or max"          \
    }
#define PAUSE_ROW                                                                                  \
    {                                                                                              \
        .name = "pause", .kind = OPTION_BOOL, .takes = "0 or 1"                                    \
    }

const struct option_row volume_options[VOLUME_OPTION_N] = {
    [VOLUME_OPTION_VERIFY] = {.name = "verify",
                              .kind = OPTION_WORD,
                              .words = verify_words,
                              .preset = VERIFY_FULL,
                              .latched = true,
                              .takes = "full or off"},
    [VOLUME_OPTION_SPEED] = SPEED_ROW,
    [VOLUME_OPTION_PAUSE] = PAUSE_ROW,
    [VOLUME_OPTION_KEEP] = {.name = "keep",
                            .kind = OPTION_COUNT,
                            .max = 315576000, /* ten years */
                            .latched = true,
                            .takes = "seconds, at most 315576000"},
};

const struct option_row max_jobs_option = {.name = "max_jobs",
                                           .kind = OPTION_COUNT,
                                           .min = 1,
                                           .max = 1000,
                                           .preset = 2,
                                           .takes = "a number from 1 to 1000"};
const struct option_row max_queue_option = {.name = "max_queue",
                                            .kind = OPTION_COUNT,
                                            .min = 0,
                                            .max = 100000,
                                            .preset = 1000,
                                            .takes = "a number from 0 to 100000"};
const struct option_row drain_option = {.name = "drain", .kind = OPTION_BOOL, .takes = "0 or 1"};
const struct option_row speed_option = SPEED_ROW, pause_option = PAUSE_ROW;

static int parse_word(const struct option_row *row, const char *word, uint64_t *ret)
{
    for (uint64_t i = 0; row->words[i]; i++)
        if (strcmp(row->words[i], word) == 0) {
            *ret = i;
            return 0;
        }
    return -EINVAL;
}

static int parse_count(const struct option_row *row, const char *word, uint64_t *ret)
{
    uint64_t value;

    if (text_parse_u64(word, &value) < 0 || value < row->min || value > row->max)
        return -EINVAL;
    *ret = value;
    return 0;
}

static int parse_speed(const char *word, uint64_t *ret)
{
    uint64_t speed = SPEED_MAX;

    if (strcmp(word, "max") != 0 && (text_parse_size(word, &speed) < 0 || speed == 0))
        return -EINVAL;
    *ret = speed;
    return 0;
}

int option_parse(const struct option_row *row, const char *word, uint64_t *ret)
{
    bool on;
    int r = -EINVAL;

    switch (row->kind) {
    case OPTION_BOOL:
        r = text_parse_bool(word, &on);
        if (r == 0)
            *ret = on;
        break;
    case OPTION_COUNT:
        r = parse_count(row, word, ret);
        break;
    case OPTION_WORD:
        r = parse_word(row, word, ret);
        break;
    case OPTION_SPEED:
        r = parse_speed(word, ret);
        break;
    }
    return r;
}

void option_show(const struct option_row *row, uint64_t value, struct text *out)
{
    if (row->kind == OPTION_WORD)
        text_add(out, "%s", row->words[value]);
    else if (row->kind == OPTION_SPEED && value == SPEED_MAX)
        text_add(out, "max");
    else
        text_add(out, "%" PRIu64, value);
}
