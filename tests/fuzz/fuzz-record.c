/*
 * Any bytes for a record: as they are, and once more with a frame and a checksum that are right, so
 * that what lies behind them is reached. What decodes encodes to the same bytes again.
 */
#include <errno.h>
#include <string.h>

#include "copy/base/crc.h"
#include "fs/catalog/record.h"
#include "tests/fuzz/promise.h"

#define FRAME_BYTES 12
#define CRC_BYTES   4
#define INPUT_MAX   (2 * RECORD_MAX_BYTES)

/* Decodes; returns whether it could, and checks that there is no other encoding of the same in its
 * format, and that what is of an older one says the same in this. */
#define ROUND_TRIP(name, type)                                                                     \
    static bool name(const uint8_t *bytes, size_t n)                                               \
    {                                                                                              \
        uint8_t again[RECORD_MAX_BYTES];                                                           \
        struct type value, same;                                                                   \
        size_t n_again;                                                                            \
        int r = record_decode_##name(bytes, n, &value);                                            \
                                                                                                   \
        PROMISE(r == 0 || r == -EUCLEAN || r == -EPROTONOSUPPORT);                                 \
        if (r < 0)                                                                                 \
            return false;                                                                          \
        n_again = record_encode_##name(&value, again);                                             \
        if (record_format(bytes) == RECORD_FORMAT)                                                 \
            PROMISE(n_again == n && memcmp(bytes, again, n) == 0);                                 \
        PROMISE(record_decode_##name(again, n_again, &same) == 0);                                 \
        PROMISE(memcmp(&same, &value, sizeof(value)) == 0);                                        \
        return true;                                                                               \
    }

ROUND_TRIP(header, header)
ROUND_TRIP(volume, volume)
ROUND_TRIP(copy, copy)
ROUND_TRIP(job, job)
ROUND_TRIP(history, numbered_history)
ROUND_TRIP(pool, pool)
ROUND_TRIP(evacuation, evacuation)

static bool (*const kinds[RECORD_KIND_N])(const uint8_t *, size_t) = {
    [RECORD_HEADER] = header,
    [RECORD_VOLUME] = volume,
    [RECORD_COPY] = copy,
    [RECORD_JOB] = job,
    [RECORD_HISTORY] = history,
    [RECORD_POOL] = pool,
    [RECORD_EVACUATION] = evacuation,
};

static void check_renewed(const uint8_t *bytes, size_t n, enum record_kind kind,
                          const struct record_key *key)
{
    uint8_t renewed[RECORD_MAX_BYTES];
    size_t n_renewed = record_renew(bytes, n, renewed);
    enum record_kind its_kind = 0;
    struct record_key its_key = {0};

    PROMISE(record_identify(renewed, n_renewed, &its_kind, &its_key) == 0);
    PROMISE(record_format(renewed) == RECORD_FORMAT && its_kind == kind);
    PROMISE(its_key.n == key->n && memcmp(its_key.bytes, key->bytes, key->n) == 0);
}

static void check(const uint8_t *bytes, size_t n)
{
    enum record_kind identified = 0;
    struct record_key key = {0};
    int r = record_identify(bytes, n, &identified, &key);

    PROMISE(r == 0 || r == -EUCLEAN || r == -EPROTONOSUPPORT);
    for (enum record_kind kind = RECORD_HEADER; kind < RECORD_KIND_N; kind++)
        PROMISE(kinds[kind](bytes, n) == (r == 0 && kind == identified));
    if (r == 0)
        PROMISE(key.n <= RECORD_KEY_BYTES && record_kind_of_key(key.bytes, key.n) == identified);
    if (r == 0)
        check_renewed(bytes, n, identified, &key);
    record_kind_of_key(bytes, n);
}

static void put(uint8_t *to, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[INPUT_MAX];

    check(data, size);
    if (size < FRAME_BYTES + CRC_BYTES || size > INPUT_MAX)
        return 0;
    memcpy(bytes, data, size);
    memcpy(bytes, "FFCR", 4);
    put(bytes + 4, RECORD_FORMAT_MIN + data[4] % (RECORD_FORMAT - RECORD_FORMAT_MIN + 1), 2);
    put(bytes + 6, data[6] % RECORD_KIND_N, 2);
    put(bytes + 8, size, 4);
    put(bytes + size - CRC_BYTES, crc32c(0, bytes, size - CRC_BYTES), CRC_BYTES);
    check(bytes, size);
    return 0;
}
