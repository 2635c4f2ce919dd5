#include "copy/journal.h"

#include "tests/unit/check.h"

#define MIB UINT64_C(1048576)

TEST(chunks_are_handed_out_in_order_and_the_last_one_may_be_cut_short)
{
    struct journal_piece piece;
    struct journal journal;

    journal_begin(&journal, 2 * MIB + 5, 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(journal_take(&journal, i, &piece));
        CHECK_EQ(piece.start_bytes, i * MIB);
        CHECK_EQ(piece.end_bytes, i < 2 ? (i + 1) * MIB : 2 * MIB + 5);
    }
    CHECK(!journal_take(&journal, 3, &piece));
}

TEST(nothing_above_the_lowest_piece_in_work_counts_as_settled)
{
    struct journal_piece piece;
    struct journal journal;

    journal_begin(&journal, 10 * MIB, 0);
    for (unsigned i = 0; i < 3; i++)
        CHECK(journal_take(&journal, i, &piece));
    CHECK_EQ(journal_settle(&journal, 1), MIB);
    CHECK_EQ(journal_settle(&journal, 2), MIB);
    CHECK_EQ(journal_low(&journal), 0);
    CHECK(journal_take_until(&journal, 1, 7 * MIB + 1, &piece));
    CHECK_EQ(piece.end_bytes, 7 * MIB);
    CHECK_EQ(journal_settle(&journal, 0), MIB);
    CHECK_EQ(journal_low(&journal), 3 * MIB);
    CHECK_EQ(journal_settle(&journal, 1), 4 * MIB);
    CHECK_EQ(journal_low(&journal), 7 * MIB);
    CHECK(!journal_take_until(&journal, 0, 7 * MIB, &piece));
}

TEST(a_rewind_does_again_what_is_not_flushed_and_counts_nothing_twice)
{
    struct journal_piece piece;
    struct journal journal;

    journal_begin(&journal, 5 * MIB, 0);
    CHECK(journal_take_until(&journal, 0, 4 * MIB, &piece));
    CHECK_EQ(journal_settle(&journal, 0), 4 * MIB);
    journal_flushed(&journal, MIB);
    journal_rewind(&journal);
    CHECK_EQ(journal_low(&journal), MIB);
    CHECK(journal_take_until(&journal, 0, 3 * MIB, &piece));
    CHECK_EQ(piece.start_bytes, MIB);
    CHECK_EQ(journal_settle(&journal, 0), 0);
    CHECK(journal_take_until(&journal, 0, 5 * MIB, &piece));
    CHECK_EQ(journal_settle(&journal, 0), MIB);
    CHECK_EQ(journal_low(&journal), 5 * MIB);
}

TEST(a_start_within_a_chunk_does_that_chunk_again)
{
    struct journal_piece piece;
    struct journal journal;

    journal_begin(&journal, 5 * MIB, 2 * MIB + 17);
    CHECK_EQ(journal_low(&journal), 2 * MIB);
    journal_begin(&journal, 5 * MIB + 17, 5 * MIB + 17);
    CHECK(!journal_take(&journal, 0, &piece));
    journal_begin(&journal, 0, 0);
    CHECK(!journal_take(&journal, 0, &piece));
    CHECK_EQ(journal_low(&journal), 0);
}

TEST(sizes_up_to_the_largest_do_not_overflow)
{
    struct journal_piece piece;
    struct journal journal;

    journal_begin(&journal, INT64_MAX, 0);
    CHECK(journal_take_until(&journal, 0, INT64_MAX, &piece));
    CHECK_EQ(piece.end_bytes, INT64_MAX);
    CHECK_EQ(journal_settle(&journal, 0), INT64_MAX);
    CHECK_EQ(journal_low(&journal), INT64_MAX);
}

TEST_MAIN
