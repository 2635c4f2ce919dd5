/*
 * The settings that a file of the tree may change: a row each, one generic parser for all.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "copy/base/text.h"

enum volume_option {
    VOLUME_OPTION_VERIFY,
    VOLUME_OPTION_SPEED,
    VOLUME_OPTION_PAUSE,
    VOLUME_OPTION_KEEP,
    VOLUME_OPTION_N
};

enum verify_option { VERIFY_OFF, VERIFY_FULL };

#define SPEED_MAX UINT64_MAX /* of OPTION_SPEED: no limit; shown as `max` */

enum option_kind { OPTION_BOOL, OPTION_COUNT, OPTION_WORD, OPTION_SPEED };

struct option_row {
    const char *name;
    enum option_kind kind;
    uint64_t min, max; /* OPTION_COUNT */
    uint64_t preset;
    const char *const *words; /* OPTION_WORD: the value is the index; ends with NULL */
    bool latched;             /* not while a job runs: -EBUSY */
    const char *takes;        /* in words, for a refusal */
};

extern const struct option_row volume_options[VOLUME_OPTION_N];
extern const struct option_row max_jobs_option, max_queue_option, drain_option, speed_option,
    pause_option;

/* Of a volume. values: NULL where all are as preset. */
static inline uint64_t option_of(const uint64_t *values, enum volume_option option)
{
    return values ? values[option] : volume_options[option].preset;
}

/* A word to a value. 0 or -EINVAL. */
int option_parse(const struct option_row *row, const char *word, uint64_t *ret);
/* A value as its file shows it, without a newline. */
void option_show(const struct option_row *row, uint64_t value, struct text *out);
