/* Recovery is a pure function; here is its whole table, written out a second time. */
#include "fs/migrate/recover.h"

#include "check.h"

#define N   POOL_FOUND_NONE
#define H   POOL_FOUND_HIDDEN
#define P   POOL_FOUND_PUBLISHED
#define O   POOL_FOUND_OTHER
#define ANY -1

/* The first row that fits tells what is right. */
static const struct row {
    int phase; /* ANY */
    int abort; /* ANY */
    int source, destination;
    enum recovery right;
} rows[] = {
    /* After the switch only the destination counts, and an abort comes too late. */
    {PHASE_CLEANING, ANY, ANY, P, RECOVER_FORWARD},
    {PHASE_CLEANING, ANY, ANY, N, RECOVER_HALT},
    {PHASE_CLEANING, ANY, ANY, H, RECOVER_HALT},
    {PHASE_CLEANING, ANY, ANY, O, RECOVER_HALT},
    /* An abort that was recorded is carried out, and a roll-back finished: neither destroys what is
     * at the destination while the source is not seen. */
    {ANY, 1, ANY, ANY, RECOVER_BACK},
    {PHASE_ROLLING_BACK, 0, ANY, ANY, RECOVER_BACK},
    /* Without the source where it was, what is at the destination may be all there is. */
    {ANY, 0, N, H, RECOVER_HALT},
    {ANY, 0, N, P, RECOVER_HALT},
    {ANY, 0, H, H, RECOVER_HALT},
    {ANY, 0, H, P, RECOVER_HALT},
    {ANY, 0, O, H, RECOVER_HALT},
    {ANY, 0, O, P, RECOVER_HALT},
    /* Where nothing is there either, there is nothing to decide. */
    {ANY, 0, N, ANY, RECOVER_BACK},
    {ANY, 0, H, ANY, RECOVER_BACK},
    {ANY, 0, O, ANY, RECOVER_BACK},
    {PHASE_QUEUED, 0, P, ANY, RECOVER_QUEUE},
    {PHASE_RESERVING, 0, P, ANY, RECOVER_RESERVE},
    {PHASE_COPYING, 0, P, H, RECOVER_COPY},
    {PHASE_COPYING, 0, P, P, RECOVER_COPY},
    {PHASE_COPYING, 0, P, N, RECOVER_BACK},
    {PHASE_COPYING, 0, P, O, RECOVER_BACK},
    {PHASE_VERIFYING, 0, P, H, RECOVER_VERIFY},
    {PHASE_VERIFYING, 0, P, P, RECOVER_VERIFY},
    {PHASE_VERIFYING, 0, P, N, RECOVER_BACK},
    {PHASE_VERIFYING, 0, P, O, RECOVER_BACK},
    {PHASE_SWITCHING, 0, P, H, RECOVER_VERIFY},
    {PHASE_SWITCHING, 0, P, P, RECOVER_VERIFY},
    {PHASE_SWITCHING, 0, P, N, RECOVER_BACK},
    {PHASE_SWITCHING, 0, P, O, RECOVER_BACK},
};

static bool fits(int wanted, int is)
{
    return wanted == ANY || wanted == is;
}

static const struct row *row_for(int phase, int abort, int source, int destination)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (fits(rows[i].phase, phase) && fits(rows[i].abort, abort) &&
            fits(rows[i].source, source) && fits(rows[i].destination, destination))
            return &rows[i];
    return NULL;
}

TEST(every_combination_of_record_and_evidence_is_decided_as_written)
{
    for (int phase = 0; phase < PHASE_N; phase++)
        for (int abort = 0; abort < 2; abort++)
            for (int source = N; source <= O; source++)
                for (int destination = N; destination <= O; destination++) {
                    const struct row *row = row_for(phase, abort, source, destination);
                    enum recovery got =
                        recover_decide((enum phase_id)phase, abort != 0, (enum pool_found)source,
                                       (enum pool_found)destination);

                    REQUIRE(row);
                    if (got != row->right)
                        printf("# phase %s abort %d source %d destination %d\n", phases[phase].name,
                               abort, source, destination);
                    CHECK_EQ(got, row->right);
                }
}

TEST(every_row_of_this_table_is_used)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool used = false;

        for (int code = 0; code < PHASE_N * 2 * 16 && !used; code++)
            used = row_for(code / 32, code / 16 % 2, code / 4 % 4, code % 4) == &rows[i];
        if (!used)
            printf("# row %zu\n", i);
        CHECK(used);
    }
}

TEST(a_phase_is_found_by_the_name_that_is_on_disk)
{
    static const char *const on_disk[] = {"queued",    "reserving", "copying",     "verifying",
                                          "switching", "cleaning",  "rolling-back"};

    for (int i = 0; i < PHASE_N; i++) {
        CHECK_STR(phases[i].name, on_disk[i]);
        CHECK_EQ(phase_by_name(on_disk[i]), i);
    }
    CHECK_EQ(phase_by_name("release"), -1);
    CHECK_EQ(phase_by_name(""), -1);
}

TEST(only_the_phase_after_the_switch_is_entered_by_it)
{
    for (int i = 0; i < PHASE_N; i++) {
        CHECK_EQ(phases[i].switches, i == PHASE_CLEANING);
        CHECK_EQ(phases[i].final, i >= PHASE_CLEANING && !phases[i].backwards);
        CHECK(phases[i].go != NULL);
    }
}

TEST_MAIN
