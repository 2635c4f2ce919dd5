#include <errno.h>
#include <sys/resource.h>

#include "copy/base/cleanup.h"
#include "copy/base/err.h"
#include "copy/base/text.h"
#include "tests/unit/check.h"

#define UNTOUCHED 77

struct number {
    const char *text;
    int r;
    uint64_t value;
};

TEST(a_number_is_digits_and_nothing_else)
{
    static const struct number cases[] = {
        {"0", 0, 0},
        {"007", 0, 7},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -ERANGE, UNTOUCHED},
        {"99999999999999999999999999", -ERANGE, UNTOUCHED},
        {"99999999999999999999999999x", -EINVAL, UNTOUCHED},
        {"", -EINVAL, UNTOUCHED},
        {"-1", -EINVAL, UNTOUCHED},
        {"+1", -EINVAL, UNTOUCHED},
        {" 1", -EINVAL, UNTOUCHED},
        {"1 ", -EINVAL, UNTOUCHED},
        {"0x10", -EINVAL, UNTOUCHED},
        {"1K", -EINVAL, UNTOUCHED},
        {"1.5", -EINVAL, UNTOUCHED},
        {"\xd9\xa1", -EINVAL, UNTOUCHED},
    };

    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        uint64_t value = UNTOUCHED;

        CHECK_EQ(text_parse_u64(cases[i].text, &value), cases[i].r);
        CHECK(value == cases[i].value);
    }
}

TEST(a_size_may_end_in_one_unit)
{
    static const struct number cases[] = {
        {"512", 0, 512},
        {"1K", 0, 1024},
        {"3M", 0, UINT64_C(3) << 20},
        {"4G", 0, UINT64_C(4) << 30},
        {"5T", 0, UINT64_C(5) << 40},
        {"0T", 0, 0},
        {"16777215T", 0, UINT64_C(16777215) << 40},
        {"16777216T", -ERANGE, UNTOUCHED},
        {"18446744073709551616", -ERANGE, UNTOUCHED},
        {"18446744073709551616K", -ERANGE, UNTOUCHED},
        {"K", -EINVAL, UNTOUCHED},
        {"", -EINVAL, UNTOUCHED},
        {"1k", -EINVAL, UNTOUCHED},
        {"1KB", -EINVAL, UNTOUCHED},
        {"1KK", -EINVAL, UNTOUCHED},
        {"1 K", -EINVAL, UNTOUCHED},
        {"1P", -EINVAL, UNTOUCHED},
        {"-1K", -EINVAL, UNTOUCHED},
    };

    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        uint64_t value = UNTOUCHED;

        CHECK_EQ(text_parse_size(cases[i].text, &value), cases[i].r);
        CHECK(value == cases[i].value);
    }
}

TEST(a_boolean_is_0_or_1)
{
    static const char *const wrong[] = {"", "2", "00", "01", "yes", "true", " 1", "1 "};
    bool value = false;

    CHECK_EQ(text_parse_bool("1", &value), 0);
    CHECK(value);
    for (size_t i = 0; i < ARRAY_N(wrong); i++)
        CHECK_EQ(text_parse_bool(wrong[i], &value), -EINVAL);
    CHECK(value);
    CHECK_EQ(text_parse_bool("0", &value), 0);
    CHECK(!value);
}

static const char *command(const char *bytes, size_t n)
{
    static char out[TEXT_COMMAND_MAX + 1];

    return text_command(bytes, n, out) == 0 ? out : "(refused)";
}

#define COMMAND(literal) command(literal, sizeof(literal) - 1)

TEST(a_command_loses_its_blanks_and_one_final_newline)
{
    CHECK_STR(COMMAND("hdd"), "hdd");
    CHECK_STR(COMMAND("hdd\n"), "hdd");
    CHECK_STR(COMMAND(" \t hdd \t\n"), "hdd");
    CHECK_STR(COMMAND("a  b"), "a  b");
    CHECK_STR(COMMAND("a\rb\r\n"), "a\rb\r");
}

TEST(a_command_that_is_none_is_refused)
{
    CHECK_STR(COMMAND(""), "(refused)");
    CHECK_STR(COMMAND("\n"), "(refused)");
    CHECK_STR(COMMAND(" \t \n"), "(refused)");
    CHECK_STR(COMMAND("hdd\n\n"), "(refused)");
    CHECK_STR(COMMAND("\nhdd"), "(refused)");
    CHECK_STR(COMMAND("hdd\n "), "(refused)");
    CHECK_STR(COMMAND("a\nb\n"), "(refused)");
    CHECK_STR(COMMAND("hdd\0"), "(refused)");
    CHECK_STR(COMMAND("\0hdd"), "(refused)");
}

TEST(a_command_is_measured_as_written)
{
    char bytes[TEXT_COMMAND_MAX + 1];

    memset(bytes, 'x', sizeof(bytes));
    CHECK_EQ(strlen(command(bytes, TEXT_COMMAND_MAX)), TEXT_COMMAND_MAX);
    CHECK_STR(command(bytes, TEXT_COMMAND_MAX + 1), "(refused)");
    bytes[TEXT_COMMAND_MAX] = '\n';
    CHECK_STR(command(bytes, TEXT_COMMAND_MAX + 1), "(refused)");
    memset(bytes, ' ', sizeof(bytes));
    bytes[0] = 'y';
    CHECK_STR(command(bytes, TEXT_COMMAND_MAX + 1), "(refused)");
}

TEST(names_are_of_the_allowed_letters_and_lengths)
{
    static const char *const wrong[] = {"",   ".",    "..",  ".a",  "-a",    "a/b",     "a b",
                                        "a@", "a\nb", "\\a", "a:b", "a\x1b", "\xc3\xa4"};
    char name[TEXT_NAME_BYTES + 1] = {0};

    for (size_t i = 0; i < ARRAY_N(wrong); i++)
        CHECK(!text_is_volume_name(wrong[i]) && !text_is_host_name(wrong[i]));
    CHECK(text_is_volume_name("_") && text_is_volume_name("0") &&
          text_is_volume_name("Db-1.img_x"));
    memset(name, 'v', TEXT_NAME_BYTES);
    CHECK(!text_is_volume_name(name));
    name[TEXT_NAME_BYTES - 1] = '\0';
    CHECK(text_is_volume_name(name));
    CHECK(!text_is_host_name(name));
    name[TEXT_HOST_BYTES] = '\0';
    CHECK(!text_is_host_name(name));
    name[TEXT_HOST_BYTES - 1] = '\0';
    CHECK(text_is_host_name(name));
}

static const char *escaped(const char *in, size_t n, size_t cap)
{
    static char out[256];
    size_t length;

    memset(out, '#', sizeof(out));
    length = text_escape(in, n, out, cap);
    CHECK_EQ(length, strlen(out));
    CHECK(length < cap && out[cap] == '#');
    return out;
}

#define ESCAPED(literal) escaped(literal, sizeof(literal) - 1, 200)

TEST(what_is_harmless_stays_as_it_is)
{
    CHECK_STR(ESCAPED(""), "");
    CHECK_STR(ESCAPED("plain [text] ~!"), "plain [text] ~!");
    CHECK_STR(ESCAPED("\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2"),
              "\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2");
    CHECK_STR(ESCAPED("\xc2\xa0\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"),
              "\xc2\xa0\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf");
}

TEST(control_characters_and_invalid_utf8_are_escaped)
{
    CHECK_STR(ESCAPED("a\nb\0c"), "a\\x0ab\\x00c");
    CHECK_STR(ESCAPED("\x1b[31m\x7f\\"), "\\x1b[31m\\x7f\\x5c");
    CHECK_STR(ESCAPED("\xc2\x9b"), "\\xc2\\x9b");          /* CSI */
    CHECK_STR(ESCAPED("\x80\xbf"), "\\x80\\xbf");          /* no first byte */
    CHECK_STR(ESCAPED("\xc0\xaf"), "\\xc0\\xaf");          /* overlong / */
    CHECK_STR(ESCAPED("\xe0\x80\xaf"), "\\xe0\\x80\\xaf"); /* overlong / */
    CHECK_STR(ESCAPED("\xed\xa0\x80"), "\\xed\\xa0\\x80"); /* surrogate */
    CHECK_STR(ESCAPED("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
    CHECK_STR(ESCAPED("\xff\xfe"), "\\xff\\xfe");
    CHECK_STR(ESCAPED("\xe2\x82"), "\\xe2\\x82"); /* cut off */
    CHECK_STR(ESCAPED("\xe2\x82z"), "\\xe2\\x82z");
}

static const char *json(const char *s)
{
    static char out[200];
    OWNED(text) struct text t = {0};

    text_add_json(&t, s);
    REQUIRE(!t.failed && t.n == strlen(t.bytes));
    snprintf(out, sizeof(out), "%s", t.bytes);
    return out;
}

TEST(any_bytes_become_a_json_string)
{
    CHECK_STR(json(""), "\"\"");
    CHECK_STR(json("db1: 42 %"), "\"db1: 42 %\"");
    CHECK_STR(json("a\"b\\c"), "\"a\\\"b\\\\c\"");
    CHECK_STR(json("\x1b[2J\n\x7f"), "\"\\\\x1b[2J\\\\x0a\\\\x7f\"");
    CHECK_STR(json("caf\xc3\xa9 \xf0\x9f\x9a\xa2"), "\"caf\xc3\xa9 \xf0\x9f\x9a\xa2\"");
    CHECK_STR(json("\xc3(\xed\xa0\x80\xff"), "\"\\\\xc3(\\\\xed\\\\xa0\\\\x80\\\\xff\"");
    CHECK_STR(json("\xc2\x85\xe2\x82"), "\"\\\\xc2\\\\x85\\\\xe2\\\\x82\"");
}

TEST(an_escape_is_never_cut_in_half)
{
    CHECK_STR(escaped("abc", 3, 1), "");
    CHECK_STR(escaped("abc", 3, 3), "ab");
    CHECK_STR(escaped("a\n", 2, 5), "a");
    CHECK_STR(escaped("a\n", 2, 6), "a\\x0a");
    CHECK_STR(escaped("a\xe2\x82\xac", 4, 4), "a");
    CHECK_STR(escaped("a\xe2\x82\xac", 4, 5), "a\xe2\x82\xac");
}

TEST(a_time_is_iso_8601)
{
    char out[TEXT_TIME_BYTES];

    text_time(0, out);
    CHECK_STR(out, "1970-01-01T00:00:00Z");
    text_time(1795331820, out);
    CHECK_STR(out, "2026-11-22T07:17:00Z");
    text_time(-1, out);
    CHECK_STR(out, "1970-01-01T00:00:00Z");
    text_time((time_t)INT64_MAX, out);
    CHECK_STR(out, "9999-12-31T23:59:59Z");
}

TEST(a_text_grows)
{
    OWNED(text) struct text t = {0};

    CHECK(!t.bytes);
    text_add(&t, "%s", "");
    CHECK_STR(t.bytes, "");
    for (int i = 0; i < 1000; i++)
        text_add(&t, "%04d ", i);
    CHECK_EQ(t.n, 5000);
    CHECK_EQ(strlen(t.bytes), 5000);
    CHECK_STR(t.bytes + 4990, "0998 0999 ");
    text_add_escaped(&t, "a\nb");
    CHECK_STR(t.bytes + 5000, "a\\x0ab");
    CHECK_EQ(t.n, 5006);
    text_add_escaped(&t, "");
    CHECK(!t.failed && t.n == 5006 && t.bytes[5006] == '\0');
}

#ifndef FERRYFS_SANITIZED /* whose own memory an address space limit would hit */
TEST(a_text_that_found_no_memory_stays_as_it_was)
{
    OWNED(text) struct text t = {0};
    struct rlimit before, tight;

    text_add(&t, "kept");
    REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
    tight = before;
    tight.rlim_cur = 64u << 20;
    REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0);
    text_add(&t, "%*d", 200 << 20, 1);
    REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
    CHECK(t.failed);
    text_add(&t, "no hole in the middle");
    text_add_escaped(&t, "here neither");
    CHECK(t.failed);
    CHECK_STR(t.bytes, "kept");
    CHECK_EQ(t.n, 4);
}
#endif

TEST(an_error_is_noted_and_returned)
{
    struct err e = {0};

    CHECK_EQ(err_set(&e, ENOSPC, "%s has %d bytes free", "hdd", 5), -ENOSPC);
    CHECK_EQ(e.code, ENOSPC);
    CHECK_STR(e.text, "hdd has 5 bytes free");
    CHECK_EQ(err_set(NULL, EIO, "nobody listens"), -EIO);
    CHECK_EQ(err_set(&e, EIO, "%0400d", 1), -EIO);
    CHECK_EQ(strlen(e.text), ERR_TEXT_BYTES - 1);
}

TEST(an_errno_has_a_name_and_back)
{
    CHECK_STR(err_name(ENOSPC), "ENOSPC");
    CHECK_STR(err_name(0), "E?");
    CHECK_STR(err_name(-1), "E?");
    CHECK_STR(err_name(100000), "E?");
    CHECK_EQ(err_number("ENOSPC"), ENOSPC);
    CHECK_EQ(err_number("EHWPOISON"), EHWPOISON);
    CHECK_EQ(err_number("EPERM"), EPERM);
    CHECK_EQ(err_number("E?"), 0);
    CHECK_EQ(err_number("0"), 0);
    CHECK_EQ(err_number(""), 0);
}

TEST_MAIN
