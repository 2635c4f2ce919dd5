/*
 * What the catalogue keeps: plain data, one struct a kind of record. Strings are NUL-terminated.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uuid/uuid.h>

#include "copy/base/err.h"
#include "copy/base/io.h"
#include "copy/base/text.h"

/* The numbers are on disk: append, never renumber. */
enum volume_status {
    VOLUME_AVAILABLE,
    VOLUME_IN_USE,
    VOLUME_MIGRATING,
    VOLUME_MOVED,
    VOLUME_ERROR,
    VOLUME_STATUS_N
};

/* Of a volume's last migration. */
enum result { RESULT_NULL, RESULT_SUCCESS, RESULT_ERROR, RESULT_ABORTED, RESULT_N };

extern const char *const volume_status_names[VOLUME_STATUS_N]; /* "available" ... */
extern const char *const result_names[RESULT_N];               /* "null" ... */

/* From one unix time to another; 0 where the clock was set back meanwhile. */
static inline uint64_t span_s(uint64_t from_s, uint64_t until_s)
{
    return until_s > from_s ? until_s - from_s : 0;
}

/* What a job did, in bytes of the volume; shown in `migrate/stat` and kept in the history. */
struct job_stat {
    uint64_t queued_at_s, started_at_s, ended_at_s; /* unix time; 0: not yet */
    uint64_t total_bytes;                           /* the volume's size */
    uint64_t done_bytes;                            /* settled at the destination */
    uint64_t copied_bytes, zero_bytes, hole_bytes, skipped_bytes, verified_bytes;
    uint64_t checkpoint_bytes;
    uint64_t pass, resumes;
    uint64_t claim_weak;
};

/* A volume. Key: uuid. */
struct volume {
    uuid_t uuid;
    uint64_t number; /* never given twice; inode numbers are made of it */
    char name[TEXT_NAME_BYTES];
    char host[TEXT_HOST_BYTES]; /* of the primary copy */
    uuid_t primary;             /* its cid */
    uint64_t epoch;             /* one more at every switch */
    enum volume_status status;
    enum volume_status previous_status; /* what status goes back to, while it is migrating */
    enum result last_result;
    uint64_t last_job; /* 0: none yet */
    struct job_stat last_stat;
    int32_t last_errno;              /* of an error: positive */
    char last_phase[16];             /* where it failed */
    uint64_t last_offset;            /* UINT64_MAX: no offset */
    char last_error[ERR_TEXT_BYTES]; /* in words */
};

enum copy_role { COPY_PRIMARY, COPY_DESTINATION, COPY_DELETE_PENDING, COPY_RETAINED, COPY_ROLE_N };
enum copy_state { COPY_INTENT, COPY_MADE, COPY_SEALED, COPY_STATE_N };
/* "primary" "destination" "delete-pending" "retained" */
extern const char *const copy_role_names[COPY_ROLE_N];

/* One physical body of a volume in a host's pool. Key: cid. */
struct copy {
    uuid_t cid;
    uuid_t volume;
    char name[TEXT_NAME_BYTES]; /* the volume's name; kept when the volume's record is gone */
    char host[TEXT_HOST_BYTES];
    enum copy_role role;
    enum copy_state state;
    struct io_identity identity; /* valid from COPY_MADE on */
    uint64_t size_bytes;
    uint64_t mtime_ns; /* of an old copy, at the switch: if it differs, it was written */
    uint64_t epoch;
    uint64_t since_s;
    uint8_t digest[16]; /* valid from COPY_SEALED on */
    /* Of a retained copy: */
    uint64_t expires_s;       /* unix time */
    uint64_t volume_mtime_ns; /* of the volume, once it had moved: if it differs, it was written */
    bool hidden;              /* it is under its hidden name, and nobody else's to open */
};

/* A migration under way: the journal. Key: number. */
struct job {
    uint64_t number;
    uuid_t volume;
    char source[TEXT_HOST_BYTES], destination[TEXT_HOST_BYTES];
    uuid_t source_cid, destination_cid;
    char phase[16]; /* the name in the table of phases */
    bool abort;
    bool verify;   /* false: `off` */
    uint32_t uid;  /* who asked */
    int32_t error; /* why it rolls back; 0: aborted, or nothing wrong */
    char error_phase[16];
    uint64_t error_offset; /* UINT64_MAX: none */
    char error_text[ERR_TEXT_BYTES];
    struct job_stat stat;
    uint64_t keep_s; /* how long its old source is retained; 0: not */
    bool restore;    /* the destination is a retained copy, which is compared and never written */
};

/* A migration that ended. Key: sequence number, given by the catalogue. */
struct history {
    uint64_t job;
    uuid_t volume;
    char name[TEXT_NAME_BYTES];
    char source[TEXT_HOST_BYTES], destination[TEXT_HOST_BYTES];
    enum result result;
    int32_t error;
    uint64_t started_at_s, ended_at_s, bytes;
    uint32_t uid;
};

/* A host the catalogue has met. Key: name. */
struct pool {
    char host[TEXT_HOST_BYTES];
    uuid_t uuid; /* of the marker in the pool */
};

/* A host that is emptied of its volumes. Key: host. */
struct evacuation {
    char host[TEXT_HOST_BYTES];
    char target[TEXT_HOST_BYTES]; /* the word that was written: a host, or `auto` */
    uint32_t uid;                 /* who asked */
    uint64_t first_job;           /* no job of it has a lower number */
    uint64_t total, done, failed; /* volumes */
    bool over;                    /* it was cancelled, or nothing is left to do */
};
