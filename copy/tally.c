#include "copy/tally.h"

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void raise_to(_Atomic uint64_t *counter, uint64_t wanted)
{
    uint64_t shown = atomic_load(counter);

    while (shown < wanted && !atomic_compare_exchange_weak(counter, &shown, wanted))
        ;
}

void tally_begin(struct tally *tally, struct progress *progress, uint64_t start_bytes)
{
    tally->progress = progress;
    atomic_store(&tally->done_bytes, start_bytes);
    atomic_store(&tally->verified_bytes, 0);
    raise_to(&progress->skipped_bytes, start_bytes);
    raise_to(&progress->done_bytes, start_bytes);
}

void tally_settled(struct tally *tally, struct tally_step step)
{
    struct progress *progress = tally->progress;

    if (step.fresh > 0) {
        add(&progress->hole_bytes, step.hole);
        add(&progress->zero_bytes, step.zero);
    }
    add(&progress->copied_bytes, step.copied);
    raise_to(&progress->done_bytes, atomic_fetch_add(&tally->done_bytes, step.fresh) + step.fresh);
    add(&progress->beats, 1);
}

void tally_verified(struct tally *tally, uint64_t n_bytes)
{
    raise_to(&tally->progress->verified_bytes,
             atomic_fetch_add(&tally->verified_bytes, n_bytes) + n_bytes);
    add(&tally->progress->beats, 1);
}
