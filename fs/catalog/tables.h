/*
 * The members of every kind of record in every format that can be read; the last is what is
 * written. A table of a format that programs have written is never changed again.
 */
#pragma once

#include "fs/catalog/member.h"
#include "fs/catalog/record.h"

/* By format and kind; NULL: that format has no such kind. */
extern const struct member *const record_tables[RECORD_FORMAT + 1][RECORD_KIND_N];
