#include "fs/migrate/progress.h"

#define NS_PER_S  UINT64_C(1000000000)
#define SAMPLE_NS (NS_PER_S / 2)

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static bool store(_Atomic uint64_t *to, uint64_t value)
{
    return atomic_exchange(to, value) != value;
}

/* A worker that only verifies has settled nothing itself. */
static void take(struct job_stat *stat, const struct job_stat *base,
                 const struct progress *progress)
{
    uint64_t done = load(&progress->done_bytes);

    stat->done_bytes = done > base->done_bytes ? done : base->done_bytes;
    stat->copied_bytes = base->copied_bytes + load(&progress->copied_bytes);
    stat->zero_bytes = base->zero_bytes + load(&progress->zero_bytes);
    stat->hole_bytes = base->hole_bytes + load(&progress->hole_bytes);
    stat->skipped_bytes = load(&progress->skipped_bytes);
    stat->verified_bytes = load(&progress->verified_bytes);
}

static void show(const struct job_stat *stat, struct meter *meter)
{
    atomic_store(&meter->done_bytes, stat->done_bytes);
    atomic_store(&meter->copied_bytes, stat->copied_bytes);
    atomic_store(&meter->zero_bytes, stat->zero_bytes);
    atomic_store(&meter->hole_bytes, stat->hole_bytes);
    atomic_store(&meter->skipped_bytes, stat->skipped_bytes);
    atomic_store(&meter->verified_bytes, stat->verified_bytes);
}

/* 100 is for success alone. */
static bool show_percent(struct meter *meter, uint64_t work, uint64_t all)
{
    uint64_t percent = all ? (uint64_t)((unsigned __int128)work * 100 / all) : 0;

    percent = percent < 99 ? percent : 99;
    return percent > atomic_load(&meter->percent) && store(&meter->percent, percent);
}

static uint64_t per(uint64_t amount, uint64_t times, uint64_t parts)
{
    unsigned __int128 n = (unsigned __int128)amount * times / parts;

    return n < UINT64_MAX ? (uint64_t)n : UINT64_MAX;
}

static uint64_t since(uint64_t before, uint64_t now)
{
    return now > before ? now - before : 0;
}

/* Over the window of the samples: bytes a second, of what is copied, or, where that is over, of
 * what is compared; and how long what is left of both takes at the pace of both, which nobody knows
 * while nothing moves. */
static bool show_rate(struct meter_rate *rate, struct meter *meter, bool moves, bool copies,
                      struct rate_sample now, uint64_t all)
{
    uint64_t left = since(now.copied_bytes + now.compared_bytes, all), copied, compared, span_ns;
    unsigned newest = (rate->next + RATE_SAMPLES - 1) % RATE_SAMPLES;
    const struct rate_sample *oldest;
    bool changed;

    if (rate->n > 0 && now.at_ns - rate->samples[newest].at_ns < SAMPLE_NS)
        return false;
    rate->samples[rate->next] = now;
    rate->next = (rate->next + 1) % RATE_SAMPLES;
    if (rate->n < RATE_SAMPLES)
        rate->n++;
    oldest = &rate->samples[rate->n < RATE_SAMPLES ? 0 : rate->next];
    span_ns = now.at_ns - oldest->at_ns;
    if (span_ns == 0)
        return false;
    copied = since(oldest->copied_bytes, now.copied_bytes);
    compared = since(oldest->compared_bytes, now.compared_bytes);
    changed = store(&meter->rate_bytes_per_s, per(copies ? copied : compared, NS_PER_S, span_ns));
    changed |= store(&meter->eta_s, moves && copied + compared > 0
                                        ? per(left, span_ns, copied + compared) / NS_PER_S
                                        : UINT64_MAX);
    return changed;
}

/* Of what was verified, the part that is data: it lies anywhere. */
static uint64_t verified_data(const struct job_stat *stat, uint64_t data_bytes)
{
    return stat->total_bytes ? per(stat->verified_bytes, data_bytes, stat->total_bytes) : 0;
}

bool progress_sample(struct meter_rate *rate, struct job_stat *stat, const struct job_stat *base,
                     unsigned work, uint64_t data_bytes, const struct progress *progress,
                     bool moves, struct meter *meter, uint64_t now_ns)
{
    bool copies = work & PROGRESS_COPY, verifies = work & PROGRESS_VERIFY;
    unsigned passes = copies && verifies ? 2 : 1;
    struct rate_sample sample = {.at_ns = now_ns};
    struct timespec now;
    bool changed;

    if (progress)
        take(stat, base, progress);
    show(stat, meter);
    changed =
        show_percent(meter, (copies ? stat->done_bytes : 0) + (verifies ? stat->verified_bytes : 0),
                     stat->total_bytes * passes);
    sample.copied_bytes = stat->copied_bytes + stat->zero_bytes;
    sample.compared_bytes = verified_data(stat, data_bytes);
    changed |= show_rate(rate, meter, moves,
                         copies && !(verifies && stat->done_bytes == stat->total_bytes), sample,
                         data_bytes * passes);
    if (changed) {
        clock_gettime(CLOCK_REALTIME, &now);
        atomic_store(&meter->changed_s, now.tv_sec);
    }
    return changed;
}
