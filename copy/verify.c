#include "copy/engine.h"

#include <assert.h>
#include <errno.h>

#include "copy/base/crash.h"
#include "copy/refuse.h"
#include "copy/verifier.h"

struct verify {
    const struct engine_job *job;
    struct slots slots;
    struct tally tally;
    struct verifier verifier;
};

/* Two volumes as they are. */
static bool two_sources(const struct engine_job *job)
{
    return job->no_repair && job->compare_source;
}

static int flush_and_drop(const struct engine_job *job, struct engine_result *ret)
{
    int r;

    if (two_sources(job))
        return 0;
    r = job->destination->ops->sync(job->destination);
    if (r < 0)
        return engine_refuse(ret, r, "cannot flush the destination");
    r = endpoint_drop(job->destination);
    return r < 0 ? engine_refuse(ret, r, "cannot drop what is cached of the destination") : 0;
}

static void step(void *arg)
{
    struct verify *verify = arg;

    if (verify->slots.n_in_flight == 0)
        tally_beat(&verify->tally);
    if (slots_are_over(&verify->slots))
        verifier_end_blocks(&verify->verifier);
    else
        verifier_step(&verify->verifier, verify->slots.n_slots);
}

static int conclude(struct verify *verify, struct engine_result *ret)
{
    const struct engine_job *job = verify->job;
    int r = 0;

    if (atomic_load(&verify->verifier.repaired))
        r = job->destination->ops->sync(job->destination);
    if (r < 0)
        return engine_refuse(ret, r, "cannot flush the destination");
    r = engine_check_source(job, ret);
    if (r == 0 && two_sources(job))
        r = engine_check_read(job->destination, "the other volume", job->size_bytes, ret);
    if (r == 0 && job->digests)
        digests_total(job->digests, &ret->digest);
    return r;
}

static int run(struct verify *verify, struct engine_result *ret)
{
    const struct engine_job *job = verify->job;
    int r;

    CRASH_POINT("worker-before-verify");
    r = flush_and_drop(job, ret);
    if (r < 0)
        return r;
    tally_begin(&verify->tally, job->progress, 0);
    verifier_set_limit(&verify->verifier, job->size_bytes);
    slots_conduct(&verify->slots, step, verify);
    r = slots_are_over(&verify->slots) ? slots_tell(&verify->slots, ret) : conclude(verify, ret);
    if (r == 0)
        CRASH_POINT("worker-after-verify");
    return r;
}

int engine_verify(const struct engine_job *job, struct engine_result *ret)
{
    uint64_t block_bytes = engine_block_bytes(job);
    struct verify verify = {.job = job};
    int r;

    *ret = (struct engine_result){.bad_bytes = ENGINE_NO_PLACE};
    if (job->size_bytes > INT64_MAX || block_bytes == 0)
        return engine_refuse(ret, -EINVAL, "the size to verify");
    assert(job->compare_source || job->digests);
    r = engine_check_sizes(job, ret);
    if (r < 0)
        return r;
    assert(!job->digests || digests_fit(job->digests, job->size_bytes, (size_t)block_bytes));
    r = slots_init(&verify.slots, job->queue, job->stop, job->size_bytes, block_bytes);
    if (r == 0)
        r = verifier_init(&verify.verifier, job, &verify.slots, block_bytes, &verify.tally, false);
    if (r < 0)
        engine_refuse(ret, r, "cannot start to verify");
    else
        r = run(&verify, ret);
    verifier_deinit(&verify.verifier);
    slots_deinit(&verify.slots);
    return r;
}
