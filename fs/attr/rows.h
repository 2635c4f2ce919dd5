/*
 * How the rows of the tables are written: a row called `word` has word_show and word_store.
 */
#pragma once

#include <inttypes.h>

#include "copy/base/cleanup.h"
#include "fs/attr/attr.h"
#include "fs/migrate/option.h"
#include "fs/migrate/refuse.h"
#include "fs/migrate/service.h"

#define ATTR_RO(name_, help_, ...)                                                                 \
    {                                                                                              \
        .name = #name_, .mode = 0444, .show = name_##_show, .help = help_, __VA_ARGS__             \
    }
#define ATTR_RW(name_, help_, ...)                                                                 \
    {                                                                                              \
        .name = #name_, .mode = 0664, .show = name_##_show, .store = service_store_##name_,        \
        .help = help_, __VA_ARGS__                                                                 \
    }
#define ATTR_FEED(name_, help_, ...)                                                               \
    {                                                                                              \
        .name = #name_, .mode = 0444, .feed = name_##_feed, .help = help_, __VA_ARGS__             \
    }
#define ATTR_SECRET(name_, help_, ...)                                                             \
    {                                                                                              \
        .name = #name_, .mode = 0400, .show = name_##_show, .help = help_, __VA_ARGS__             \
    }

/* Each file of rows ends with the directory they are in. */
extern const struct attr_dir root_dir, volume_dir, migrate_dir, control_dir, hosts_dir, host_dir;

/* metrics.c */
void metrics_add(const struct view *view, struct text *out);

/* A value and a newline. */
void row_word(struct text *out, const char *word); /* NULL and "": null */
void row_number(struct text *out, uint64_t number);
void row_text(struct text *out, const char *text); /* whole lines; NULL and "": null */
void row_option(struct text *out, const struct option_row *option, uint64_t value);
