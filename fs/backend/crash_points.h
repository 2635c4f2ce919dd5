/*
 * The crash points of the storage drivers, for --list-crash-points (copy/base/crash.h).
 */
#pragma once

extern const char *const pool_crash_points[]; /* ends with NULL */
