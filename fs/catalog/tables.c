#include "fs/catalog/tables.h"

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

/* Of format 1, which had roles up to COPY_DELETE_PENDING. */
#define COPY_1(n_roles)                                                                            \
    BYTES(copy, cid), BYTES(copy, volume), TEXT(copy, name, text_is_volume_name),                  \
        TEXT(copy, host, text_is_host_name), ENUM(copy, role, (n_roles)),                          \
        ENUM(copy, state, COPY_STATE_N), U64(copy, identity.ino), U64(copy, identity.btime_ns),    \
        U64(copy, size_bytes), U64(copy, mtime_ns), U64(copy, epoch), U64(copy, since_s),          \
        BYTES(copy, digest)
static const struct member copy_1_members[] = {COPY_1(COPY_DELETE_PENDING + 1), {MEMBER_END}};

static const struct member copy_members[] = {
    COPY_1(COPY_ROLE_N), U64(copy, expires_s), U64(copy, volume_mtime_ns),
    BOOL(copy, hidden),  {MEMBER_END},
};

#define JOB_1                                                                                      \
    U64(job, number), BYTES(job, volume), PADDED(job, source, text_is_host_name),                  \
        PADDED(job, destination, text_is_host_name), BYTES(job, source_cid),                       \
        BYTES(job, destination_cid), PADDED(job, phase, NULL), BOOL(job, abort),                   \
        BOOL(job, verify), U32(job, uid), U32(job, error), PADDED(job, error_phase, NULL),         \
        U64(job, error_offset), PADDED(job, error_text, NULL), STAT(job, stat)
static const struct member job_1_members[] = {JOB_1, {MEMBER_END}};

static const struct member job_members[] = {
    JOB_1,
    U64(job, keep_s),
    BOOL(job, restore),
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

static const struct member evacuation_members[] = {
    TEXT(evacuation, host, text_is_host_name),
    TEXT(evacuation, target, text_is_host_name),
    U32(evacuation, uid),
    U64(evacuation, first_job),
    U64(evacuation, total),
    U64(evacuation, done),
    U64(evacuation, failed),
    BOOL(evacuation, over),
    {MEMBER_END},
};

const struct member *const record_tables[RECORD_FORMAT + 1][RECORD_KIND_N] = {
    [1] = {[RECORD_HEADER] = header_members,
           [RECORD_VOLUME] = volume_members,
           [RECORD_COPY] = copy_1_members,
           [RECORD_JOB] = job_1_members,
           [RECORD_HISTORY] = history_members,
           [RECORD_POOL] = pool_members},
    [2] = {[RECORD_HEADER] = header_members,
           [RECORD_VOLUME] = volume_members,
           [RECORD_COPY] = copy_members,
           [RECORD_JOB] = job_members,
           [RECORD_HISTORY] = history_members,
           [RECORD_POOL] = pool_members,
           [RECORD_EVACUATION] = evacuation_members},
};
