/*
 * In place of the owner and its tables, for tests of what stands in front of it.
 */
#pragma once

#include "fs/migrate/option.h"
#include "fs/migrate/refuse.h"
#include "fs/migrate/service.h"

static const char *const verify_words[] = {"off", "full", NULL};
const struct option_row volume_options[VOLUME_OPTION_N] = {
    [VOLUME_OPTION_VERIFY] = {.name = "verify",
                              .kind = OPTION_WORD,
                              .words = verify_words,
                              .preset = VERIFY_FULL},
    [VOLUME_OPTION_SPEED] = {.name = "speed", .kind = OPTION_SPEED, .preset = SPEED_MAX},
    [VOLUME_OPTION_KEEP] = {.name = "keep", .kind = OPTION_COUNT},
};
const struct option_row max_jobs_option = {.name = "max_jobs", .kind = OPTION_COUNT};
const struct option_row max_queue_option = {.name = "max_queue", .kind = OPTION_COUNT};
const struct option_row drain_option = {.name = "drain", .kind = OPTION_BOOL};
const struct option_row pause_option = {.name = "pause", .kind = OPTION_BOOL};
const struct option_row speed_option = {.name = "speed", .kind = OPTION_SPEED};

void option_show(const struct option_row *row, uint64_t value, struct text *out)
{
    if (row->kind == OPTION_WORD)
        text_add(out, "%s", row->words[value]);
    else if (row->kind == OPTION_SPEED && value == SPEED_MAX)
        text_add(out, "max");
    else
        text_add(out, "%" PRIu64, value);
}

void refuse_candidates(const struct view *view, const struct view_volume *volume, struct text *out)
{
    (void)volume;
    text_add(out, "%s ok %" PRIu64 "\n", view->hosts[1]->name, view->hosts[1]->free_bytes);
}
