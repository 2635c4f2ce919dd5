#include "fs/migrate/option.h"

#include <errno.h>

#include "check.h"

TEST(a_word_is_one_of_the_rows_words)
{
    uint64_t value = 7;

    CHECK_EQ(option_parse(&volume_options[VOLUME_OPTION_VERIFY], "off", &value), 0);
    CHECK_EQ(value, VERIFY_OFF);
    CHECK_EQ(option_parse(&volume_options[VOLUME_OPTION_VERIFY], "full", &value), 0);
    CHECK_EQ(value, VERIFY_FULL);
    CHECK_EQ(option_parse(&volume_options[VOLUME_OPTION_VERIFY], "ful", &value), -EINVAL);
    CHECK_EQ(value, VERIFY_FULL);
}

TEST(a_count_keeps_to_its_range)
{
    uint64_t value = 7;

    CHECK_EQ(option_parse(&max_jobs_option, "0", &value), -EINVAL);
    CHECK_EQ(option_parse(&max_jobs_option, "1001", &value), -EINVAL);
    CHECK_EQ(option_parse(&max_jobs_option, "-1", &value), -EINVAL);
    CHECK_EQ(option_parse(&max_jobs_option, "1 ", &value), -EINVAL);
    CHECK_EQ(value, 7);
    CHECK_EQ(option_parse(&max_jobs_option, "1000", &value), 0);
    CHECK_EQ(value, 1000);
    CHECK_EQ(option_parse(&max_queue_option, "0", &value), 0);
    CHECK_EQ(value, 0);
}

TEST(a_boolean_is_0_or_1)
{
    uint64_t value = 7;

    CHECK_EQ(option_parse(&drain_option, "1", &value), 0);
    CHECK_EQ(value, 1);
    CHECK_EQ(option_parse(&drain_option, "yes", &value), -EINVAL);
    CHECK_EQ(option_parse(&drain_option, "2", &value), -EINVAL);
}

TEST(a_speed_is_a_size_above_0_or_max)
{
    const struct option_row *row = &volume_options[VOLUME_OPTION_SPEED];
    const char *const bad[] = {"0", "0K", "-1", "fast", "1.5M", "1MB", "18446744073709551616"};
    uint64_t value = 7;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_EQ(option_parse(row, bad[i], &value), -EINVAL);
    CHECK_EQ(value, 7);
    CHECK_EQ(option_parse(row, "1", &value), 0);
    CHECK_EQ(value, 1);
    CHECK_EQ(option_parse(&speed_option, "20M", &value), 0);
    CHECK_EQ(value, 20 << 20);
    CHECK_EQ(option_parse(row, "max", &value), 0);
    CHECK_EQ(value, SPEED_MAX);
}

TEST(what_is_shown_is_what_may_be_written)
{
    static const struct option_row *const rows[] = {
        &volume_options[VOLUME_OPTION_VERIFY],
        &volume_options[VOLUME_OPTION_SPEED],
        &volume_options[VOLUME_OPTION_PAUSE],
        &max_jobs_option,
        &max_queue_option,
        &drain_option,
        &speed_option,
        &pause_option,
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct text text = {0};
        uint64_t value = 99;

        option_show(rows[i], rows[i]->preset, &text);
        CHECK_EQ(option_parse(rows[i], text.bytes, &value), 0);
        CHECK_EQ(value, rows[i]->preset);
        text_deinit(&text);
    }
}

TEST_MAIN
