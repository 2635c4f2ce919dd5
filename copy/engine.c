/*
 * The order that makes a copy safe: the mark is taken, then the flush begins, then the mark counts.
 * What a lane settles during the flush may or may not be in it, and waits for the next.
 *
 * A flush that failed has forgotten which writes it lost (the kernel drops the pages and tells
 * once), so everything above the last good mark is done again, and what was believed about zeroes
 * is not believed any more.
 *
 * The claim is looked at before each chunk, to end soon, and after the last read, to be sure: the
 * lease of then is the lease of the beginning, since it cannot be had back within a job.
 */
#include "copy/engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/crash.h"
#include "copy/base/io.h"
#include "copy/tally.h"
#include "copy/walk.h"

#define HOLE_PIECE_BYTES  (UINT64_C(64) << 20) /* zeroed between two looks at `stop` */
#define CHECKPOINT_MIN_NS UINT64_C(1000000)

struct copy {
    const struct engine_job *job;
    struct walk walk;
    struct tally tally;
    struct extent_map source_map;
    atomic_bool zero_known; /* where this copy has not written, the destination reads zero */
    bool rewritten;         /* a flush failed once already */
};

static int fail(struct lane *lane, int r, uint64_t offset, const char *what)
{
    lane->error.bad_bytes = offset;
    return err_set(&lane->error.err, -r, "%s: %s", what, strerror(-r));
}

static int zero_piece(struct lane *lane, struct journal_piece piece)
{
    struct copy *copy = lane->walk->arg;
    uint64_t at = piece.start_bytes;

    while (at < piece.end_bytes && !atomic_load(&copy->zero_known)) {
        uint64_t left = piece.end_bytes - at, n = left < HOLE_PIECE_BYTES ? left : HOLE_PIECE_BYTES;
        int r;

        if (atomic_load(copy->job->stop))
            return -ECANCELED;
        r = endpoint_zero(copy->job->destination, at, n);
        if (r < 0)
            return fail(lane, r, at, "cannot zero a hole of the destination");
        at += n;
    }
    return 0;
}

/* A hole up to hole_end: this chunk, and then as much of the rest as no other lane has. */
static int copy_hole(struct lane *lane, struct journal_piece piece, uint64_t hole_end)
{
    struct copy *copy = lane->walk->arg;

    do {
        uint64_t fresh;
        int r = zero_piece(lane, piece);

        if (r < 0)
            return r;
        if (copy->job->digests)
            digests_set_zero(copy->job->digests, piece.start_bytes, piece.end_bytes);
        fresh = walk_settle(lane);
        tally_settled(&copy->tally, (struct tally_step){.fresh = fresh, .hole = fresh});
    } while (walk_take_until(lane, hole_end, &piece));
    return 0;
}

static int copy_data(struct lane *lane, struct journal_piece piece)
{
    struct copy *copy = lane->walk->arg;
    const struct engine_job *job = copy->job;
    size_t n = (size_t)(piece.end_bytes - piece.start_bytes), hole_bytes, zero_bytes;
    struct digest digest;
    int r;

    r = transfer_read(job->source, &copy->source_map, lane->buf[0], n, piece.start_bytes,
                      &lane->walk->over, &hole_bytes, &lane->error);
    if (r < 0)
        return r;
    if (job->digests) {
        digest_of(lane->buf[0], n, &digest);
        r = digests_set(job->digests, piece.start_bytes, &digest);
        if (r < 0)
            return fail(lane, r, ENGINE_NO_PLACE, "no memory for digests");
    }
    r = transfer_write(job->destination, lane->buf[0], n, piece.start_bytes,
                       atomic_load(&copy->zero_known), &zero_bytes, &lane->error);
    if (r < 0)
        return r;
    tally_settled(&copy->tally, (struct tally_step){.fresh = walk_settle(lane),
                                                    .hole = hole_bytes,
                                                    .zero = zero_bytes - hole_bytes,
                                                    .copied = n - zero_bytes});
    return 0;
}

static int copy_piece(struct lane *lane, struct journal_piece piece)
{
    struct copy *copy = lane->walk->arg;
    uint64_t end;
    bool hole;
    int r;

    CRASH_POINT("worker-copy-chunk");
    r = endpoint_check_claim(copy->job->source);
    if (r < 0)
        return fail(lane, r, piece.start_bytes, "the source was opened for writing");
    r = extent_map_at(&copy->source_map, piece.start_bytes, &end, &hole);
    if (r < 0)
        return fail(lane, r, piece.start_bytes, "cannot find the data of the source");
    if (hole && end >= piece.end_bytes)
        return copy_hole(lane, piece, end);
    return copy_data(lane, piece);
}

int engine_refuse(struct engine_result *ret, int r, const char *what)
{
    ret->bad_bytes = ENGINE_NO_PLACE;
    return err_set(&ret->err, -r, "%s: %s", what, strerror(-r));
}

int engine_check_sizes(const struct engine_job *job, struct engine_result *ret)
{
    int r = endpoint_check_size(job->source, job->size_bytes);

    if (r < 0)
        return engine_refuse(ret, r, "the source's size is another one");
    r = endpoint_check_size(job->destination, job->size_bytes);
    return r < 0 ? engine_refuse(ret, r, "the destination's size is another one") : 0;
}

int engine_check_source(const struct engine_job *job, struct engine_result *ret)
{
    int r = endpoint_check_claim(job->source);

    if (r < 0)
        return engine_refuse(ret, r, "the source was opened for writing");
    if (job->source->ops->flush && endpoint_is_direct(job->source))
        r = job->source->ops->flush(job->source);
    if (r < 0)
        return engine_refuse(ret, r, "what was written to the source did not all reach its disk");
    return engine_check_sizes(job, ret);
}

/* What was settled before the flush is on stable storage after it. Returns 0, or the flush's error.
 */
static int checkpoint(struct copy *copy)
{
    const struct engine_job *job = copy->job;
    uint64_t low = walk_low(&copy->walk);
    int r;

    if (low == walk_flushed_bytes(&copy->walk))
        return 0;
    CRASH_POINT("worker-before-checkpoint");
    r = job->destination->ops->flush(job->destination);
    if (r < 0)
        return r;
    walk_flushed(&copy->walk, low);
    CRASH_POINT("worker-after-flush");
    if (job->checkpoint)
        job->checkpoint(job->checkpoint_arg, low);
    CRASH_POINT("worker-after-checkpoint");
    return 0;
}

static int sync_all(struct copy *copy)
{
    const struct engine_job *job = copy->job;
    int r;

    CRASH_POINT("worker-before-sync");
    r = job->destination->ops->sync(job->destination);
    if (r < 0)
        return r;
    walk_flushed(&copy->walk, job->size_bytes);
    CRASH_POINT("worker-after-sync");
    return 0;
}

static uint64_t next_checkpoint(const struct engine_job *job)
{
    uint64_t wait = job->checkpoint_ns, at;

    if (wait < CHECKPOINT_MIN_NS)
        wait = CHECKPOINT_MIN_NS;
    return __builtin_add_overflow(io_now_ns(), wait, &at) ? UINT64_MAX : at;
}

static int conduct(struct copy *copy, struct engine_result *ret)
{
    for (;;) {
        int state = walk_wait(&copy->walk, next_checkpoint(copy->job)), r = 0;

        if (state == -ECANCELED)
            return engine_refuse(ret, state, "stopped");
        if (state < 0) {
            ret->bad_bytes = walk_where(&copy->walk)->bad_bytes;
            ret->err = walk_where(&copy->walk)->err;
            return state;
        }
        if (state == 0)
            r = engine_check_source(copy->job, ret);
        if (r < 0)
            return r;
        r = state == 0 ? sync_all(copy) : checkpoint(copy);
        if (r == -EIO && !copy->rewritten) {
            copy->rewritten = true;
            atomic_store(&copy->zero_known, false);
            walk_rewind(&copy->walk);
            continue;
        }
        if (r < 0)
            return engine_refuse(ret, r, "cannot flush the destination");
        if (state == 0)
            return 0;
    }
}

/*
 * Does the destination read zero from offset to its end? Believed if it shows no data there: an
 * earlier run may have written, from a source that was another one then.
 */
static int prove_zero(const struct engine_job *job, uint64_t offset, bool *ret_zero)
{
    bool zero = job->destination_zero;

    while (zero && job->destination->ops->extent && offset < job->size_bytes) {
        int r = endpoint_extent(job->destination, offset, job->size_bytes, &offset, &zero);

        if (r < 0)
            return r;
    }
    *ret_zero = zero;
    return 0;
}

/* A full disk may get room, and the job goes on from what is settled. */
static void save_what_is_settled(struct copy *copy, int error)
{
    if (error == -ENOSPC || error == -EDQUOT)
        (void)checkpoint(copy); /* if it fails the last mark stays */
}

static int walk_all(struct copy *copy, struct engine_result *ret)
{
    const struct engine_job *job = copy->job;
    struct journal plan;
    bool zero;
    int r;

    journal_begin(&plan, job->size_bytes, job->start_bytes);
    ret->low_bytes = plan.flushed_bytes;
    r = prove_zero(job, plan.flushed_bytes, &zero);
    if (r < 0)
        return engine_refuse(ret, r, "cannot find the data of the destination");
    atomic_store(&copy->zero_known, zero);
    tally_begin(&copy->tally, job->progress, plan.flushed_bytes);
    r = walk_init(&copy->walk, job->size_bytes, plan.flushed_bytes, copy_piece, copy, job->stop);
    if (r < 0) {
        engine_refuse(ret, r, "cannot start the copy");
    } else {
        r = conduct(copy, ret);
        save_what_is_settled(copy, r);
        ret->low_bytes = walk_flushed_bytes(&copy->walk);
    }
    walk_deinit(&copy->walk);
    return r;
}

int engine_copy(const struct engine_job *job, struct engine_result *ret)
{
    struct copy copy = {.job = job};
    int r;

    *ret = (struct engine_result){.bad_bytes = ENGINE_NO_PLACE};
    if (job->size_bytes > INT64_MAX || job->start_bytes > job->size_bytes)
        return engine_refuse(ret, -EINVAL, "the range to copy");
    r = engine_check_sizes(job, ret);
    if (r < 0)
        return r;
    r = extent_map_init(&copy.source_map, job->source, job->size_bytes);
    if (r < 0)
        return engine_refuse(ret, r, "cannot start the copy");
    r = walk_all(&copy, ret);
    extent_map_deinit(&copy.source_map);
    return r;
}
