/*
 * Telling zeroes from data. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Are all n bytes 0? n may be 0: then yes. */
bool zero_is(const void *bytes, size_t n);

/*
 * The length of the run at the start of a buffer whose grains (ENDPOINT_GRAIN_BYTES; the last one
 * may be cut short) are all zero, or all not. n > 0.
 */
size_t zero_run(const void *bytes, size_t n, bool *ret_zero);
