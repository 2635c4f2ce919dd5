#include "copy/extent.h"

int extent_map_init(struct extent_map *map, struct endpoint *ep, uint64_t size_bytes)
{
    *map = (struct extent_map){.ep = ep, .size_bytes = size_bytes};
    return -pthread_mutex_init(&map->lock, NULL);
}

void extent_map_deinit(struct extent_map *map)
{
    if (map->ep)
        pthread_mutex_destroy(&map->lock);
}

static bool known(struct extent_map *map, uint64_t offset, uint64_t *ret_end, bool *ret_hole)
{
    bool found;

    pthread_mutex_lock(&map->lock);
    found = offset >= map->start_bytes && offset < map->end_bytes;
    if (found) {
        *ret_end = map->end_bytes;
        *ret_hole = map->hole;
    }
    pthread_mutex_unlock(&map->lock);
    return found;
}

static void remember(struct extent_map *map, uint64_t offset, uint64_t end, bool hole)
{
    pthread_mutex_lock(&map->lock);
    map->start_bytes = offset;
    map->end_bytes = end;
    map->hole = hole;
    pthread_mutex_unlock(&map->lock);
}

int extent_map_at(struct extent_map *map, uint64_t offset, uint64_t *ret_end_bytes, bool *ret_hole)
{
    uint64_t end, left;
    bool hole;
    int r;

    if (known(map, offset, ret_end_bytes, ret_hole))
        return 0;
    r = endpoint_extent(map->ep, offset, map->size_bytes, &end, &hole);
    if (r < 0)
        return r;
    left = end % ENDPOINT_GRAIN_BYTES;
    if (left > 0 && end < map->size_bytes) {
        end -= left;
        if (hole && end <= offset)
            hole = false; /* data begins within this grain */
        if (!hole)
            end += ENDPOINT_GRAIN_BYTES;
        if (end > map->size_bytes)
            end = map->size_bytes;
    }
    remember(map, offset, end, hole);
    *ret_end_bytes = end;
    *ret_hole = hole;
    return 0;
}
