#include "copy/base/crc.h"

#include "tests/unit/check.h"

TEST(the_vectors_of_rfc_3720_agree)
{
    static const uint8_t read_command[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2,    0, 0, 0, 0, 0, 0, 0,
    };
    uint8_t bytes[32] = {0};

    CHECK_EQ(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    CHECK_EQ(crc32c(0, bytes, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    CHECK_EQ(crc32c(0, bytes, 32), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    CHECK_EQ(crc32c(0, bytes, 32), 0x113fdb5c);
    CHECK_EQ(crc32c(0, read_command, sizeof(read_command)), 0xd9963a56);
    CHECK_EQ(crc32c(0, "123456789", 9), 0xe3069283);
}

TEST(pieces_sum_up_to_the_whole)
{
    const char *text = "123456789";

    for (size_t cut = 0; cut <= 9; cut++)
        CHECK_EQ(crc32c(crc32c(0, text, cut), text + cut, 9 - cut), 0xe3069283);
    CHECK_EQ(crc32c(0, NULL, 0), 0);
}

/* At every length and start: what is taken in words, and what is left of them. */
TEST(the_processor_and_the_table_agree)
{
    uint8_t bytes[80];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 151 + 7);
    for (size_t from = 0; from < 8; from++)
        for (size_t n = 0; from + n <= sizeof(bytes); n++)
            CHECK_EQ(crc32c_portable(0x12345678, bytes + from, n),
                     crc32c(0x12345678, bytes + from, n));
    CHECK_EQ(crc32c_portable(0, "123456789", 9), 0xe3069283);
}

TEST(every_single_flipped_bit_is_noticed)
{
    uint8_t bytes[64];
    uint32_t whole;

    for (uint8_t i = 0; i < 64; i++)
        bytes[i] = (uint8_t)(i * 37);
    whole = crc32c(0, bytes, 64);
    for (unsigned bit = 0; bit < 64 * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        CHECK(crc32c(0, bytes, 64) != whole);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

TEST_MAIN
