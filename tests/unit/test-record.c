#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "copy/base/cleanup.h"
#include "copy/base/crc.h"
#include "fs/catalog/record.h"
#include "tests/unit/check.h"

/* One of every kind, with every member set, behind one pair of functions. */
union any {
    struct header header;
    struct volume volume;
    struct copy copy;
    struct job job;
    struct numbered_history history;
    struct pool pool;
    struct evacuation evacuation;
};

static const struct job_stat stat_example = {
    .queued_at_s = 1,
    .started_at_s = 2,
    .ended_at_s = 3,
    .total_bytes = UINT64_MAX,
    .done_bytes = 5,
    .copied_bytes = 6,
    .zero_bytes = 7,
    .hole_bytes = 8,
    .skipped_bytes = 9,
    .verified_bytes = 10,
    .checkpoint_bytes = UINT64_C(1) << 63,
    .pass = 12,
    .resumes = 13,
    .claim_weak = 1,
};

static size_t make_header(union any *any, uint8_t *bytes)
{
    any->header = (struct header){7, 8, 9, 10, UINT64_MAX, UINT64_C(0x0123456789abcdef)};
    return record_encode_header(&any->header, bytes);
}

static size_t make_volume(union any *any, uint8_t *bytes)
{
    struct volume *volume = &any->volume;

    memset(volume->uuid, 0xa1, sizeof(volume->uuid));
    volume->number = 42;
    strcpy(volume->name, "db1.img");
    strcpy(volume->host, "ssd");
    memset(volume->primary, 0xb2, sizeof(volume->primary));
    volume->epoch = 3;
    volume->status = VOLUME_MIGRATING;
    volume->previous_status = VOLUME_IN_USE;
    volume->last_result = RESULT_ABORTED;
    volume->last_job = 17;
    volume->last_stat = stat_example;
    volume->last_errno = ENOSPC;
    strcpy(volume->last_phase, "copying");
    volume->last_offset = UINT64_MAX;
    strcpy(volume->last_error, "the disk is full\n\x1b[31m");
    return record_encode_volume(volume, bytes);
}

static size_t make_copy(union any *any, uint8_t *bytes)
{
    struct copy *copy = &any->copy;

    memset(copy->cid, 0xc3, sizeof(copy->cid));
    memset(copy->volume, 0xa1, sizeof(copy->volume));
    strcpy(copy->name, "db1.img");
    strcpy(copy->host, "hdd");
    copy->role = COPY_DELETE_PENDING;
    copy->state = COPY_SEALED;
    copy->identity = (struct io_identity){123, 456};
    copy->size_bytes = UINT64_C(1) << 40;
    copy->mtime_ns = 99;
    copy->epoch = 3;
    copy->since_s = 1700000000;
    memset(copy->digest, 0xdd, sizeof(copy->digest));
    copy->expires_s = 1800000000;
    copy->volume_mtime_ns = 98;
    copy->hidden = true;
    return record_encode_copy(copy, bytes);
}

static size_t make_job(union any *any, uint8_t *bytes)
{
    struct job *job = &any->job;

    job->number = UINT64_C(0xfedcba9876543210);
    memset(job->volume, 0xa1, sizeof(job->volume));
    strcpy(job->source, "ssd");
    memset(job->destination, 'h', sizeof(job->destination) - 1);
    memset(job->source_cid, 0xb2, sizeof(job->source_cid));
    memset(job->destination_cid, 0xc3, sizeof(job->destination_cid));
    strcpy(job->phase, "rolling-back");
    job->abort = true;
    job->verify = true;
    job->uid = UINT32_MAX;
    job->error = -5;
    strcpy(job->error_phase, "copying");
    job->error_offset = 4096;
    strcpy(job->error_text, "read error");
    job->stat = stat_example;
    job->keep_s = 86400;
    job->restore = true;
    return record_encode_job(job, bytes);
}

static size_t make_history(union any *any, uint8_t *bytes)
{
    struct history *history = &any->history.history;

    any->history.sequence = 1001;
    history->job = 17;
    memset(history->volume, 0xa1, sizeof(history->volume));
    memset(history->name, 'n', sizeof(history->name) - 1);
    strcpy(history->source, "ssd");
    strcpy(history->destination, "hdd");
    history->result = RESULT_ERROR;
    history->error = EIO;
    history->started_at_s = 1;
    history->ended_at_s = 2;
    history->bytes = 3;
    history->uid = 1000;
    return record_encode_history(&any->history, bytes);
}

static size_t make_pool(union any *any, uint8_t *bytes)
{
    strcpy(any->pool.host, "ssd");
    memset(any->pool.uuid, 0xee, sizeof(any->pool.uuid));
    return record_encode_pool(&any->pool, bytes);
}

static size_t make_evacuation(union any *any, uint8_t *bytes)
{
    struct evacuation *evacuation = &any->evacuation;

    strcpy(evacuation->host, "ssd");
    strcpy(evacuation->target, "auto");
    evacuation->uid = 1000;
    evacuation->first_job = 17;
    evacuation->total = 100;
    evacuation->done = 50;
    evacuation->failed = 2;
    evacuation->over = true;
    return record_encode_evacuation(evacuation, bytes);
}

#define KIND(kind_, name_, type_)                                                                  \
    static int decode_##name_(const void *bytes, size_t n, union any *ret)                         \
    {                                                                                              \
        return record_decode_##name_(bytes, n, &ret->name_);                                       \
    }                                                                                              \
    static size_t encode_##name_(const union any *any, uint8_t *bytes)                             \
    {                                                                                              \
        return record_encode_##name_(&any->name_, bytes);                                          \
    }
KIND(RECORD_HEADER, header, header)
KIND(RECORD_VOLUME, volume, volume)
KIND(RECORD_COPY, copy, copy)
KIND(RECORD_JOB, job, job)
KIND(RECORD_HISTORY, history, numbered_history)
KIND(RECORD_POOL, pool, pool)
KIND(RECORD_EVACUATION, evacuation, evacuation)

static const struct kind_row {
    enum record_kind kind;
    size_t (*make)(union any *any, uint8_t *bytes);
    int (*decode)(const void *bytes, size_t n, union any *ret);
    size_t (*encode)(const union any *any, uint8_t *bytes);
} kinds[] = {
    {RECORD_HEADER, make_header, decode_header, encode_header},
    {RECORD_VOLUME, make_volume, decode_volume, encode_volume},
    {RECORD_COPY, make_copy, decode_copy, encode_copy},
    {RECORD_JOB, make_job, decode_job, encode_job},
    {RECORD_HISTORY, make_history, decode_history, encode_history},
    {RECORD_POOL, make_pool, decode_pool, encode_pool},
    {RECORD_EVACUATION, make_evacuation, decode_evacuation, encode_evacuation},
};

static size_t make(const struct kind_row *row, union any *any, uint8_t bytes[RECORD_MAX_BYTES])
{
    memset(any, 0, sizeof(*any));
    return row->make(any, bytes);
}

/* With its checksum made right again, in memory of exactly its size, so that a sanitizer sees a
 * step beyond. */
static int decode_as(const struct kind_row *row, const uint8_t *bytes, size_t n, bool seal)
{
    OWNED(mem) uint8_t *exact = malloc(n > 0 ? n : 1);
    enum record_kind kind;
    struct record_key key;
    union any any;
    int r;

    REQUIRE(exact);
    memcpy(exact, bytes, n);
    if (seal && n >= 4) {
        uint32_t crc = crc32c(0, exact, n - 4);

        for (size_t i = 0; i < 4; i++)
            exact[n - 4 + i] = (uint8_t)(crc >> (8 * i));
    }
    r = row->decode(exact, n, &any);
    CHECK_EQ(record_identify(exact, n, &kind, &key) < 0, r < 0);
    return r;
}

TEST(every_kind_comes_back_as_it_went)
{
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        uint8_t bytes[RECORD_MAX_BYTES], again[RECORD_MAX_BYTES];
        union any any, back;
        size_t n = make(&kinds[i], &any, bytes);

        memset(&back, 0, sizeof(back));
        CHECK_EQ(kinds[i].decode(bytes, n, &back), 0);
        CHECK(memcmp(&any, &back, sizeof(any)) == 0);
        CHECK_EQ(kinds[i].encode(&back, again), n);
        CHECK(memcmp(bytes, again, n) == 0);
    }
}

TEST(every_single_bit_flip_of_every_kind_is_refused)
{
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        uint8_t bytes[RECORD_MAX_BYTES];
        union any any;
        size_t n = make(&kinds[i], &any, bytes);

        for (size_t bit = 0; bit < 8 * n; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK_EQ(decode_as(&kinds[i], bytes, n, false), -EUCLEAN);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

TEST(every_truncation_and_every_longer_one_is_refused)
{
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        uint8_t bytes[RECORD_MAX_BYTES + 8] = {0};
        union any any;
        size_t n = make(&kinds[i], &any, bytes);

        for (size_t shorter = 0; shorter < n; shorter++) {
            CHECK_EQ(decode_as(&kinds[i], bytes, shorter, false), -EUCLEAN);
            CHECK_EQ(decode_as(&kinds[i], bytes, shorter, true), -EUCLEAN);
        }
        for (size_t longer = n + 1; longer <= n + 8; longer++)
            CHECK_EQ(decode_as(&kinds[i], bytes, longer, true), -EUCLEAN);
    }
}

/* What a broken or hostile writer could make: the checksum is right, the contents are anything. */
TEST(a_payload_with_a_right_checksum_is_refused_or_says_the_same_again)
{
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        uint8_t bytes[RECORD_MAX_BYTES];
        union any any;
        size_t n = make(&kinds[i], &any, bytes);

        for (size_t at = 0; at < n - 4; at++) {
            static const uint8_t values[] = {0x00, 0x01, 0x2f, 0x7f, 0x80, 0xff};

            for (size_t v = 0; v < ARRAY_N(values); v++) {
                uint8_t again[RECORD_MAX_BYTES], saved = bytes[at];
                union any back;
                uint32_t crc;

                bytes[at] = values[v];
                crc = crc32c(0, bytes, n - 4);
                for (size_t k = 0; k < 4; k++)
                    bytes[n - 4 + k] = (uint8_t)(crc >> (8 * k));
                memset(&back, 0, sizeof(back));
                if (kinds[i].decode(bytes, n, &back) == 0 &&
                    record_format(bytes) == RECORD_FORMAT) {
                    CHECK_EQ(kinds[i].encode(&back, again), n);
                    CHECK(memcmp(bytes, again, n) == 0);
                }
                bytes[at] = saved;
            }
        }
    }
}

TEST(random_bytes_are_refused)
{
    uint8_t bytes[RECORD_MAX_BYTES];

    srandom(1);
    for (unsigned round = 0; round < 20000; round++) {
        size_t n = (size_t)random() % sizeof(bytes);

        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)random();
        CHECK_EQ(decode_as(&kinds[round % ARRAY_N(kinds)], bytes, n, false), -EUCLEAN);
    }
}

TEST(a_record_is_of_its_own_kind_only)
{
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        uint8_t bytes[RECORD_MAX_BYTES];
        enum record_kind kind;
        struct record_key key;
        union any any, back;
        size_t n = make(&kinds[i], &any, bytes);

        CHECK_EQ(record_identify(bytes, n, &kind, &key), 0);
        CHECK_EQ(kind, kinds[i].kind);
        CHECK_EQ(record_kind_of_key(key.bytes, key.n), kinds[i].kind);
        for (size_t k = 0; k < ARRAY_N(kinds); k++)
            CHECK_EQ(kinds[k].decode(bytes, n, &back), k == i ? 0 : -EUCLEAN);
    }
}

/* bytes 4 and 5 hold the version */
static int decode_version(const struct kind_row *row, uint16_t version)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    union any any;
    size_t n = make(row, &any, bytes);

    bytes[4] = (uint8_t)version;
    bytes[5] = (uint8_t)(version >> 8);
    return decode_as(row, bytes, n, true);
}

TEST(a_newer_format_is_refused_as_such_and_never_guessed)
{
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        CHECK_EQ(decode_version(&kinds[i], RECORD_FORMAT), 0);
        CHECK_EQ(decode_version(&kinds[i], RECORD_FORMAT + 1), -EPROTONOSUPPORT);
        CHECK_EQ(decode_version(&kinds[i], UINT16_MAX), -EPROTONOSUPPORT);
        CHECK_EQ(decode_version(&kinds[i], 0), -EUCLEAN);
    }
}

TEST(a_jobs_record_never_changes_its_size)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    union any any;
    size_t n = make(&kinds[3], &any, bytes);

    memset(any.job.error_text, 'x', sizeof(any.job.error_text) - 1);
    CHECK_EQ(record_encode_job(&any.job, bytes), n);
    memset(any.job.error_text, 0, sizeof(any.job.error_text));
    memset(any.job.error_phase, 0, sizeof(any.job.error_phase));
    CHECK_EQ(record_encode_job(&any.job, bytes), n);
}

TEST(what_stands_behind_the_end_of_a_text_reaches_no_disk)
{
    uint8_t clean[RECORD_MAX_BYTES], dirty[RECORD_MAX_BYTES];
    union any any;
    size_t n = make(&kinds[3], &any, clean);

    memset(any.job.phase, 'S', sizeof(any.job.phase));
    strcpy(any.job.phase, "rolling-back");
    CHECK_EQ(record_encode_job(&any.job, dirty), n);
    CHECK(memcmp(clean, dirty, n) == 0);
}

TEST(the_longest_record_fits)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    union any any;

    make(&kinds[1], &any, bytes);
    memset(any.volume.name, 'n', sizeof(any.volume.name) - 1);
    memset(any.volume.host, 'h', sizeof(any.volume.host) - 1);
    memset(any.volume.last_phase, 'p', sizeof(any.volume.last_phase) - 1);
    memset(any.volume.last_error, 'e', sizeof(any.volume.last_error) - 1);
    CHECK(record_encode_volume(&any.volume, bytes) <= RECORD_MAX_BYTES);
    make(&kinds[3], &any, bytes);
    CHECK(record_encode_job(&any.job, bytes) <= RECORD_MAX_BYTES);
}

TEST(keys_of_numbers_sort_as_the_numbers_do)
{
    struct record_key small = record_key_number(RECORD_JOB, 255);
    struct record_key large = record_key_number(RECORD_JOB, 256);

    CHECK(memcmp(small.bytes, large.bytes, small.n) < 0);
}

/* What format 1 has not. */
static void forget_format_2(enum record_kind kind, union any *any)
{
    if (kind == RECORD_COPY) {
        any->copy.expires_s = any->copy.volume_mtime_ns = 0;
        any->copy.hidden = false;
    }
    if (kind == RECORD_JOB) {
        any->job.keep_s = 0;
        any->job.restore = false;
    }
}

static size_t read_format_1(enum record_kind kind, uint8_t *bytes)
{
    char path[256];
    FILE *file;
    size_t n;

    snprintf(path, sizeof(path), TEST_DATA "/format-1/%s", record_kind_names[kind]);
    file = fopen(path, "re");
    REQUIRE(file);
    n = fread(bytes, 1, RECORD_MAX_BYTES, file);
    REQUIRE(fclose(file) == 0 && n > 0);
    return n;
}

/* The bytes of format 1 as they are on disks: neither they nor this test are ever adapted. */
TEST(format_1_is_read_as_what_it_says)
{
    static const uint32_t checksums[] = {0xf8d8992b, 0x823ade21, 0x64b4a15d,
                                         0xc1dd4df3, 0xb3ff675e, 0x3188857f};

    for (size_t i = 0; i < ARRAY_N(checksums); i++) {
        uint8_t bytes[RECORD_MAX_BYTES], renewed[RECORD_MAX_BYTES], again[RECORD_MAX_BYTES];
        size_t n = read_format_1(kinds[i].kind, bytes), n_renewed;
        struct record_key key, renewed_key;
        enum record_kind kind;
        union any any, back;

        CHECK_EQ(record_checksum(bytes, n), checksums[i]);
        CHECK_EQ(record_format(bytes), 1);
        make(&kinds[i], &any, again);
        forget_format_2(kinds[i].kind, &any);
        memset(&back, 0, sizeof(back));
        CHECK_EQ(kinds[i].decode(bytes, n, &back), 0);
        CHECK(memcmp(&any, &back, sizeof(any)) == 0);
        CHECK_EQ(record_identify(bytes, n, &kind, &key), 0);
        n_renewed = record_renew(bytes, n, renewed);
        CHECK_EQ(record_format(renewed), RECORD_FORMAT);
        CHECK_EQ(record_identify(renewed, n_renewed, &kind, &renewed_key), 0);
        CHECK_EQ(kind, kinds[i].kind);
        CHECK(key.n == renewed_key.n && memcmp(key.bytes, renewed_key.bytes, key.n) == 0);
        CHECK_EQ(kinds[i].encode(&back, again), n_renewed);
        CHECK(memcmp(renewed, again, n_renewed) == 0);
    }
}

TEST(every_bit_flip_and_truncation_of_format_1_is_refused)
{
    for (size_t i = 0; i < ARRAY_N(kinds) && kinds[i].kind < RECORD_EVACUATION; i++) {
        uint8_t bytes[RECORD_MAX_BYTES];
        size_t n = read_format_1(kinds[i].kind, bytes);

        for (size_t bit = 0; bit < 8 * n; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK_EQ(decode_as(&kinds[i], bytes, n, false), -EUCLEAN);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t shorter = 0; shorter < n; shorter++)
            CHECK_EQ(decode_as(&kinds[i], bytes, shorter, true), -EUCLEAN);
    }
}

static int decode_version_as(const struct kind_row *row, uint8_t *bytes, size_t n, uint8_t version)
{
    bytes[4] = version;
    return decode_as(row, bytes, n, true);
}

TEST(a_record_of_one_format_is_none_of_the_other)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    union any any;
    size_t n;

    CHECK_EQ(decode_version(&kinds[2], 1), -EUCLEAN);
    CHECK_EQ(decode_version(&kinds[3], 1), -EUCLEAN);
    CHECK_EQ(decode_version(&kinds[6], 1), -EUCLEAN);
    n = read_format_1(RECORD_COPY, bytes);
    CHECK_EQ(decode_version_as(&kinds[2], bytes, n, 2), -EUCLEAN);
    n = make(&kinds[2], &any, bytes);
    any.copy.role = COPY_RETAINED;
    n = record_encode_copy(&any.copy, bytes);
    bytes[8] = (uint8_t)(n - 17); /* the members of format 2, and no more, are cut off */
    CHECK_EQ(decode_version_as(&kinds[2], bytes, n - 17, 1), -EUCLEAN);
    any.copy.role = COPY_DELETE_PENDING;
    n = record_encode_copy(&any.copy, bytes);
    bytes[8] = (uint8_t)(n - 17);
    CHECK_EQ(decode_version_as(&kinds[2], bytes, n - 17, 1), 0);
}

/* The bytes of format 2 as they are on disks: this test is never adapted, only added to. */
TEST(format_2_is_what_it_was)
{
    static const uint32_t checksums[] = {0x5feb89d2, 0xfbc40dad, 0x03903221, 0x1c7ce805,
                                         0x334e89f9, 0x2c08aee1, 0x435ac342};

    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        uint8_t bytes[RECORD_MAX_BYTES];
        union any any;
        size_t n = make(&kinds[i], &any, bytes);

        CHECK_EQ(record_checksum(bytes, n), checksums[i]);
    }
}

TEST_MAIN
