#include "copy/extent.h"

void extent_map_init(struct extent_map *map, struct endpoint *ep, uint64_t size_bytes)
{
    *map = (struct extent_map){.ep = ep, .size_bytes = size_bytes};
}

static int ask(struct extent_map *map, uint64_t offset)
{
    uint64_t end, left;
    bool hole;
    int r = endpoint_extent(map->ep, offset, map->size_bytes, &end, &hole);

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
    map->start_bytes = offset;
    map->end_bytes = end;
    map->hole = hole;
    return 0;
}

int extent_map_at(struct extent_map *map, uint64_t offset, uint64_t *ret_end_bytes, bool *ret_hole)
{
    if (offset < map->start_bytes || offset >= map->end_bytes) {
        int r = ask(map, offset);

        if (r < 0)
            return r;
    }
    *ret_end_bytes = map->end_bytes;
    *ret_hole = map->hole;
    return 0;
}
