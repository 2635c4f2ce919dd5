/*
 * The order that makes a copy safe: the mark is taken, then the flush begins, then the mark counts.
 * What is settled during the flush may or may not be in it, and waits for the next.
 *
 * A flush that failed has forgotten which writes it lost (the kernel drops the pages and tells
 * once), so everything that is not in the last good mark is done again, once, and what was believed
 * about zeroes is not believed any more. Nor is the success of any flush that comes after it.
 *
 * The claim is looked at before each block, to end soon, and after the last read, to be sure: the
 * lease of then is the lease of the beginning, since it cannot be had back within a job.
 */
#include "copy/engine.h"

#include <assert.h>
#include <errno.h>

#include "copy/base/crash.h"
#include "copy/base/io.h"
#include "copy/copier.h"
#include "copy/refuse.h"
#include "copy/verifier.h"

#define CHECKPOINT_MIN_NS UINT64_C(1000000)
#define BEHIND_FLUSH_BYTES                                                                         \
    (UINT64_C(64) << 20) /* written before it is worth while to read back                          \
                          */

struct copy {
    const struct engine_job *job;
    struct slots slots;
    struct copier copier;
    struct verifier verifier;
    bool verifies;
    struct task flush;
    bool flushing;
    bool flushing_to_tell; /* it is a checkpoint */
    struct journal_mark flushing_mark, told_mark;
    bool to_tell; /* one was flushed */
    uint64_t checkpoint_at_ns;
    int drop_error;
    int flush_error; /* of the last flush; nothing that was not flushed before counts any more */
    bool rewritten;  /* that has happened before */
};

static uint64_t next_checkpoint(const struct engine_job *job)
{
    uint64_t wait_ns = job->checkpoint_ns, at_ns;

    if (wait_ns < CHECKPOINT_MIN_NS)
        wait_ns = CHECKPOINT_MIN_NS;
    return __builtin_add_overflow(io_now_ns(), wait_ns, &at_ns) ? UINT64_MAX : at_ns;
}

static void tell(struct copy *copy)
{
    const struct engine_job *job = copy->job;

    copy->to_tell = false;
    copy->told_mark = copy->copier.journal.flushed;
    copy->checkpoint_at_ns = next_checkpoint(job);
    if (job->checkpoint)
        job->checkpoint(job->checkpoint_arg, &copy->told_mark);
    CRASH_POINT("worker-after-checkpoint");
}

/* On a thread. */
static int flush(struct request *request)
{
    struct copy *copy = request->arg;
    struct endpoint *destination = copy->job->destination;
    int r = destination->ops->flush(destination);

    if (r == 0 && copy->verifies)
        copy->drop_error = endpoint_drop(destination);
    return r;
}

static void flush_ended(struct task *task, int r)
{
    struct copy *copy = task->request.arg;
    struct transfer_error error;

    copy->flushing = false;
    copy->flush_error = r;
    if (r == 0) {
        journal_flushed(&copy->copier.journal, &copy->flushing_mark);
        copy->to_tell = copy->flushing_to_tell;
        CRASH_POINT("worker-after-flush");
    }
    if (r == 0 && copy->drop_error < 0) {
        transfer_fail(&error, copy->drop_error, ENGINE_NO_PLACE,
                      "cannot drop what is cached of the destination");
        slots_fail(&copy->slots, copy->drop_error, &error);
    }
    if (!copy->verifies)
        return;
    if (r == 0)
        verifier_set_limit(&copy->verifier, copy->flushing_mark.low_bytes);
    verifier_go_on(&copy->verifier);
}

static void begin_flush(struct copy *copy, const struct journal_mark *mark, bool to_tell)
{
    CRASH_POINT("worker-before-checkpoint");
    copy->flushing = true;
    copy->flushing_to_tell = to_tell;
    copy->flushing_mark = *mark;
    copy->copier.unflushed_bytes = 0;
    if (copy->verifies)
        verifier_hold(&copy->verifier);
    copy->flush.then = flush_ended;
    copy->flush.request = (struct request){.kind = REQUEST_CALL, .call = flush, .arg = copy};
    task_begin(&copy->slots, &copy->flush);
}

static bool may_flush(const struct copy *copy)
{
    return !copy->flushing && (!copy->verifies || copy->verifier.n_repairs == 0);
}

/* Flush, or tell of a flush, if it is time for one of them. */
static void keep_checkpoints(struct copy *copy)
{
    bool due = copy->checkpoint_at_ns != UINT64_MAX && io_now_ns() >= copy->checkpoint_at_ns;
    bool behind = copy->verifies && (copy->copier.unflushed_bytes >= BEHIND_FLUSH_BYTES ||
                                     digests_are_many(copy->job->digests));
    struct journal_mark mark;

    if (!may_flush(copy) || (!due && !behind))
        return;
    mark = journal_settled(&copy->copier.journal);
    if (!journal_same_mark(&mark, &copy->copier.journal.flushed))
        begin_flush(copy, &mark, due);
    else if (due && !journal_same_mark(&mark, &copy->told_mark))
        tell(copy);
    else if (due)
        copy->checkpoint_at_ns = next_checkpoint(copy->job);
}

/* What a failed flush may have lost is written again, once. */
static bool may_rewrite(const struct copy *copy)
{
    return copy->flush_error == -EIO && !copy->rewritten;
}

static void step(void *arg)
{
    struct copy *copy = arg;
    struct slots *slots = &copy->slots;

    if (copy->to_tell)
        tell(copy);
    if (slots->n_in_flight == 0)
        tally_beat(&copy->copier.tally);
    if (slots_are_over(slots) || copy->flush_error < 0) { /* let it come to rest */
        if (slots_are_over(slots) || may_rewrite(copy))
            copier_end_blocks(&copy->copier);
        return;
    }
    keep_checkpoints(copy);
    if (copy->verifies) {
        struct journal_piece left;
        bool copying = journal_next(&copy->copier.journal, &left) && slots->n_slots > 1;

        verifier_step(&copy->verifier, copying ? slots->n_slots / 2 : slots->n_slots);
    }
    copier_step(&copy->copier);
    if (slots->n_in_flight > 0 && may_flush(copy))
        slots_wake_by(slots, copy->checkpoint_at_ns);
}

static int sync_all(struct copy *copy)
{
    const struct engine_job *job = copy->job;
    const struct journal_mark all = {.low_bytes = job->size_bytes};

    CRASH_POINT("worker-before-sync");
    copy->flush_error = job->destination->ops->sync(job->destination);
    if (copy->flush_error < 0)
        return copy->flush_error;
    journal_flushed(&copy->copier.journal, &all);
    CRASH_POINT("worker-after-sync");
    return 0;
}

static int conduct(struct copy *copy, struct engine_result *ret)
{
    for (;;) {
        int r;

        slots_conduct(&copy->slots, step, copy);
        if (slots_are_over(&copy->slots))
            return slots_tell(&copy->slots, ret);
        if (copy->flush_error == 0) {
            if (journal_low(&copy->copier.journal) != copy->job->size_bytes)
                return engine_refuse(ret, -EIO, "not every block was copied");
            r = engine_check_source(copy->job, ret);
            if (r < 0)
                return r;
            if (sync_all(copy) == 0)
                return 0;
        }
        if (!may_rewrite(copy))
            return engine_refuse(ret, copy->flush_error, "cannot flush the destination");
        copy->rewritten = true;
        copy->flush_error = 0;
        copier_rewind(&copy->copier);
        if (copy->verifies)
            verifier_rewind(&copy->verifier, copy->copier.journal.next_bytes);
    }
}

/* What was written there lately, the storage tells of once it has it. */
static int settle_old_data(const struct engine_job *job)
{
    struct endpoint *destination = job->destination;
    int r;

    if (job->destination_zero || !destination->ops->extent)
        return 0;
    r = destination->ops->flush(destination);
    if (r < 0 && r != -EIO) /* what was lost before shall be written now */
        return r;
    return endpoint_drop(destination);
}

/* A full disk may get room, and the job goes on from what is settled. Nothing is in flight. */
static void save_what_is_settled(struct copy *copy, int error)
{
    const struct engine_job *job = copy->job;
    struct journal_mark mark = journal_settled(&copy->copier.journal);

    if ((error != -ENOSPC && error != -EDQUOT) || copy->flush_error < 0 ||
        atomic_load(&copy->verifier.flush_error) < 0 ||
        journal_same_mark(&mark, &copy->copier.journal.flushed))
        return;
    CRASH_POINT("worker-before-checkpoint");
    if (job->destination->ops->flush(job->destination) < 0)
        return; /* the last mark stays */
    journal_flushed(&copy->copier.journal, &mark);
    tell(copy);
}

static int prepare(struct copy *copy, uint64_t block_bytes)
{
    const struct engine_job *job = copy->job;
    int r = slots_init(&copy->slots, job->queue, job->stop, job->size_bytes, block_bytes);

    if (r == 0)
        r = copier_init(&copy->copier, job, &copy->slots, block_bytes);
    if (r == 0 && copy->verifies)
        r = verifier_init(&copy->verifier, job, &copy->slots, block_bytes, &copy->copier.tally,
                          true);
    copy->told_mark = copy->copier.journal.flushed;
    copy->checkpoint_at_ns = next_checkpoint(job);
    return r;
}

static int run(struct copy *copy, struct engine_result *ret)
{
    const struct engine_job *job = copy->job;
    int r = settle_old_data(job);

    if (r < 0)
        return engine_refuse(ret, r, "cannot flush what the destination held");
    r = conduct(copy, ret);
    save_what_is_settled(copy, r);
    ret->mark = copy->copier.journal.flushed;
    ret->cloned = copy->copier.cloned;
    return r;
}

int engine_copy(const struct engine_job *job, struct engine_result *ret)
{
    uint64_t block_bytes = engine_block_bytes(job);
    struct copy copy = {.job = job, .verifies = job->verify_behind && job->digests};
    int r;

    *ret = (struct engine_result){.bad_bytes = ENGINE_NO_PLACE, .mark = job->start};
    if (job->size_bytes > INT64_MAX)
        return engine_refuse(ret, -EFBIG, "a volume has no more than 2^63-1 bytes");
    if (job->start.low_bytes > job->size_bytes || block_bytes == 0)
        return engine_refuse(ret, -EINVAL, "the range to copy");
    r = engine_check_sizes(job, ret);
    if (r < 0)
        return r;
    assert(!job->digests || digests_fit(job->digests, job->size_bytes, (size_t)block_bytes));
    r = prepare(&copy, block_bytes);
    if (r < 0)
        engine_refuse(ret, r, "cannot start the copy");
    else
        r = run(&copy, ret);
    verifier_deinit(&copy.verifier);
    copier_deinit(&copy.copier);
    slots_deinit(&copy.slots);
    return r;
}
