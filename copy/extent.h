/*
 * Where an endpoint has data and where holes, asked lazily, ahead of the reads, by several threads.
 *
 * Only the last answer is kept: a long run of data is asked for once, not once a chunk.
 */
#pragma once

#include <pthread.h>

#include "copy/endpoint/endpoint.h"

struct extent_map {
    struct endpoint *ep;
    uint64_t size_bytes;
    pthread_mutex_t lock; /* guards what follows; not held while the endpoint is asked */
    uint64_t start_bytes, end_bytes;
    bool hole;
};

int extent_map_init(struct extent_map *map, struct endpoint *ep, uint64_t size_bytes);
void extent_map_deinit(struct extent_map *map);

/*
 * What is at offset (a multiple of a grain, below the size), and up to where; the end is a multiple
 * of a grain, or the size. A grain with any data in it is data. 0 or a negative errno.
 */
int extent_map_at(struct extent_map *map, uint64_t offset, uint64_t *ret_end_bytes, bool *ret_hole);
