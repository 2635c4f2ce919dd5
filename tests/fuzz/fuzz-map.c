/*
 * Any bytes for a resume map: as they are, and once more with a magic, a format and checksums that
 * are right, so that what lies behind them is reached. What is accepted is a mark that a copy can
 * go on from, in blocks of any size, and a state that another one can follow.
 */
#include <errno.h>
#include <string.h>

#include "copy/base/crc.h"
#include "copy/map_record.h"
#include "tests/fuzz/promise.h"

#define CRC_BYTES 4

static bool is_mark(const struct journal_mark *mark, uint64_t size_bytes, uint64_t block_bytes)
{
    uint64_t low = mark->low_bytes;

    if (low > size_bytes || (low < size_bytes && low % block_bytes != 0))
        return false;
    for (unsigned i = 0; i < 64; i++) {
        if (mark->above >> i & 1 &&
            (low == size_bytes || low + (i + 1) * block_bytes >= size_bytes))
            return false;
    }
    return true;
}

/* The next state makes the other page, and is the one that counts from then on. */
static void check_next(const uint8_t *bytes, const struct map_key *key,
                       const struct map_state *state)
{
    struct map_state next = *state, got;
    uint8_t more[MAP_FILE_BYTES];
    struct map_key key_got;
    const char *why;

    next.sequence++;
    memcpy(more, bytes, sizeof(more));
    map_encode_state(key, &next, more + map_state_offset(&next));
    PROMISE(map_state_offset(&next) != map_state_offset(state));
    if (next.sequence >= INT64_MAX) /* not in the life of a universe */
        return;
    PROMISE(map_decode(more, sizeof(more), &key_got, &got, &why) == 0);
    PROMISE(memcmp(&got, &next, sizeof(got)) == 0);
}

static void check_accepted(const uint8_t *bytes, size_t n, const struct map_key *key,
                           const struct map_state *state)
{
    static const uint64_t blocks[] = {4096, 65536, 524288, 4194304};

    PROMISE(n == MAP_FILE_BYTES && key->size_bytes <= INT64_MAX);
    PROMISE(key->block_bytes == state->block_bytes);
    PROMISE(memchr(key->destination, 0, sizeof(key->destination)));
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        struct journal_mark mark =
            map_convert(&state->mark, key->size_bytes, state->block_bytes, blocks[i]);

        PROMISE(is_mark(&mark, key->size_bytes, blocks[i]));
        PROMISE(mark.low_bytes <= state->mark.low_bytes);
    }
    check_next(bytes, key, state);
}

static void check(const uint8_t *bytes, size_t n)
{
    struct map_state state = {0};
    struct map_key key = {0};
    const char *why = NULL;
    int r = map_decode(bytes, n, &key, &state, &why);

    PROMISE(r == 0 || r == -EBADMSG);
    PROMISE((r == 0) == (why == NULL));
    if (r == 0)
        check_accepted(bytes, n, &key, &state);
}

static void seal(uint8_t *page, uint32_t crc)
{
    crc = crc32c(crc, page, MAP_PAGE_BYTES - CRC_BYTES);
    for (size_t i = 0; i < CRC_BYTES; i++)
        page[MAP_PAGE_BYTES - CRC_BYTES + i] = (uint8_t)(crc >> (8 * i));
}

/* The first bytes of each page are the input's, the rest is zero. */
static void check_sealed(const uint8_t *data, size_t size)
{
    struct map_key key = {0};
    uint8_t bytes[MAP_FILE_BYTES];
    const size_t head = 20; /* the magic and the format */

    map_encode(&key, bytes);
    for (size_t i = 0; i < MAP_FILE_BYTES / MAP_PAGE_BYTES; i++) {
        size_t n = i == 0 ? 40 : 32, skip = i == 0 ? head : 0;
        uint32_t crc = 0;

        if (size > n)
            memcpy(bytes + i * MAP_PAGE_BYTES + skip, data, n);
        data += size > n ? n : 0;
        size -= size > n ? n : 0;
        if (i > 0)
            memcpy(&crc, bytes + MAP_PAGE_BYTES - CRC_BYTES, CRC_BYTES);
        seal(bytes + i * MAP_PAGE_BYTES, crc);
    }
    check(bytes, sizeof(bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size);
    check_sealed(data, size);
    return 0;
}
