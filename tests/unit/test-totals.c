#include "fs/view/totals.h"

#include "tests/unit/check.h"

static struct progress working(uint64_t copied, uint64_t zero, uint64_t verified)
{
    struct progress progress = {0};

    atomic_store(&progress.copied_bytes, copied);
    atomic_store(&progress.zero_bytes, zero);
    atomic_store(&progress.verified_bytes, verified);
    return progress;
}

TEST(what_a_worker_does_is_counted_once_however_often_it_is_looked_at)
{
    struct totals totals = {0};
    struct counted counted = {0};
    struct progress first = working(100, 20, 3), then = working(150, 20, 60);

    totals_add_moved(&totals, &counted, &first);
    totals_add_moved(&totals, &counted, &first);
    totals_add_moved(&totals, &counted, NULL);
    totals_add_moved(&totals, &counted, &then);
    CHECK_EQ(totals.copied_bytes, 150);
    CHECK_EQ(totals.zero_bytes, 20);
    CHECK_EQ(totals.verified_bytes, 60);
}

TEST(what_the_next_worker_does_is_added)
{
    struct totals totals = {0};
    struct counted counted = {0};
    struct progress first = working(100, 0, 50), next = working(30, 7, 60);

    totals_add_moved(&totals, &counted, &first);
    counted = (struct counted){0};
    totals_add_moved(&totals, &counted, &next);
    CHECK_EQ(totals.copied_bytes, 130);
    CHECK_EQ(totals.zero_bytes, 7);
    CHECK_EQ(totals.verified_bytes, 110);
}

TEST(totals_never_go_back)
{
    struct totals totals = {0};
    struct counted counted = {0};
    struct progress more = working(100, 0, 0), less = working(40, 0, 0);

    totals_add_moved(&totals, &counted, &more);
    totals_add_moved(&totals, &counted, &less);
    CHECK_EQ(totals.copied_bytes, 100);
    totals_add_moved(&totals, &counted, &more);
    CHECK_EQ(totals.copied_bytes, 160);
}

TEST(a_job_lasts_from_its_start_or_else_from_its_acceptance)
{
    CHECK_EQ(totals_duration_s(&(struct job_stat){.queued_at_s = 10, .ended_at_s = 17}), 7);
    CHECK_EQ(totals_duration_s(
                 &(struct job_stat){.queued_at_s = 10, .started_at_s = 15, .ended_at_s = 17}),
             2);
    CHECK_EQ(totals_duration_s(&(struct job_stat){.queued_at_s = 17, .ended_at_s = 10}), 0);
}

static void end_after(struct totals *totals, enum result result, uint64_t seconds)
{
    const struct job_stat stat = {.started_at_s = 1000, .ended_at_s = 1000 + seconds};

    totals_add_ended(totals, result, &stat);
}

TEST(every_end_is_counted_and_the_durations_of_successes_are)
{
    struct totals totals = {0};

    end_after(&totals, RESULT_SUCCESS, 0);
    end_after(&totals, RESULT_SUCCESS, 1);
    end_after(&totals, RESULT_SUCCESS, 2);
    end_after(&totals, RESULT_SUCCESS, 86401);
    end_after(&totals, RESULT_ERROR, 3);
    end_after(&totals, RESULT_ABORTED, 3);
    end_after(&totals, RESULT_ABORTED, 3);
    CHECK_EQ(totals.n_ended[RESULT_SUCCESS], 4);
    CHECK_EQ(totals.n_ended[RESULT_ERROR], 1);
    CHECK_EQ(totals.n_ended[RESULT_ABORTED], 2);
    CHECK_EQ(totals.n_within[0], 2); /* a bound is within */
    CHECK_EQ(totals.n_within[1], 1);
    for (int i = 2; i < TOTALS_BOUNDS; i++)
        CHECK_EQ(totals.n_within[i], 0);
    CHECK_EQ(totals.sum_s, 86404);
}

TEST(the_bounds_of_durations_ascend)
{
    for (int i = 1; i < TOTALS_BOUNDS; i++)
        CHECK(totals_bounds_s[i] > totals_bounds_s[i - 1]);
}

TEST_MAIN
