/*
 * Values of options. Each returns 0 or -EINVAL, in words in e.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copy/base/err.h"

/* A value that is one of some words. */
struct cli_word {
    const char *word;
    int value;
};

int cli_value_word(const struct cli_word *words, size_t n, const char *value, int *ret,
                   struct err *e);
int cli_value_flag(const struct cli_word *words, size_t n, const char *value, bool *ret,
                   struct err *e);
/* 1 to max. */
int cli_value_count(const char *value, uint64_t max, uint64_t *ret, struct err *e);
/* Of a file: any but an empty one. */
int cli_value_path(const char *value, const char **ret, struct err *e);
/* Of a descriptor that whoever started us has opened, beside the standard ones. */
int cli_value_fd(const char *value, int *ret, struct err *e);
