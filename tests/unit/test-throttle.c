#include "copy/throttle.h"

#include "tests/unit/check.h"

#define MIB UINT64_C(1048576)
#define NS  UINT64_C(1000000000)

/* How much goes through from now on in so many ns, in transfers of n bytes that begin at once when
 * they may. */
static uint64_t passed(struct throttle *throttle, uint64_t rate, uint64_t *now_ns, uint64_t span_ns,
                       uint64_t n)
{
    uint64_t end_ns = *now_ns + span_ns, total = 0;

    for (;;) {
        uint64_t at_ns = throttle_next_ns(throttle, rate, *now_ns);

        if (at_ns >= end_ns)
            break;
        if (at_ns > *now_ns)
            *now_ns = at_ns;
        else {
            throttle_spend(throttle, n);
            total += n;
        }
    }
    *now_ns = end_ns;
    return total;
}

TEST(no_limit_is_no_limit)
{
    struct throttle throttle = {0};

    for (unsigned i = 0; i < 1000; i++) {
        CHECK(throttle_next_ns(&throttle, THROTTLE_NONE, i) <= i);
        throttle_spend(&throttle, UINT64_MAX);
    }
}

TEST(over_a_while_the_rate_is_kept_whatever_the_size_of_the_transfers)
{
    static const uint64_t sizes[] = {1000, 4096, MIB, 16 * MIB};

    for (unsigned i = 0; i < 4; i++) {
        struct throttle throttle = {0};
        uint64_t now_ns = 123, rate = 10 * MIB;
        uint64_t total = passed(&throttle, rate, &now_ns, 100 * NS, sizes[i]);

        CHECK(total <= 100 * rate + sizes[i]);
        CHECK(total >= 100 * rate - rate / 10 - sizes[i]);
    }
}

TEST(a_large_transfer_is_let_through_whole_and_paid_for_afterwards)
{
    struct throttle throttle = {0};

    CHECK(throttle_next_ns(&throttle, MIB, NS) <= NS);
    throttle_spend(&throttle, 5 * MIB);
    CHECK_EQ(throttle_next_ns(&throttle, MIB, NS), 6 * NS);
    CHECK_EQ(throttle_next_ns(&throttle, MIB, 4 * NS), 6 * NS);
    CHECK(throttle_next_ns(&throttle, MIB, 6 * NS) <= 6 * NS);
}

TEST(a_change_is_followed_at_once_even_in_debt)
{
    struct throttle throttle = {0};

    throttle_next_ns(&throttle, MIB, NS);
    throttle_spend(&throttle, 100 * MIB);
    CHECK_EQ(throttle_next_ns(&throttle, MIB, NS), 101 * NS);
    CHECK_EQ(throttle_next_ns(&throttle, 100 * MIB, NS), 2 * NS);
    CHECK_EQ(throttle_next_ns(&throttle, THROTTLE_NONE, NS), NS);
    CHECK(throttle_next_ns(&throttle, MIB, NS) <= NS); /* what was free is not charged */
}

TEST(unused_time_is_kept_for_a_tenth_of_a_second)
{
    struct throttle throttle = {0};
    uint64_t now_ns = NS;

    throttle_next_ns(&throttle, 10 * MIB, now_ns);
    now_ns += 3600 * NS;
    CHECK(passed(&throttle, 10 * MIB, &now_ns, NS / 1000, 4096) <=
          MIB + 10 * MIB / 1000 + 2 * 4096);
    throttle_next_ns(&throttle, 10 * MIB, now_ns += NS);
    CHECK(passed(&throttle, MIB, &now_ns, NS / 1000, 4096) <= MIB / 10 + 4 * 4096 + MIB);
}

TEST(a_byte_per_second_is_paid_even_if_one_looks_every_microsecond)
{
    struct throttle throttle = {0};
    uint64_t now_ns = NS;

    throttle_next_ns(&throttle, 1, now_ns);
    throttle_spend(&throttle, 2);
    while (throttle_next_ns(&throttle, 1, now_ns) > now_ns && now_ns < 10 * NS)
        now_ns += 1000;
    CHECK(now_ns >= 3 * NS - 1000 && now_ns <= 3 * NS + 1000);
}

TEST(the_largest_numbers_do_not_overflow)
{
    struct throttle throttle = {0};

    throttle_next_ns(&throttle, 1, 1);
    throttle_spend(&throttle, UINT64_MAX);
    throttle_spend(&throttle, UINT64_MAX);
    CHECK(throttle_next_ns(&throttle, 1, 2) > INT64_MAX);
    CHECK(throttle_next_ns(&throttle, UINT64_MAX - 1, 3) > 3);
    CHECK(throttle_next_ns(&throttle, UINT64_MAX - 1, NS) <= NS);
    CHECK(throttle_next_ns(&throttle, UINT64_MAX - 1, UINT64_MAX / 2) <= UINT64_MAX / 2);
}

TEST_MAIN
