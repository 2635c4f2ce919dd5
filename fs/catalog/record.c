#include <assert.h>
#include <errno.h>
#include <string.h>

#include "copy/base/crc.h"
#include "fs/catalog/record.h"
#include "fs/catalog/tables.h"

#define MAGIC       0x52434646u /* "FFCR" */
#define FRAME_BYTES 12
#define CRC_BYTES   4

const char *const record_kind_names[RECORD_KIND_N] = {
    "unknown",
    [RECORD_HEADER] = "header",
    [RECORD_VOLUME] = "volume",
    [RECORD_COPY] = "copy",
    [RECORD_JOB] = "job",
    [RECORD_HISTORY] = "history",
    [RECORD_POOL] = "pool",
    [RECORD_EVACUATION] = "evacuation",
};

static size_t encode(enum record_kind kind, const void *from, uint8_t *bytes)
{
    struct out frame = {bytes, 0, FRAME_BYTES};
    struct out out = {bytes, FRAME_BYTES, RECORD_MAX_BYTES};

    members_put(&out, record_tables[RECORD_FORMAT][kind], from);
    out_number(&frame, MAGIC, sizeof(uint32_t));
    out_number(&frame, RECORD_FORMAT, sizeof(uint16_t));
    out_number(&frame, kind, sizeof(uint16_t));
    out_number(&frame, out.n + CRC_BYTES, sizeof(uint32_t));
    out_number(&out, crc32c(0, bytes, out.n), CRC_BYTES);
    return out.n;
}

unsigned record_format(const void *bytes)
{
    return (unsigned)in_number((const uint8_t *)bytes + 4, sizeof(uint16_t));
}

/* Is it one whole record of a format that we know? */
static int check_frame(const uint8_t *bytes, size_t n)
{
    if (n < FRAME_BYTES + CRC_BYTES || n > UINT32_MAX)
        return -EUCLEAN;
    if (in_number(bytes, sizeof(uint32_t)) != MAGIC || in_number(bytes + 8, sizeof(uint32_t)) != n)
        return -EUCLEAN;
    if (crc32c(0, bytes, n - CRC_BYTES) != record_checksum(bytes, n))
        return -EUCLEAN;
    if (record_format(bytes) > RECORD_FORMAT)
        return -EPROTONOSUPPORT;
    return record_format(bytes) >= RECORD_FORMAT_MIN ? 0 : -EUCLEAN;
}

static enum record_kind kind_of(const uint8_t *bytes)
{
    return (enum record_kind)in_number(bytes + 6, sizeof(uint16_t));
}

/* Of a record whose frame is sound. ret is zeroed, which presets what an older format has not. */
static int get_payload(const uint8_t *bytes, size_t n, void *ret)
{
    const struct member *members = record_tables[record_format(bytes)][kind_of(bytes)];
    struct in in = {bytes, n - CRC_BYTES, FRAME_BYTES};

    return members && members_get(&in, members, ret) && in.at == in.n ? 0 : -EUCLEAN;
}

/* ret is zeroed. */
static int decode(enum record_kind kind, const uint8_t *bytes, size_t n, void *ret)
{
    int r;

    r = check_frame(bytes, n);
    if (r < 0)
        return r;
    return kind_of(bytes) == kind ? get_payload(bytes, n, ret) : -EUCLEAN;
}

#define RECORD_OF(kind, name, type)                                                                \
    size_t record_encode_##name(const struct type *from, uint8_t out[RECORD_MAX_BYTES])            \
    {                                                                                              \
        return encode(kind, from, out);                                                            \
    }                                                                                              \
                                                                                                   \
    int record_decode_##name(const void *bytes, size_t n, struct type *ret)                        \
    {                                                                                              \
        struct type value;                                                                         \
        int r;                                                                                     \
                                                                                                   \
        memset(&value, 0, sizeof(value));                                                          \
        r = decode(kind, bytes, n, &value);                                                        \
        if (r == 0)                                                                                \
            memcpy(ret, &value, sizeof(value));                                                    \
        return r;                                                                                  \
    }

RECORD_OF(RECORD_HEADER, header, header)
RECORD_OF(RECORD_VOLUME, volume, volume)
RECORD_OF(RECORD_COPY, copy, copy)
RECORD_OF(RECORD_JOB, job, job)
RECORD_OF(RECORD_HISTORY, history, numbered_history)
RECORD_OF(RECORD_POOL, pool, pool)
RECORD_OF(RECORD_EVACUATION, evacuation, evacuation)

static struct record_key key_of_bytes(enum record_kind kind, const void *bytes, size_t n)
{
    struct record_key key = {.bytes = {(uint8_t)kind}, .n = 1 + n};

    assert(key.n <= RECORD_KEY_BYTES);
    memcpy(key.bytes + 1, bytes, n);
    return key;
}

struct record_key record_key_header(void)
{
    return key_of_bytes(RECORD_HEADER, "", 0);
}

struct record_key record_key_uuid(enum record_kind kind, const uuid_t uuid)
{
    return key_of_bytes(kind, uuid, sizeof(uuid_t));
}

struct record_key record_key_number(enum record_kind kind, uint64_t number)
{
    uint8_t bytes[sizeof(number)];

    /* Big-endian, so that keys sort as numbers do. */
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    return key_of_bytes(kind, bytes, sizeof(bytes));
}

/* A name that is too long is of no host: its key is one that no record has. */
struct record_key record_key_host(enum record_kind kind, const char *host)
{
    return key_of_bytes(kind, host, strnlen(host, TEXT_HOST_BYTES));
}

union any {
    struct header header;
    struct volume volume;
    struct copy copy;
    struct job job;
    struct numbered_history history;
    struct pool pool;
    struct evacuation evacuation;
};

static struct record_key key_of(enum record_kind kind, const union any *any)
{
    switch (kind) {
    case RECORD_VOLUME:
        return record_key_uuid(kind, any->volume.uuid);
    case RECORD_COPY:
        return record_key_uuid(kind, any->copy.cid);
    case RECORD_JOB:
        return record_key_number(kind, any->job.number);
    case RECORD_HISTORY:
        return record_key_number(kind, any->history.sequence);
    case RECORD_POOL:
        return record_key_host(kind, any->pool.host);
    case RECORD_EVACUATION:
        return record_key_host(kind, any->evacuation.host);
    default:
        return record_key_header();
    }
}

/* Of whatever kind and format. any is zeroed. */
static int get_any(const void *bytes, size_t n, enum record_kind *ret_kind, union any *any)
{
    enum record_kind kind;
    int r;

    r = check_frame(bytes, n);
    if (r < 0)
        return r;
    kind = kind_of(bytes);
    if (kind < RECORD_HEADER || kind >= RECORD_KIND_N)
        return -EUCLEAN;
    r = get_payload(bytes, n, any);
    if (r == 0)
        *ret_kind = kind;
    return r;
}

int record_identify(const void *bytes, size_t n, enum record_kind *ret_kind,
                    struct record_key *ret_key)
{
    union any any;
    int r;

    memset(&any, 0, sizeof(any));
    r = get_any(bytes, n, ret_kind, &any);
    if (r == 0)
        *ret_key = key_of(*ret_kind, &any);
    return r;
}

size_t record_renew(const void *bytes, size_t n, uint8_t out[RECORD_MAX_BYTES])
{
    enum record_kind kind;
    union any any;
    int r;

    memset(&any, 0, sizeof(any));
    r = get_any(bytes, n, &kind, &any);
    assert(r == 0);
    return encode(kind, &any, out);
}

enum record_kind record_kind_of_key(const void *key, size_t n)
{
    uint8_t kind = n > 0 ? *(const uint8_t *)key : 0;

    return kind < RECORD_KIND_N ? (enum record_kind)kind : (enum record_kind)0;
}

bool record_is_hidden_copy(const void *bytes, size_t n)
{
    struct copy copy;

    memset(&copy, 0, sizeof(copy));
    return kind_of(bytes) == RECORD_COPY && get_payload(bytes, n, &copy) == 0 &&
           copy.role != COPY_PRIMARY;
}

uint32_t record_checksum(const void *bytes, size_t n)
{
    assert(n >= FRAME_BYTES + CRC_BYTES);
    return (uint32_t)in_number((const uint8_t *)bytes + n - CRC_BYTES, CRC_BYTES);
}
