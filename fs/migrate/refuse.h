/*
 * Why a volume cannot go to a host: one table for the write to `target`, for its open and for
 * `candidates`. It judges views, so anybody may ask; what only the storage knows is asked later.
 */
#pragma once

#include "copy/base/err.h"
#include "fs/view/view.h"

/* 0, or the negative errno of the first row that applies at open(2), in words in e. */
int refuse_at_open(const struct view *view, const struct view_volume *volume, struct err *e);

/* The same for a write that asks for `host` (NULL: there is no host of that name). Rows of open are
 * asked again: the state may have changed. */
int refuse_at_write(const struct view *view, const struct view_volume *volume,
                    const struct view_host *host, const char *word, struct err *e);

/* And all rows, once the host has answered how much room it has now; what it told before may be
 * seconds old. */
int refuse_at_answer(const struct view *view, const struct view_volume *volume,
                     const struct view_host *host, struct err *e);

/* What the file `candidates` shows: a line for every other host, best first; "null\n" if there is
 * none. Best: those that are ok before the others, then the most free bytes, then the
 * configuration's order. */
void refuse_candidates(const struct view *view, const struct view_volume *volume, struct text *out);

/* The hosts that `auto` tries, by number: the candidates that are ok, best first, and then those
 * that had no room when they told of it last. Returns how many, *ret is for free(); 0: none can be
 * had, why in e (of the first candidate). */
size_t refuse_choose(const struct view *view, const struct view_volume *volume, uint64_t **ret,
                     struct err *e);
