#include "fs/view/totals.h"

const uint64_t totals_bounds_s[TOTALS_BOUNDS] = {1, 5, 15, 60, 300, 900, 3600, 14400, 86400};

static void add_since(uint64_t *total, uint64_t *counted, const _Atomic uint64_t *counter)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    if (now > *counted)
        *total += now - *counted;
    *counted = now;
}

void totals_add_moved(struct totals *totals, struct counted *counted,
                      const struct progress *progress)
{
    if (!progress)
        return;
    add_since(&totals->copied_bytes, &counted->copied_bytes, &progress->copied_bytes);
    add_since(&totals->zero_bytes, &counted->zero_bytes, &progress->zero_bytes);
    add_since(&totals->verified_bytes, &counted->verified_bytes, &progress->verified_bytes);
}

uint64_t totals_duration_s(const struct job_stat *stat)
{
    uint64_t start_s = stat->started_at_s ? stat->started_at_s : stat->queued_at_s;

    return span_s(start_s, stat->ended_at_s);
}

void totals_add_ended(struct totals *totals, enum result result, const struct job_stat *stat)
{
    uint64_t took_s = totals_duration_s(stat);

    totals->n_ended[result]++;
    if (result != RESULT_SUCCESS)
        return;
    totals->sum_s += took_s;
    for (int i = 0; i < TOTALS_BOUNDS; i++)
        if (took_s <= totals_bounds_s[i]) {
            totals->n_within[i]++;
            break;
        }
}
