#include "fs/migrate/progress.h"

#include "check.h"
#include "copy/base/cleanup.h"

#define MIB UINT64_C(1048576)
#define NS  UINT64_C(1000000000)

struct world {
    struct meter_rate rate;
    struct job_stat stat, base;
    struct progress progress;
    struct meter *meter;
};

static void world_init(struct world *w, uint64_t total)
{
    memset(w, 0, sizeof(*w));
    w->stat.total_bytes = total;
    w->meter = meter_open();
    REQUIRE(w->meter);
}

static void sample(struct world *w, bool verify, uint64_t done, uint64_t verified, uint64_t at_ns)
{
    atomic_store(&w->progress.done_bytes, done);
    atomic_store(&w->progress.copied_bytes, done);
    atomic_store(&w->progress.verified_bytes, verified);
    progress_sample(&w->rate, &w->stat, &w->base,
                    verify ? PROGRESS_COPY | PROGRESS_VERIFY : PROGRESS_COPY, w->stat.total_bytes,
                    &w->progress, true, w->meter, at_ns);
}

TEST(what_is_only_compared_is_whole_when_that_is_done)
{
    struct world w;

    world_init(&w, 100 * MIB);
    atomic_store(&w.progress.verified_bytes, 50 * MIB);
    progress_sample(&w.rate, &w.stat, &w.base, PROGRESS_VERIFY, 100 * MIB, &w.progress, true,
                    w.meter, NS);
    CHECK_EQ(atomic_load(&w.meter->percent), 50);
    meter_close(w.meter);
}

TEST(percent_counts_copying_and_verifying_and_keeps_100_for_success)
{
    struct world w;

    world_init(&w, 100 * MIB);
    sample(&w, true, 50 * MIB, 0, NS);
    CHECK_EQ(atomic_load(&w.meter->percent), 25);
    sample(&w, true, 100 * MIB, 50 * MIB, 2 * NS);
    CHECK_EQ(atomic_load(&w.meter->percent), 75);
    sample(&w, true, 100 * MIB, 100 * MIB, 3 * NS);
    CHECK_EQ(atomic_load(&w.meter->percent), 99);
    meter_close(w.meter);
}

TEST(percent_never_goes_back)
{
    struct world w;

    world_init(&w, 100 * MIB);
    sample(&w, false, 60 * MIB, 0, NS);
    sample(&w, false, 20 * MIB, 0, 2 * NS);
    CHECK_EQ(atomic_load(&w.meter->percent), 60);
    meter_close(w.meter);
}

TEST(rate_and_eta_follow_from_the_last_ten_seconds)
{
    struct world w;

    world_init(&w, 1000 * MIB);
    for (unsigned i = 0; i <= 60; i++) /* 10 MiB each half second, later 20 */
        sample(&w, false, (i <= 30 ? 10 * i : 300 + 20 * (i - 30)) * MIB, 0, NS + i * NS / 2);
    CHECK_EQ(atomic_load(&w.meter->rate_bytes_per_s), 40 * MIB);
    CHECK_EQ(atomic_load(&w.meter->eta_s), 2); /* 100 MiB are left */
    meter_close(w.meter);
}

TEST(what_is_read_back_is_in_the_time_left_and_in_the_rate_once_all_is_copied)
{
    static const struct {
        uint64_t copied, read_back; /* MiB of 100, in 2 s */
        uint64_t rate;              /* MiB/s */
        uint64_t eta_s;
    } rows[] = {
        {40, 20, 20, 4},  /* 140 MiB are left of both, at 30 MiB/s */
        {100, 20, 10, 1}, /* 80 MiB, at 60 MiB/s */
    };

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct world w;

        world_init(&w, 100 * MIB);
        sample(&w, true, 0, 0, NS);
        sample(&w, true, rows[i].copied * MIB, rows[i].read_back * MIB, 3 * NS);
        CHECK_EQ(atomic_load(&w.meter->rate_bytes_per_s), rows[i].rate * MIB);
        CHECK_EQ(atomic_load(&w.meter->eta_s), rows[i].eta_s);
        meter_close(w.meter);
    }
}

TEST(without_a_worker_eta_is_unknown_and_the_rate_sinks_to_0)
{
    struct world w;

    world_init(&w, 100 * MIB);
    sample(&w, false, 0, 0, NS);
    sample(&w, false, 10 * MIB, 0, 2 * NS);
    CHECK_EQ(atomic_load(&w.meter->rate_bytes_per_s), 10 * MIB);
    CHECK_EQ(atomic_load(&w.meter->eta_s), 9);
    CHECK(progress_sample(&w.rate, &w.stat, &w.base, PROGRESS_COPY, 100 * MIB, NULL, false, w.meter,
                          3 * NS));
    CHECK_EQ(atomic_load(&w.meter->rate_bytes_per_s), 5 * MIB);
    CHECK_EQ(atomic_load(&w.meter->eta_s), UINT64_MAX);
    for (unsigned i = 0; i < RATE_SAMPLES; i++)
        progress_sample(&w.rate, &w.stat, &w.base, PROGRESS_COPY, 100 * MIB, NULL, false, w.meter,
                        4 * NS + i * NS / 2);
    CHECK_EQ(atomic_load(&w.meter->rate_bytes_per_s), 0);
    CHECK_EQ(w.stat.copied_bytes, 10 * MIB);
    meter_close(w.meter);
}

TEST(a_second_worker_adds_to_what_the_first_did)
{
    struct world w;

    world_init(&w, 100 * MIB);
    w.base.copied_bytes = 30 * MIB;
    w.base.done_bytes = 30 * MIB;
    sample(&w, false, 10 * MIB, 0, NS);
    CHECK_EQ(w.stat.copied_bytes, 40 * MIB);
    CHECK_EQ(w.stat.done_bytes, 30 * MIB);
    meter_close(w.meter);
}

TEST(an_empty_volume_has_a_percent_too)
{
    struct world w;

    world_init(&w, 0);
    sample(&w, true, 0, 0, NS);
    CHECK_EQ(atomic_load(&w.meter->percent), 0);
    meter_close(w.meter);
}

TEST_MAIN
