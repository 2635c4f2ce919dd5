#include "copy/zero.h"

#include "copy/endpoint/endpoint.h"
#include "tests/unit/check.h"

#define GRAIN ENDPOINT_GRAIN_BYTES

TEST(zeroes_of_every_length_are_zero_and_one_other_byte_anywhere_is_not)
{
    static unsigned char bytes[300];

    for (size_t n = 0; n < sizeof(bytes); n++) {
        CHECK(zero_is(bytes, n));
        for (size_t i = 0; i < n; i++) {
            bytes[i] = 0x80;
            CHECK(!zero_is(bytes, n));
            bytes[i] = 0;
        }
    }
}

TEST(a_byte_behind_the_end_does_not_count)
{
    static unsigned char bytes[3 * GRAIN];

    for (size_t n = 1; n < sizeof(bytes); n += 37) {
        bytes[n] = 1;
        CHECK(zero_is(bytes, n));
        CHECK(!zero_is(bytes, n + 1));
        bytes[n] = 0;
    }
}

TEST(a_run_ends_where_the_kind_of_grain_changes)
{
    static unsigned char bytes[8 * GRAIN];
    bool zero;

    bytes[3 * GRAIN] = 1;
    bytes[5 * GRAIN - 1] = 1;
    CHECK_EQ(zero_run(bytes, sizeof(bytes), &zero), 3 * GRAIN);
    CHECK(zero);
    CHECK_EQ(zero_run(bytes + 3 * GRAIN, 5 * GRAIN, &zero), 2 * GRAIN);
    CHECK(!zero);
    CHECK_EQ(zero_run(bytes + 5 * GRAIN, 3 * GRAIN, &zero), 3 * GRAIN);
    CHECK(zero);
}

TEST(the_last_grain_may_be_cut_short)
{
    static unsigned char bytes[2 * GRAIN];
    bool zero;

    bytes[GRAIN] = 1;
    CHECK_EQ(zero_run(bytes, GRAIN + 1, &zero), GRAIN);
    CHECK(zero);
    CHECK_EQ(zero_run(bytes + GRAIN, 1, &zero), 1);
    CHECK(!zero);
    CHECK_EQ(zero_run(bytes, 100, &zero), 100);
    CHECK(zero);
}

TEST_MAIN
