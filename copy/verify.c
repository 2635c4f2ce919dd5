/*
 * Reading the copy back. Bytes in the page cache prove nothing about the disk: the destination is
 * flushed and its pages are dropped first, and whole grains are read past the cache.
 *
 * Where the destination has a hole and zeroes are expected, the file system's word is taken. After
 * a repair it is not asked again: the chunk is read whole.
 */
#include "copy/engine.h"

#include <errno.h>
#include <string.h>

#include "copy/base/crash.h"
#include "copy/tally.h"
#include "copy/walk.h"

enum { EXPECTED, FOUND }; /* the lane's buffers */

struct verify {
    const struct engine_job *job;
    struct walk walk;
    struct tally tally;
    struct extent_map source_map, destination_map;
    atomic_bool repaired;
};

static int fail(struct lane *lane, int r, uint64_t offset, const char *what)
{
    lane->error.bad_bytes = offset;
    return err_set(&lane->error.err, -r, "%s: %s", what, strerror(-r));
}

/* Up to where from offset on zeroes are expected and there is a hole; offset: not even there. */
static int zero_until(struct verify *verify, uint64_t offset, uint64_t *ret_end)
{
    const struct engine_job *job = verify->job;
    uint64_t end, source_end;
    bool hole;
    int r;

    *ret_end = offset;
    r = extent_map_at(&verify->destination_map, offset, &end, &hole);
    if (r < 0 || !hole)
        return r;
    if (job->compare_source) {
        r = extent_map_at(&verify->source_map, offset, &source_end, &hole);
        if (r < 0 || !hole)
            return r;
        *ret_end = end < source_end ? end : source_end;
    } else {
        *ret_end = digests_next_data(job->digests, offset, end);
    }
    return 0;
}

static void pass_zeroes(struct lane *lane, struct journal_piece piece, uint64_t zero_end)
{
    struct verify *verify = lane->walk->arg;

    do {
        if (verify->job->compare_source)
            digests_set_zero(verify->job->digests, piece.start_bytes, piece.end_bytes);
        tally_verified(&verify->tally, walk_settle(lane));
    } while (walk_take_until(lane, zero_end, &piece));
}

static int read_source(struct lane *lane, struct journal_piece piece)
{
    struct verify *verify = lane->walk->arg;
    size_t n = (size_t)(piece.end_bytes - piece.start_bytes), holes;

    return transfer_read(verify->job->source, &verify->source_map, lane->buf[EXPECTED], n,
                         piece.start_bytes, &lane->walk->over, &holes, &lane->error);
}

/* What the chunk shall be: its digest; its bytes too when the source is compared. */
static int expect(struct lane *lane, struct journal_piece piece, struct digest *ret)
{
    struct verify *verify = lane->walk->arg;
    struct digests *digests = verify->job->digests;
    int r;

    if (!verify->job->compare_source) {
        digests_get(digests, piece.start_bytes, ret);
        return 0;
    }
    r = read_source(lane, piece);
    if (r < 0)
        return r;
    digest_of(lane->buf[EXPECTED], (size_t)(piece.end_bytes - piece.start_bytes), ret);
    r = digests_set(digests, piece.start_bytes, ret);
    return r < 0 ? fail(lane, r, ENGINE_NO_PLACE, "no memory for digests") : 0;
}

/* Returns 0, -EILSEQ, or why it cannot be read. map: NULL reads the holes too. */
static int read_back(struct lane *lane, struct journal_piece piece, struct extent_map *map,
                     const struct digest *expected)
{
    struct verify *verify = lane->walk->arg;
    size_t n = (size_t)(piece.end_bytes - piece.start_bytes), holes;
    struct digest found;
    int r;

    r = transfer_read(verify->job->destination, map, lane->buf[FOUND], n, piece.start_bytes,
                      &lane->walk->over, &holes, &lane->error);
    if (r < 0)
        return r;
    digest_of(lane->buf[FOUND], n, &found);
    return digest_same(&found, expected) ? 0 : -EILSEQ;
}

/* The first grain where the two buffers differ; the start of the piece if only the digest does. */
static uint64_t first_difference(const struct lane *lane, struct journal_piece piece)
{
    size_t n = (size_t)(piece.end_bytes - piece.start_bytes);

    for (size_t at = 0; at < n; at += ENDPOINT_GRAIN_BYTES) {
        size_t grain = n - at < ENDPOINT_GRAIN_BYTES ? n - at : ENDPOINT_GRAIN_BYTES;

        if (memcmp(lane->buf[EXPECTED] + at, lane->buf[FOUND] + at, grain) != 0)
            return piece.start_bytes + at;
    }
    return piece.start_bytes;
}

/* Write the chunk again, all of it, and read it back from the disk. */
static int repair(struct lane *lane, struct journal_piece piece, const struct digest *expected)
{
    struct verify *verify = lane->walk->arg;
    struct endpoint *destination = verify->job->destination;
    size_t n = (size_t)(piece.end_bytes - piece.start_bytes), zero_bytes;
    int r;

    CRASH_POINT("worker-before-repair");
    r = read_source(lane, piece);
    if (r < 0)
        return r;
    r = transfer_write(destination, lane->buf[EXPECTED], n, piece.start_bytes, false, &zero_bytes,
                       &lane->error);
    if (r < 0)
        return r;
    atomic_store(&verify->repaired, true);
    r = destination->ops->flush(destination);
    if (r < 0)
        return fail(lane, r, piece.start_bytes, "cannot flush what was written again");
    r = endpoint_drop(destination, piece.start_bytes, n);
    if (r < 0)
        return fail(lane, r, piece.start_bytes, "cannot drop what was written again");
    r = read_back(lane, piece, NULL, expected);
    CRASH_POINT("worker-after-repair");
    if (r == -EILSEQ)
        return fail(lane, r, first_difference(lane, piece),
                    "it differs after it was written again");
    return r;
}

static int verify_data(struct lane *lane, struct journal_piece piece)
{
    struct verify *verify = lane->walk->arg;
    struct digest expected;
    int r;

    r = expect(lane, piece, &expected);
    if (r < 0)
        return r;
    r = read_back(lane, piece, &verify->destination_map, &expected);
    if (r == -EILSEQ || r == -EIO) /* a bad sector may be well after it was written */
        r = repair(lane, piece, &expected);
    if (r < 0)
        return r;
    tally_verified(&verify->tally, walk_settle(lane));
    return 0;
}

static int verify_piece(struct lane *lane, struct journal_piece piece)
{
    struct verify *verify = lane->walk->arg;
    uint64_t zero_end;
    int r;

    CRASH_POINT("worker-verify-chunk");
    r = endpoint_check_claim(verify->job->source);
    if (r < 0)
        return fail(lane, r, piece.start_bytes, "the source was opened for writing");
    r = zero_until(verify, piece.start_bytes, &zero_end);
    if (r < 0)
        return fail(lane, r, piece.start_bytes, "cannot find the data");
    if (zero_end < piece.end_bytes)
        return verify_data(lane, piece);
    pass_zeroes(lane, piece, zero_end);
    return 0;
}

static int flush_and_drop(struct verify *verify, struct engine_result *ret)
{
    struct endpoint *destination = verify->job->destination;
    int r = destination->ops->sync(destination);

    if (r < 0)
        return engine_refuse(ret, r, "cannot flush the destination");
    r = endpoint_drop(destination, 0, 0);
    return r < 0 ? engine_refuse(ret, r, "cannot drop what is cached of the destination") : 0;
}

static int walk_all(struct verify *verify, struct engine_result *ret)
{
    int r;

    tally_begin(&verify->tally, verify->job->progress, 0);
    r = walk_init(&verify->walk, verify->job->size_bytes, 0, verify_piece, verify,
                  verify->job->stop);
    if (r < 0)
        engine_refuse(ret, r, "cannot start to verify");
    else
        r = walk_wait(&verify->walk, UINT64_MAX);
    if (r == -ECANCELED) {
        engine_refuse(ret, r, "stopped");
    } else if (r < 0 && verify->walk.n_lanes > 0) {
        ret->bad_bytes = walk_where(&verify->walk)->bad_bytes;
        ret->err = walk_where(&verify->walk)->err;
    }
    walk_deinit(&verify->walk);
    return r;
}

static int conclude(struct verify *verify, struct engine_result *ret)
{
    const struct engine_job *job = verify->job;
    int r = 0;

    if (atomic_load(&verify->repaired))
        r = job->destination->ops->sync(job->destination);
    if (r < 0)
        return engine_refuse(ret, r, "cannot flush the destination");
    r = engine_check_source(job, ret);
    if (r < 0)
        return r;
    r = digests_total(job->digests, job->stop, &ret->digest);
    return r < 0 ? engine_refuse(ret, r, "cannot sum up the digests") : 0;
}

static int run(struct verify *verify, struct engine_result *ret)
{
    int r;

    CRASH_POINT("worker-before-verify");
    r = flush_and_drop(verify, ret);
    if (r == 0)
        r = walk_all(verify, ret);
    if (r == 0)
        r = conclude(verify, ret);
    if (r == 0)
        CRASH_POINT("worker-after-verify");
    return r;
}

int engine_verify(const struct engine_job *job, struct engine_result *ret)
{
    struct verify verify = {.job = job};
    int r;

    *ret = (struct engine_result){.bad_bytes = ENGINE_NO_PLACE};
    if (job->size_bytes > INT64_MAX)
        return engine_refuse(ret, -EINVAL, "the size to verify");
    r = engine_check_sizes(job, ret);
    if (r < 0)
        return r;
    r = extent_map_init(&verify.source_map, job->source, job->size_bytes);
    if (r == 0)
        r = extent_map_init(&verify.destination_map, job->destination, job->size_bytes);
    if (r < 0)
        engine_refuse(ret, r, "cannot start to verify");
    else
        r = run(&verify, ret);
    extent_map_deinit(&verify.destination_map);
    extent_map_deinit(&verify.source_map);
    return r;
}
