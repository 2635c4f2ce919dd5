#include "copy/journal.h"

#include "tests/unit/check.h"
#include "tests/unit/volumes.h"

#define BLOCK (UINT64_C(1) << 19)

static void begin(struct journal *journal, uint64_t size_bytes, uint64_t low, uint64_t above)
{
    journal_begin(journal, size_bytes, BLOCK,
                  &(struct journal_mark){.low_bytes = low, .above = above});
}

/* The next block, or false. */
static bool take(struct journal *journal, unsigned lane)
{
    struct journal_piece next;

    if (!journal_next(journal, &next))
        return false;
    journal_take(journal, lane,
                 next.end_bytes - next.start_bytes > BLOCK ? next.start_bytes + BLOCK
                                                           : next.end_bytes);
    return true;
}

/* Returns how many bytes of it were done for the first time. */
static uint64_t settle(struct journal *journal, unsigned lane)
{
    struct journal_piece piece = journal->lanes[lane].piece;

    journal_settle(journal, lane);
    return journal_fresh_bytes(journal, piece);
}

static void check_mark(const struct journal *journal, uint64_t low, uint64_t above)
{
    struct journal_mark mark = journal_settled(journal);

    CHECK_EQ(mark.low_bytes, low);
    CHECK_EQ(mark.above, above);
}

TEST(blocks_are_handed_out_in_order_and_the_last_one_may_be_cut_short)
{
    struct journal journal;

    begin(&journal, 2 * BLOCK + 5, 0, 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(take(&journal, i));
        CHECK_EQ(journal.lanes[i].piece.start_bytes, i * BLOCK);
        CHECK_EQ(journal.lanes[i].piece.end_bytes, i < 2 ? (i + 1) * BLOCK : 2 * BLOCK + 5);
    }
    CHECK(!take(&journal, 3));
}

TEST(what_is_settled_above_the_lowest_piece_in_work_is_a_bit_of_the_mark)
{
    struct journal journal;

    begin(&journal, 100 * BLOCK + 1, 0, 0);
    for (unsigned i = 0; i < 4; i++)
        CHECK(take(&journal, i));
    check_mark(&journal, 0, 0);
    CHECK_EQ(settle(&journal, 1), BLOCK);
    CHECK_EQ(settle(&journal, 3), BLOCK);
    check_mark(&journal, 0, 5);
    CHECK_EQ(journal_pass(&journal, 70 * BLOCK), 66 * BLOCK);
    check_mark(&journal, 0, UINT64_MAX & ~UINT64_C(2));
    CHECK_EQ(settle(&journal, 0), BLOCK);
    check_mark(&journal, 2 * BLOCK, UINT64_MAX);
    CHECK_EQ(settle(&journal, 2), BLOCK);
    check_mark(&journal, 70 * BLOCK, 0);
    CHECK_EQ(journal_pass(&journal, 100 * BLOCK + 1), 30 * BLOCK + 1);
    check_mark(&journal, 100 * BLOCK + 1, 0);
}

TEST(a_long_piece_in_work_is_no_bit_from_its_start_to_its_end)
{
    struct journal journal;

    begin(&journal, 40 * BLOCK, 0, 0);
    CHECK(take(&journal, 0));
    CHECK(take(&journal, 1));
    CHECK_EQ(settle(&journal, 1), BLOCK);
    journal_take(&journal, 1, 10 * BLOCK);
    CHECK(take(&journal, 2));
    CHECK_EQ(settle(&journal, 2), BLOCK);
    check_mark(&journal, 0, UINT64_C(1) | UINT64_C(1) << 9);
}

TEST(nobody_gets_far_ahead_of_the_lowest_piece_but_what_is_passed_does_not_count)
{
    struct journal journal;
    unsigned n = 0;

    begin(&journal, 1000 * BLOCK, 0, 0);
    CHECK(take(&journal, 0));
    CHECK_EQ(journal_pass(&journal, 500 * BLOCK), 499 * BLOCK);
    for (; journal_is_open(&journal) && n < 1000; n++) {
        CHECK(take(&journal, 1));
        CHECK_EQ(settle(&journal, 1), BLOCK);
    }
    CHECK_EQ(n, JOURNAL_WINDOW);
    CHECK_EQ(settle(&journal, 0), BLOCK);
    CHECK(journal_is_open(&journal));
    CHECK_EQ(journal_low(&journal), 564 * BLOCK);
}

TEST(what_a_mark_says_is_done_is_not_handed_out_and_stays_in_the_mark)
{
    struct journal journal;
    struct journal_piece next;

    begin(&journal, 12 * BLOCK + 7, 2 * BLOCK, 0x85); /* 3, 5, 10 */
    CHECK_EQ(journal_mark_bytes(&journal.flushed, 12 * BLOCK + 7, BLOCK), 5 * BLOCK);
    check_mark(&journal, 2 * BLOCK, 0x85);
    CHECK(journal_next(&journal, &next) && next.start_bytes == 2 * BLOCK);
    CHECK_EQ(next.end_bytes, 3 * BLOCK);
    CHECK(take(&journal, 0));
    CHECK(take(&journal, 1));
    CHECK_EQ(journal.lanes[1].piece.start_bytes, 4 * BLOCK);
    CHECK_EQ(settle(&journal, 0), BLOCK);
    check_mark(&journal, 4 * BLOCK, 0x21);
    CHECK(journal_next(&journal, &next) && next.start_bytes == 6 * BLOCK);
    CHECK_EQ(next.end_bytes, 10 * BLOCK);
    CHECK_EQ(settle(&journal, 1), BLOCK);
    check_mark(&journal, 6 * BLOCK, 8);
    CHECK_EQ(journal_pass(&journal, 10 * BLOCK), 4 * BLOCK);
    CHECK(journal_next(&journal, &next) && next.start_bytes == 11 * BLOCK);
    CHECK_EQ(journal_pass(&journal, next.end_bytes), BLOCK + 7);
    check_mark(&journal, 12 * BLOCK + 7, 0);
}

TEST(the_last_block_may_be_a_bit)
{
    struct journal journal;

    begin(&journal, 3 * BLOCK + 7, BLOCK, 2);
    CHECK_EQ(journal_mark_bytes(&journal.flushed, 3 * BLOCK + 7, BLOCK), BLOCK + 7);
    CHECK(take(&journal, 0));
    CHECK(take(&journal, 1));
    CHECK(!take(&journal, 2));
    CHECK_EQ(settle(&journal, 0) + settle(&journal, 1), 2 * BLOCK);
    check_mark(&journal, 3 * BLOCK + 7, 0);
}

TEST(a_rewind_does_again_what_is_not_flushed_and_counts_nothing_twice)
{
    struct journal journal;
    struct journal_mark mark;

    begin(&journal, 5 * BLOCK, 0, 0);
    CHECK(take(&journal, 0));
    CHECK(take(&journal, 1));
    CHECK(take(&journal, 2));
    CHECK_EQ(settle(&journal, 0), BLOCK);
    CHECK_EQ(settle(&journal, 2), BLOCK);
    mark = journal_settled(&journal);
    CHECK_EQ(settle(&journal, 1), BLOCK);
    CHECK_EQ(journal_pass(&journal, 4 * BLOCK), BLOCK);
    journal_flushed(&journal, &mark);
    journal_rewind(&journal);
    check_mark(&journal, BLOCK, 1);
    CHECK(take(&journal, 0));
    CHECK_EQ(journal.lanes[0].piece.start_bytes, BLOCK);
    CHECK_EQ(settle(&journal, 0), 0);
    check_mark(&journal, 3 * BLOCK, 0);
    CHECK_EQ(journal_pass(&journal, 5 * BLOCK), BLOCK);
    check_mark(&journal, 5 * BLOCK, 0);
}

TEST(what_is_given_back_is_handed_out_again)
{
    struct journal journal;

    begin(&journal, 10 * BLOCK, 0, 4); /* 3 */
    CHECK(take(&journal, 0));
    journal_take(&journal, 1, 3 * BLOCK);
    journal_give_back(&journal, 1);
    check_mark(&journal, 0, 4);
    CHECK(take(&journal, 1));
    CHECK_EQ(journal.lanes[1].piece.start_bytes, BLOCK);
    CHECK_EQ(settle(&journal, 1), BLOCK);
    CHECK_EQ(settle(&journal, 0), BLOCK);
    check_mark(&journal, 2 * BLOCK, 1);
}

TEST(a_mark_that_is_for_other_blocks_is_rounded_down)
{
    struct journal_piece next;
    struct journal journal;

    begin(&journal, 5 * BLOCK, 2 * BLOCK + 17, 3);
    check_mark(&journal, 2 * BLOCK, 0);
    begin(&journal, 5 * BLOCK + 17, 5 * BLOCK + 17, 1);
    CHECK(!journal_next(&journal, &next));
    check_mark(&journal, 5 * BLOCK + 17, 0);
    begin(&journal, 0, 0, 0);
    CHECK(!journal_next(&journal, &next));
    check_mark(&journal, 0, 0);
}

TEST(sizes_up_to_the_largest_do_not_overflow)
{
    struct journal journal;

    begin(&journal, INT64_MAX, 0, 0);
    CHECK_EQ(journal_pass(&journal, INT64_MAX - INT64_MAX % BLOCK), INT64_MAX - INT64_MAX % BLOCK);
    CHECK(take(&journal, 0));
    check_mark(&journal, INT64_MAX - INT64_MAX % BLOCK, 0);
    CHECK_EQ(settle(&journal, 0), INT64_MAX % BLOCK);
    check_mark(&journal, INT64_MAX, 0);
}

/* What the marks say against what was done, block by block. */
TEST(a_mark_never_says_more_than_was_settled_whatever_the_order)
{
    enum { N = 200, LANES = 20 };
    uint64_t random = 5;

    for (unsigned round = 0; round < 300; round++) {
        bool settled[N] = {false};
        struct journal_mark last = {0};
        struct journal journal;

        begin(&journal, N * BLOCK, 0, 0);
        while (journal_low(&journal) < N * BLOCK) {
            unsigned lane = (unsigned)random_below(&random, LANES);
            struct journal_piece *piece = &journal.lanes[lane].piece, was = *piece;
            struct journal_mark mark = journal_settled(&journal);

            CHECK(journal_mark_bytes(&mark, N * BLOCK, BLOCK) >=
                  journal_mark_bytes(&last, N * BLOCK, BLOCK));
            for (uint64_t i = 0; i < N; i++) {
                uint64_t at = i * BLOCK, bit = (at - mark.low_bytes) / BLOCK - 1;
                bool said = at < mark.low_bytes ||
                            (at > mark.low_bytes && bit < 64 && (mark.above >> bit & 1));

                CHECK(!said || settled[i]);
            }
            last = mark;
            if (was.start_bytes == was.end_bytes) {
                if (journal_is_open(&journal))
                    take(&journal, lane);
                continue;
            }
            settled[was.start_bytes / BLOCK] = true;
            settle(&journal, lane);
        }
    }
}

TEST_MAIN
