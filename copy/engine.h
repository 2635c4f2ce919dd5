/*
 * Copying a volume's bytes, and proving the copy: the two jobs of a worker. One thread conducts,
 * lanes (walk.h) do the work. Everything here blocks until it is done.
 */
#pragma once

#include <stdatomic.h>

#include "copy/digest.h"
#include "copy/endpoint/endpoint.h"
#include "copy/journal.h"
#include "copy/wire.h"

#define ENGINE_CHUNK_BYTES JOURNAL_CHUNK_BYTES /* that a digest covers */
#define ENGINE_NO_PLACE    UINT64_MAX

struct engine_job {
    struct endpoint *source;      /* ENDPOINT_READ */
    struct endpoint *destination; /* ENDPOINT_WRITE; has its size already */
    uint64_t size_bytes;          /* of both */
    const atomic_bool *stop;      /* give up within a chunk: -ECANCELED */
    struct progress *progress;    /* its members only grow */
    struct digests *digests;      /* of size_bytes and ENGINE_CHUNK_BYTES, none set; see below */

    /* engine_copy */
    uint64_t start_bytes;   /* below it all is settled and flushed */
    uint64_t checkpoint_ns; /* the least time between two */
    bool destination_zero; /* what was never written there reads zero; believed where it can be seen
                            */
    /* Below low_bytes everything is settled and was flushed. On the thread that called. NULL:
     * nobody asks. */
    void (*checkpoint)(void *arg, uint64_t low_bytes);
    void *checkpoint_arg;

    /* engine_verify */
    bool compare_source;
};

struct engine_result {
    uint64_t bad_bytes;   /* of an error: where, or ENGINE_NO_PLACE */
    uint64_t low_bytes;   /* of a copy: below it everything is settled and was flushed */
    struct digest digest; /* of a verification: all chunk digests in order */
    struct err err;       /* in words */
};

/*
 * Copy from start_bytes to the end and flush. digests: NULL, or (start_bytes 0) receives the digest
 * of every chunk as it was read.
 *
 * Holes are not read; what is zero is left out or zeroed; nothing of what the destination held
 * before shows through. What a failed flush may have lost is written once more.
 *
 * Returns 0, or a negative errno with *ret filled in:
 * -ETXTBSY the source's claim was broken; -ESTALE one of them has another size; -ECANCELED stopped;
 * -EIO a read, a write or a second flush failed; -ENOSPC, -EDQUOT (what is settled was flushed
 * first); or what the system said.
 */
int engine_copy(const struct engine_job *job, struct engine_result *ret);

/*
 * Flush the destination, read it back past the page cache, and compare: with job->digests, or with
 * the source (then the digests are set). A chunk that differs is written again from the source,
 * once.
 *
 * Returns 0 with ret->digest, or a negative errno as above; -EILSEQ it differs still.
 */
int engine_verify(const struct engine_job *job, struct engine_result *ret);

/* For the jobs themselves: an error that has no place, in words; returns r. */
int engine_refuse(struct engine_result *ret, int r, const char *what);
/* -ESTALE where one of the two has another size than the job says. */
int engine_check_sizes(const struct engine_job *job, struct engine_result *ret);
/* What was read of the source was, and is, the source: after the last read. */
int engine_check_source(const struct engine_job *job, struct engine_result *ret);
