#include <assert.h>
#include <errno.h>
#include <string.h>

#include "copy/base/crc.h"
#include "fs/catalog/member.h"
#include "fs/catalog/record.h"

#define MAGIC        0x52434646u /* "FFCR" */
#define FRAME_BYTES  12
#define CRC_BYTES    4

#define OFFSET(s, m) offsetof(struct s, m)
#define SIZE(s, m)   sizeof(((struct s *)0)->m)
#define U32(s, m)                                                                                  \
    {                                                                                              \
        MEMBER_U32, OFFSET(s, m), SIZE(s, m), NULL                                                 \
    }
#define U64(s, m)                                                                                  \
    {                                                                                              \
        MEMBER_U64, OFFSET(s, m), SIZE(s, m), NULL                                                 \
    }
#define BOOL(s, m)                                                                                 \
    {                                                                                              \
        MEMBER_BOOL, OFFSET(s, m), SIZE(s, m), NULL                                                \
    }
#define ENUM(s, m, n)                                                                              \
    {                                                                                              \
        MEMBER_ENUM, OFFSET(s, m), (n), NULL                                                       \
    }
#define BYTES(s, m)                                                                                \
    {                                                                                              \
        MEMBER_BYTES, OFFSET(s, m), SIZE(s, m), NULL                                               \
    }
#define TEXT(s, m, check)                                                                          \
    {                                                                                              \
        MEMBER_TEXT, OFFSET(s, m), SIZE(s, m), check                                               \
    }
#define PADDED(s, m, check)                                                                        \
    {                                                                                              \
        MEMBER_PADDED, OFFSET(s, m), SIZE(s, m), check                                             \
    }
#define STAT(s, m)                                                                                 \
    U64(s, m.queued_at_s), U64(s, m.started_at_s), U64(s, m.ended_at_s), U64(s, m.total_bytes),    \
        U64(s, m.done_bytes), U64(s, m.copied_bytes), U64(s, m.zero_bytes), U64(s, m.hole_bytes),  \
        U64(s, m.skipped_bytes), U64(s, m.verified_bytes), U64(s, m.checkpoint_bytes),             \
        U64(s, m.pass), U64(s, m.resumes), U64(s, m.claim_weak)

_Static_assert(sizeof(struct job_stat) == 14 * sizeof(uint64_t), "STAT names every member");
_Static_assert(sizeof(enum volume_status) == sizeof(uint32_t), "an enum is moved as a u32");

static const struct member header_members[] = {
    U64(header, generation),
    U64(header, next_volume),
    U64(header, next_job),
    U64(header, next_history),
    U64(header, n_records),
    U64(header, sum),
    {MEMBER_END},
};

static const struct member volume_members[] = {
    BYTES(volume, uuid),
    U64(volume, number),
    TEXT(volume, name, text_is_volume_name),
    TEXT(volume, host, text_is_host_name),
    BYTES(volume, primary),
    U64(volume, epoch),
    ENUM(volume, status, VOLUME_STATUS_N),
    ENUM(volume, previous_status, VOLUME_STATUS_N),
    ENUM(volume, last_result, RESULT_N),
    U64(volume, last_job),
    STAT(volume, last_stat),
    U32(volume, last_errno),
    TEXT(volume, last_phase, NULL),
    U64(volume, last_offset),
    TEXT(volume, last_error, NULL),
    {MEMBER_END},
};

static const struct member copy_members[] = {
    BYTES(copy, cid),
    BYTES(copy, volume),
    TEXT(copy, name, text_is_volume_name),
    TEXT(copy, host, text_is_host_name),
    ENUM(copy, role, COPY_ROLE_N),
    ENUM(copy, state, COPY_STATE_N),
    U64(copy, identity.ino),
    U64(copy, identity.btime_ns),
    U64(copy, size_bytes),
    U64(copy, mtime_ns),
    U64(copy, epoch),
    U64(copy, since_s),
    BYTES(copy, digest),
    {MEMBER_END},
};

static const struct member job_members[] = {
    U64(job, number),
    BYTES(job, volume),
    PADDED(job, source, text_is_host_name),
    PADDED(job, destination, text_is_host_name),
    BYTES(job, source_cid),
    BYTES(job, destination_cid),
    PADDED(job, phase, NULL),
    BOOL(job, abort),
    BOOL(job, verify),
    U32(job, uid),
    U32(job, error),
    PADDED(job, error_phase, NULL),
    U64(job, error_offset),
    PADDED(job, error_text, NULL),
    STAT(job, stat),
    {MEMBER_END},
};

static const struct member history_members[] = {
    U64(numbered_history, sequence),
    U64(numbered_history, history.job),
    BYTES(numbered_history, history.volume),
    TEXT(numbered_history, history.name, text_is_volume_name),
    TEXT(numbered_history, history.source, text_is_host_name),
    TEXT(numbered_history, history.destination, text_is_host_name),
    ENUM(numbered_history, history.result, RESULT_N),
    U32(numbered_history, history.error),
    U64(numbered_history, history.started_at_s),
    U64(numbered_history, history.ended_at_s),
    U64(numbered_history, history.bytes),
    U32(numbered_history, history.uid),
    {MEMBER_END},
};

static const struct member pool_members[] = {
    TEXT(pool, host, text_is_host_name),
    BYTES(pool, uuid),
    {MEMBER_END},
};

const char *const record_kind_names[RECORD_KIND_N] = {
    "unknown",
    [RECORD_HEADER] = "header",
    [RECORD_VOLUME] = "volume",
    [RECORD_COPY] = "copy",
    [RECORD_JOB] = "job",
    [RECORD_HISTORY] = "history",
    [RECORD_POOL] = "pool",
};

static const struct member *const members_of[RECORD_KIND_N] = {
    [RECORD_HEADER] = header_members,   [RECORD_VOLUME] = volume_members,
    [RECORD_COPY] = copy_members,       [RECORD_JOB] = job_members,
    [RECORD_HISTORY] = history_members, [RECORD_POOL] = pool_members,
};

static size_t encode(enum record_kind kind, const void *from, uint8_t *bytes)
{
    struct out frame = {bytes, 0, FRAME_BYTES};
    struct out out = {bytes, FRAME_BYTES, RECORD_MAX_BYTES};

    members_put(&out, members_of[kind], from);
    out_number(&frame, MAGIC, sizeof(uint32_t));
    out_number(&frame, RECORD_FORMAT, sizeof(uint16_t));
    out_number(&frame, kind, sizeof(uint16_t));
    out_number(&frame, out.n + CRC_BYTES, sizeof(uint32_t));
    out_number(&out, crc32c(0, bytes, out.n), CRC_BYTES);
    return out.n;
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
    if (in_number(bytes + 4, sizeof(uint16_t)) > RECORD_FORMAT)
        return -EPROTONOSUPPORT;
    return in_number(bytes + 4, sizeof(uint16_t)) == RECORD_FORMAT ? 0 : -EUCLEAN;
}

static enum record_kind kind_of(const uint8_t *bytes)
{
    return (enum record_kind)in_number(bytes + 6, sizeof(uint16_t));
}

/* Of a record whose frame is sound. ret is zeroed. */
static int get_payload(const uint8_t *bytes, size_t n, void *ret)
{
    struct in in = {bytes, n - CRC_BYTES, FRAME_BYTES};

    return members_get(&in, members_of[kind_of(bytes)], ret) && in.at == in.n ? 0 : -EUCLEAN;
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

/* A name that is too long is of no pool: its key is one that no record has. */
struct record_key record_key_host(const char *host)
{
    return key_of_bytes(RECORD_POOL, host, strnlen(host, TEXT_HOST_BYTES));
}

union any {
    struct header header;
    struct volume volume;
    struct copy copy;
    struct job job;
    struct numbered_history history;
    struct pool pool;
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
        return record_key_host(any->pool.host);
    default:
        return record_key_header();
    }
}

int record_identify(const void *bytes, size_t n, enum record_kind *ret_kind,
                    struct record_key *ret_key)
{
    enum record_kind kind;
    union any any;
    int r;

    r = check_frame(bytes, n);
    if (r < 0)
        return r;
    kind = kind_of(bytes);
    if (kind < RECORD_HEADER || kind >= RECORD_KIND_N)
        return -EUCLEAN;
    memset(&any, 0, sizeof(any));
    r = get_payload(bytes, n, &any);
    if (r < 0)
        return r;
    *ret_kind = kind;
    *ret_key = key_of(kind, &any);
    return 0;
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
