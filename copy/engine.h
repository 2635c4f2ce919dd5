/*
 * Copying a volume's bytes, and proving the copy. One thread conducts and never waits for a disk
 * but for all of it; requests (endpoint/queue.h) do the work. Everything here blocks until it is
 * done.
 */
#pragma once

#include <stdatomic.h>

#include "copy/digest.h"
#include "copy/endpoint/queue.h"
#include "copy/journal.h"
#include "copy/wire.h"

#define ENGINE_BLOCK_BYTES     (UINT64_C(512) << 10) /* presets */
#define ENGINE_QUEUE_DEPTH     16
#define ENGINE_BLOCK_MIN_BYTES (UINT64_C(64) << 10)
#define ENGINE_BLOCK_MAX_BYTES (UINT64_C(4) << 20)
#define ENGINE_NO_PLACE        UINT64_MAX

struct engine_job {
    struct queue *queue;          /* nothing in flight */
    struct endpoint *source;      /* ENDPOINT_READ */
    struct endpoint *destination; /* ENDPOINT_WRITE; has its size already */
    uint64_t size_bytes;          /* of both */
    uint64_t block_bytes;    /* of a request, and that a digest covers: a power of 2; 0: preset */
    const atomic_bool *stop; /* give up within a request: -ECANCELED */
    /* Of data read from the source; 0: nothing is begun until it is more; THROTTLE_NONE, or NULL:
     * no limit. */
    const _Atomic uint64_t *speed_bytes_per_s;
    struct progress *progress; /* its members only grow */
    struct digests *digests;   /* of size_bytes and block_bytes, none set; see below */

    /* engine_copy */
    struct journal_mark start; /* what is settled and flushed already */
    uint64_t checkpoint_ns;    /* the least time between two */
    bool destination_zero; /* it was made for this, and is all holes; looked at where it can be seen
                            */
    bool never_sparse;     /* zeroes and holes are written as bytes */
    bool clone;            /* share storage where the endpoints can */
    bool verify_behind;    /* read back what was flushed, while the rest is being copied */
    /* What is settled and was flushed. On the thread that called. NULL: nobody asks. */
    void (*checkpoint)(void *arg, const struct journal_mark *mark);
    void *checkpoint_arg;

    /* engine_verify */
    bool compare_source;
    bool no_repair; /* -EILSEQ at the first difference, at its byte; nothing is written, and with
                       compare_source both are sources, and nothing is dropped from a cache */
};

struct engine_result {
    uint64_t bad_bytes;       /* of an error: where, or ENGINE_NO_PLACE */
    struct journal_mark mark; /* of a copy: what is settled and was flushed */
    struct digest digest;     /* of a verification: digests_total */
    bool cloned;              /* of a copy: some of it shares storage, and has no digest */
    struct err err;           /* in words */
};

/*
 * Copy what start does not count as done, and flush. digests: NULL, or (nothing done before)
 * receives the digest of every block as it was read.
 *
 * Holes are not read; what is zero is left out or zeroed; nothing of what the destination held
 * before shows through. What a failed flush may have lost is written once more.
 *
 * With verify_behind (and digests) a block is read back past the page cache once it was flushed,
 * and what differs is repaired as engine_verify does; then digests_verified_bytes counts it, and
 * engine_verify, with these digests, has only the rest to do, however often. What was cloned
 * counts too.
 *
 * Returns 0, or a negative errno with *ret filled in:
 * -ETXTBSY the source's claim was broken; -ESTALE one of them has another size; -ECANCELED stopped;
 * -EIO a read, a write or a second flush failed; -ENOSPC, -EDQUOT (what is settled was flushed
 * first); -EILSEQ as engine_verify; or what the system said.
 */
int engine_copy(const struct engine_job *job, struct engine_result *ret);

/*
 * After the last read of a volume, for whoever reads one: was it what it was all along, on its disk
 * too? name: "the source". Blocks. Returns 0, or a negative errno with *ret filled in: -ETXTBSY its
 * claim was broken; -ESTALE it has another size; or what the system said of writes that it lost.
 */
int engine_check_read(struct endpoint *ep, const char *name, uint64_t size_bytes,
                      struct engine_result *ret);

/*
 * Flush the destination, read it back past the page cache, and compare: with job->digests, or with
 * the source (then the digests are set; NULL: not wanted). A block that differs is written again
 * from the source, once. What was proved, digests_verified_bytes counts: it is not looked at again.
 *
 * Returns 0 with ret->digest, or a negative errno as above; -EILSEQ it differs still.
 */
int engine_verify(const struct engine_job *job, struct engine_result *ret);
