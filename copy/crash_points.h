/*
 * The crash points (copy/base/crash.h) that a worker passes, for those who list them.
 */
#pragma once

extern const char *const worker_crash_points[]; /* ends with NULL */
