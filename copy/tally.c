#include "copy/tally.h"

static uint64_t shown(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void show(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, n, memory_order_relaxed);
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    show(counter, shown(counter) + n);
}

static void raise_to(_Atomic uint64_t *counter, uint64_t wanted)
{
    if (shown(counter) < wanted)
        show(counter, wanted);
}

void tally_begin(struct tally *tally, struct progress *progress, uint64_t start_bytes)
{
    *tally = (struct tally){.progress = progress, .done_bytes = start_bytes};
    raise_to(&progress->skipped_bytes, start_bytes);
    raise_to(&progress->done_bytes, start_bytes);
}

void tally_settled(struct tally *tally, struct tally_step step)
{
    struct progress *progress = tally->progress;

    if (step.fresh > 0) {
        add(&progress->hole_bytes, step.hole);
        add(&progress->zero_bytes, step.zero);
        add(&progress->cloned_bytes, step.cloned);
    }
    add(&progress->copied_bytes, step.copied);
    tally->done_bytes += step.fresh;
    raise_to(&progress->done_bytes, tally->done_bytes);
    add(&progress->beats, 1);
}

void tally_beat(struct tally *tally)
{
    add(&tally->progress->beats, 1);
}

void tally_verified(struct tally *tally, uint64_t n_bytes)
{
    tally->verified_bytes += n_bytes;
    raise_to(&tally->progress->verified_bytes, tally->verified_bytes);
    add(&tally->progress->beats, 1);
}
