#include "copy/map_record.h"

#include <errno.h>
#include <string.h>

#include "copy/base/crc.h"

#define MAGIC_BYTES     16
#define CRC_AT          (MAP_PAGE_BYTES - 4)
#define BLOCK_MAX_BYTES (UINT64_C(1) << 30)

/* Where the members lie; numbers are little-endian. */
enum { FORMAT_AT = 16, SIZE_AT = 24, MTIME_AT = 32, SAMPLE_AT = 40, DESTINATION_AT = 56 };
enum { SEQUENCE_AT = 0, BLOCK_AT = 8, LOW_AT = 16, ABOVE_AT = 24 };

/* As PNG's: a transfer of text would change it. */
static const uint8_t magic[MAGIC_BYTES] = {0x89, 'F', 'e', 'r', 'r',  'y', 'M',
                                           'a',  'p', 13,  10,  0x1a, 10};

static void put(uint8_t *to, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *from, size_t n)
{
    uint64_t value = 0;

    for (size_t i = n; i > 0; i--)
        value = value << 8 | from[i - 1];
    return value;
}

static void encode_key(const struct map_key *key, uint8_t page[MAP_PAGE_BYTES])
{
    memset(page, 0, MAP_PAGE_BYTES);
    memcpy(page, magic, MAGIC_BYTES);
    put(page + FORMAT_AT, MAP_FORMAT, 4);
    put(page + SIZE_AT, key->size_bytes, 8);
    put(page + MTIME_AT, key->mtime_ns, 8);
    memcpy(page + SAMPLE_AT, key->sample.bytes, DIGEST_BYTES);
    memcpy(page + DESTINATION_AT, key->destination, MAP_NAME_BYTES);
    put(page + CRC_AT, crc32c(0, page, CRC_AT), 4);
}

/* crc: of the first page, to go on from. */
static void encode_state(const struct map_state *state, uint32_t crc, uint8_t page[MAP_PAGE_BYTES])
{
    memset(page, 0, MAP_PAGE_BYTES);
    put(page + SEQUENCE_AT, state->sequence, 8);
    put(page + BLOCK_AT, state->block_bytes, 8);
    put(page + LOW_AT, state->mark.low_bytes, 8);
    put(page + ABOVE_AT, state->mark.above, 8);
    put(page + CRC_AT, crc32c(crc, page, CRC_AT), 4);
}

void map_encode_state(const struct map_key *key, const struct map_state *state,
                      uint8_t page[MAP_PAGE_BYTES])
{
    uint8_t first[MAP_PAGE_BYTES];

    encode_key(key, first);
    encode_state(state, (uint32_t)get(first + CRC_AT, 4), page);
}

uint64_t map_state_offset(const struct map_state *state)
{
    return (1 + state->sequence % MAP_N_STATES) * MAP_PAGE_BYTES;
}

void map_encode(const struct map_key *key, uint8_t bytes[MAP_FILE_BYTES])
{
    struct map_state state = {.block_bytes = key->block_bytes};

    encode_key(key, bytes);
    for (; state.sequence < MAP_N_STATES; state.sequence++)
        encode_state(&state, (uint32_t)get(bytes + CRC_AT, 4), bytes + map_state_offset(&state));
}

/* Why not, or NULL. A page that is not what its members make is none of ours, whatever its checksum
 * says: the states to come, whose checksums go on from it, would not be found again. */
static const char *decode_key(const uint8_t *bytes, size_t n, struct map_key *ret)
{
    uint8_t same[MAP_PAGE_BYTES];

    if (n < MAGIC_BYTES || memcmp(bytes, magic, MAGIC_BYTES) != 0)
        return "it is no resume map";
    if (n < MAP_PAGE_BYTES || get(bytes + CRC_AT, 4) != crc32c(0, bytes, CRC_AT))
        return "it is damaged";
    if (get(bytes + FORMAT_AT, 4) != MAP_FORMAT)
        return "it was made by another version";
    if (n != MAP_FILE_BYTES)
        return "it is damaged: its size is wrong";
    *ret = (struct map_key){.size_bytes = get(bytes + SIZE_AT, 8),
                            .mtime_ns = get(bytes + MTIME_AT, 8)};
    memcpy(ret->sample.bytes, bytes + SAMPLE_AT, DIGEST_BYTES);
    memcpy(ret->destination, bytes + DESTINATION_AT, MAP_NAME_BYTES);
    encode_key(ret, same);
    if (memcmp(bytes, same, sizeof(same)) != 0 || ret->size_bytes > INT64_MAX ||
        ret->destination[MAP_NAME_BYTES - 1] != '\0')
        return "it is damaged";
    return NULL;
}

static bool is_block_size(uint64_t bytes)
{
    return bytes >= ENDPOINT_GRAIN_BYTES && bytes <= BLOCK_MAX_BYTES && (bytes & (bytes - 1)) == 0;
}

static bool decode_state(const uint8_t *bytes, uint64_t place, uint64_t size_bytes,
                         struct map_state *ret)
{
    const uint8_t *page = bytes + (1 + place) * MAP_PAGE_BYTES;

    if (get(page + CRC_AT, 4) != crc32c((uint32_t)get(bytes + CRC_AT, 4), page, CRC_AT))
        return false;
    *ret = (struct map_state){
        .sequence = get(page + SEQUENCE_AT, 8),
        .block_bytes = get(page + BLOCK_AT, 8),
        .mark = {.low_bytes = get(page + LOW_AT, 8), .above = get(page + ABOVE_AT, 8)}};
    return ret->sequence % MAP_N_STATES == place && ret->sequence < INT64_MAX &&
           is_block_size(ret->block_bytes) && ret->mark.low_bytes <= size_bytes &&
           (ret->mark.low_bytes % ret->block_bytes == 0 || ret->mark.low_bytes == size_bytes);
}

int map_decode(const uint8_t *bytes, size_t n, struct map_key *ret_key, struct map_state *ret_state,
               const char **ret_why)
{
    struct map_key key = {0};
    struct map_state states[MAP_N_STATES];
    bool whole[MAP_N_STATES];
    const struct map_state *last;

    *ret_why = decode_key(bytes, n, &key);
    if (*ret_why)
        return -EBADMSG;
    for (uint64_t i = 0; i < MAP_N_STATES; i++)
        whole[i] = decode_state(bytes, i, key.size_bytes, &states[i]);
    last = whole[0] && (!whole[1] || states[0].sequence > states[1].sequence) ? &states[0]
                                                                              : &states[1];
    *ret_why = "it is damaged: what was done cannot be told";
    if (!whole[0] && !whole[1])
        return -EBADMSG;
    if (whole[0] && whole[1] && states[0].sequence + states[1].sequence + 1 != 2 * last->sequence)
        return -EBADMSG; /* not made one after the other */
    *ret_why = NULL;
    key.block_bytes = last->block_bytes;
    *ret_key = key;
    *ret_state = *last;
    return 0;
}

/* Is all of [start, end) done? A gap of the bitmap answers no; what lies beyond it too. */
static bool is_done(const struct journal_mark *mark, uint64_t block_bytes, uint64_t start,
                    uint64_t end)
{
    uint64_t low = mark->low_bytes;

    if (end <= low)
        return true;
    for (uint64_t at = start > low ? start : low; at < end;) {
        uint64_t block = (at - low) / block_bytes;

        if (block == 0 || block > JOURNAL_WINDOW || !(mark->above >> (block - 1) & 1))
            return false;
        at = low + (block + 1) * block_bytes;
    }
    return true;
}

struct journal_mark map_convert(const struct journal_mark *mark, uint64_t size_bytes,
                                uint64_t from_block_bytes, uint64_t to_block_bytes)
{
    struct journal_mark to = *mark;

    to.above = 0;
    if (mark->low_bytes >= size_bytes)
        return to;
    to.low_bytes -= to.low_bytes % to_block_bytes;
    for (unsigned i = 0; i < JOURNAL_WINDOW; i++) {
        uint64_t start = to.low_bytes + (i + 1) * to_block_bytes, end = start + to_block_bytes;

        if (start < size_bytes &&
            is_done(mark, from_block_bytes, start, end < size_bytes ? end : size_bytes))
            to.above |= UINT64_C(1) << i;
    }
    return to;
}
