#include "copy/digest.h"

#include <string.h>

#include "tests/unit/check.h"

#define BLOCK (UINT64_C(64) << 10)
#define HUGE  ((uint64_t)INT64_MAX)

static struct digest some_digest(unsigned n)
{
    struct digest digest;

    digest_of(&n, sizeof(n), &digest);
    return digest;
}

static struct digests *digests_for(uint64_t size_bytes)
{
    struct digests *digests = NULL;

    REQUIRE(digests_open(size_bytes, BLOCK, &digests) == 0);
    return digests;
}

static void set_some(struct digests *digests, uint64_t first, uint64_t step, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct digest digest = some_digest(i);

        CHECK_EQ(digests_set(digests, (first + i * step) * BLOCK, &digest), 0);
    }
}

static bool same_total(struct digests *a, struct digests *b)
{
    struct digest of_a, of_b;

    digests_total(a, &of_a);
    digests_total(b, &of_b);
    return digest_same(&of_a, &of_b);
}

TEST(the_largest_volume_costs_what_is_in_it)
{
    struct digests *digests = digests_for(HUGE);
    struct digest digest = some_digest(1), found;
    uint64_t last = HUGE - HUGE % BLOCK;

    CHECK_EQ(digests_set(digests, last, &digest), 0);
    digests_set_zero(digests, 0, last);
    CHECK_EQ(digests_next_data(digests, 0, HUGE), last);
    digests_get(digests, last, &found);
    CHECK(digest_same(&digest, &found));
    digests_total(digests, &digest);
    digests_close(digests);
}

TEST(the_order_in_which_blocks_come_does_not_matter)
{
    struct digests *up = digests_for(HUGE), *down = digests_for(HUGE), *more = digests_for(HUGE);

    set_some(up, 7, 100000, 50);
    set_some(more, 7, 100000, 50);
    set_some(more, 8, 1, 1);
    for (unsigned i = 50; i-- > 0;) {
        struct digest digest = some_digest(i);

        CHECK_EQ(digests_set(down, (7 + i * UINT64_C(100000)) * BLOCK, &digest), 0);
    }
    CHECK(same_total(up, down));
    CHECK(!same_total(up, more));
    digests_close(up);
    digests_close(down);
    digests_close(more);
}

TEST(the_place_of_a_block_and_the_size_count)
{
    struct digests *here = digests_for(100 * BLOCK), *there = digests_for(100 * BLOCK);
    struct digests *larger = digests_for(100 * BLOCK + 1);

    set_some(here, 3, 1, 1);
    set_some(there, 4, 1, 1);
    set_some(larger, 3, 1, 1);
    CHECK(!same_total(here, there));
    CHECK(!same_total(here, larger));
    digests_close(here);
    digests_close(there);
    digests_close(larger);
}

TEST(what_is_verified_counts_and_is_forgotten)
{
    struct digests *kept = digests_for(HUGE), *forgotten = digests_for(HUGE);

    set_some(kept, 0, 5000, 2000);
    CHECK(digests_are_many(kept));
    for (unsigned i = 0; i < 2000; i++) {
        struct digest digest = some_digest(i);

        CHECK_EQ(digests_set(forgotten, i * 5000 * BLOCK, &digest), 0);
        digests_set_verified(forgotten, (i * 5000 + 1) * BLOCK);
        CHECK(!digests_are_many(forgotten));
    }
    CHECK_EQ(digests_verified_bytes(forgotten), (1999 * 5000 + 1) * BLOCK);
    CHECK(same_total(kept, forgotten));
    CHECK(same_total(kept, forgotten)); /* however often */
    digests_close(kept);
    digests_close(forgotten);
}

TEST(a_copy_that_goes_back_has_room_again)
{
    struct digests *digests = digests_for(HUGE), *plain = digests_for(HUGE);
    struct digest digest = some_digest(70), found;

    set_some(digests, 0, 1, 71);
    set_some(digests, 5000, 5000, 2000);
    digests_forget_from(digests, 71 * BLOCK);
    CHECK(!digests_are_many(digests));
    digests_get(digests, 70 * BLOCK, &found);
    CHECK(digest_same(&digest, &found));
    set_some(plain, 0, 1, 71);
    CHECK(same_total(digests, plain));
    digests_close(digests);
    digests_close(plain);
}

TEST(zeroes_at_the_end_are_zeroes_when_the_size_is_learnt_last)
{
    static const char zeroes[BLOCK];
    struct digests *known = digests_for(5 * BLOCK + 77), *learnt = digests_for(HUGE);
    struct digest digest;

    set_some(known, 0, 1, 3);
    set_some(learnt, 0, 1, 3);
    digest_of(zeroes, BLOCK, &digest);
    CHECK_EQ(digests_set(learnt, 3 * BLOCK, &digest), 0);
    CHECK_EQ(digests_set(learnt, 4 * BLOCK, &digest), 0);
    digest_of(zeroes, 77, &digest);
    CHECK_EQ(digests_set(learnt, 5 * BLOCK, &digest), 0);
    CHECK_EQ(digests_set_size(learnt, 5 * BLOCK + 77), 0);
    CHECK(digests_fit(learnt, 5 * BLOCK + 77, BLOCK));
    CHECK_EQ(digests_next_data(learnt, 3 * BLOCK, 5 * BLOCK + 77), 5 * BLOCK + 77);
    CHECK(same_total(known, learnt));
    digests_close(known);
    digests_close(learnt);
}

TEST_MAIN
