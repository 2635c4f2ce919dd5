/*
 * A limit on a rate, that may change at any time: a token bucket which goes into debt, so that a
 * large transfer is let through whole and paid for afterwards. Plain data; one thread.
 */
#pragma once

#include <stdint.h>

#define THROTTLE_NONE UINT64_MAX

struct throttle {
    uint64_t bytes_per_s;
    uint64_t at_ns;  /* when balance was right */
    int64_t balance; /* bytes; below 0: debt */
};

/*
 * When the next transfer may begin (CLOCK_MONOTONIC, ns; at most now_ns: at once).
 * bytes_per_s: the limit as it is now, THROTTLE_NONE or above 0. Unused time is kept for a tenth of
 * a second at most.
 */
uint64_t throttle_next_ns(struct throttle *throttle, uint64_t bytes_per_s, uint64_t now_ns);
/* n bytes were begun. */
void throttle_spend(struct throttle *throttle, uint64_t n_bytes);
