/*
 * What of a file or a device is in the page cache. Any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cached {
    int fd;
    uint64_t page_bytes;
    uint64_t beyond_bytes; /* a page that lies behind the end */
    bool mostly;           /* most of what was looked at in the beginning */
    atomic_uint way;       /* the first way to ask that was not refused */
};

/* fd stays the caller's; its file position moves. Before a sandbox closes, which may forbid to ask:
 * from then on the answer is how it was at the beginning, for all of it. */
void cached_init(struct cached *cached, int fd);

/* All of the range, n_bytes above 0, could be had from the page cache. A guess: it may be another
 * one by the time it is used. */
bool cached_holds(struct cached *cached, uint64_t offset, size_t n_bytes);
