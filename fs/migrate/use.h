/*
 * Volumes that are in use through their `data` file. Private to fs/migrate; owner thread only.
 */
#pragma once

#include "fs/migrate/world.h"

/* Somebody has its `data` open, or is about to. */
bool use_is(const struct vol *v);

/* Volumes whose file is opened past `data`, and what is to be said of it. */
typedef void use_report_fn(void *arg, const char *name, const char *reason);
void use_report(const struct service *s, use_report_fn *fn, void *arg);

/* Opens that wait are answered with ESHUTDOWN. */
void use_stop_all(struct service *s);
/* At the end; whoever has a file open keeps it. */
void use_forget_all(struct service *s);
