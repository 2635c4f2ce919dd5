/*
 * What the tests of several endpoints have in common.
 */
#pragma once

#include <stdarg.h>

#include "copy/endpoint/endpoint.h"
#include "tests/unit/check.h"

/* A line for the shell; returns what system(3) does. */
static inline int run_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline int run_line(const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    return system(line);
}

/* From the second grain to its end it is one extent of data. */
static inline void check_all_data(struct endpoint *ep, uint64_t size_bytes)
{
    uint64_t end = 0;
    bool hole = true;

    CHECK_EQ(endpoint_extent(ep, ENDPOINT_GRAIN_BYTES, size_bytes, &end, &hole), 0);
    CHECK(!hole);
    CHECK_EQ(end, size_bytes);
}
