/*
 * The bytes of a resume map: a page that says which copy it is, written once, and two pages of
 * states that are written in turns, so that a torn write leaves the one before. Each page ends in a
 * checksum, and a state's covers the first page's too: it belongs to no other map. Plain data.
 */
#pragma once

#include "copy/map.h"

#define MAP_FORMAT     1
#define MAP_PAGE_BYTES ((size_t)4096)
#define MAP_N_STATES   2
#define MAP_FILE_BYTES ((1 + MAP_N_STATES) * MAP_PAGE_BYTES)

struct map_state {
    uint64_t sequence;    /* one more each time; its place is sequence % MAP_N_STATES */
    uint64_t block_bytes; /* of the mark */
    struct journal_mark mark;
};

/* A whole new map, nothing done. */
void map_encode(const struct map_key *key, uint8_t bytes[MAP_FILE_BYTES]);
/* The page of a state of that map. */
void map_encode_state(const struct map_key *key, const struct map_state *state,
                      uint8_t page[MAP_PAGE_BYTES]);
/* Where it lies in the file. */
uint64_t map_state_offset(const struct map_state *state);

/*
 * ret_key->block_bytes is the state's. Returns 0 with the last state that is whole, or -EBADMSG and
 * in words why, "it ...".
 */
int map_decode(const uint8_t *bytes, size_t n, struct map_key *ret_key, struct map_state *ret_state,
               const char **ret_why);

/* The same mark in other blocks: never more than it says, and nothing beyond the size. */
struct journal_mark map_convert(const struct journal_mark *mark, uint64_t size_bytes,
                                uint64_t from_block_bytes, uint64_t to_block_bytes);
