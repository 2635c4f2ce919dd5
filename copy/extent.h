/*
 * Where an endpoint has data and where holes, in whole grains, asked lazily. Only the last answer
 * is kept: a long run of data is asked for once, not once a block. One thread.
 */
#pragma once

#include "copy/endpoint/endpoint.h"

struct extent_map {
    struct endpoint *ep;
    uint64_t size_bytes;
    uint64_t start_bytes, end_bytes; /* the last answer */
    bool hole;
};

void extent_map_init(struct extent_map *map, struct endpoint *ep, uint64_t size_bytes);

/*
 * What is at offset (a multiple of a grain, below the size), and up to where; the end is a multiple
 * of a grain, or the size. A grain with any data in it is data. 0 or a negative errno.
 */
int extent_map_at(struct extent_map *map, uint64_t offset, uint64_t *ret_end_bytes, bool *ret_hole);
