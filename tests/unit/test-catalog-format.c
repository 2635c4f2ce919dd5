/*
 * A catalogue that a program of format 1 left behind becomes one of this format at a start.
 */
#include <errno.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "fs/catalog/record.h"
#include "tests/unit/format-1.h"
#include "tests/unit/fresh-catalog.h"

/* One that was written by such a program: 3 volumes, 5 copies, a job, 2 pools, a line of history.
 */
static void put_real_one(struct world *world)
{
    OWNED(fd) int from = open(TEST_DATA "/format-1/catalogue.tdb", O_RDONLY | O_CLOEXEC);
    OWNED(fd) int to = -1;
    uint8_t bytes[65536];
    size_t n = 0;

    REQUIRE(from >= 0 && mkdir(world->state, 0700) == 0);
    REQUIRE(io_pread(from, bytes, sizeof(bytes), 0, &n) == 0 && n < sizeof(bytes));
    to = open(world->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    REQUIRE(to >= 0 && io_pwrite(to, bytes, n, 0) == 0);
}

struct pair {
    struct tdb_context *new;
    unsigned n;
};

/* What the old record says is what the new one says. */
static int compare_record(struct tdb_context *old, TDB_DATA key, TDB_DATA data, void *arg)
{
    enum record_kind kind = record_kind_of_key(key.dptr, key.dsize);
    struct pair *pair = arg;
    TDB_DATA new = tdb_fetch(pair->new, key);
    union any_record was, is;

    (void)old;
    REQUIRE(new.dptr);
    CHECK_EQ(record_format(data.dptr), 1);
    CHECK_EQ(record_format(new.dptr), RECORD_FORMAT);
    CHECK_EQ(decode_any(data.dptr, data.dsize, kind, &was), 0);
    CHECK_EQ(decode_any(new.dptr, new.dsize, kind, &is), 0);
    if (kind == RECORD_HEADER) {
        CHECK(is.header.generation > was.header.generation);
        CHECK_EQ(is.header.n_records, was.header.n_records);
        CHECK_EQ(is.header.next_volume, was.header.next_volume);
        CHECK_EQ(is.header.next_job, was.header.next_job);
        CHECK_EQ(is.header.next_history, was.header.next_history);
    } else {
        CHECK(memcmp(&was, &is, sizeof(was)) == 0);
    }
    free(new.dptr);
    pair->n++;
    return 0;
}

static void compare_with_real_one(const struct world *world)
{
    struct tdb_context *old =
        tdb_open(TEST_DATA "/format-1/catalogue.tdb", 0, TDB_NOMMAP, O_RDONLY, 0);
    struct pair pair = {tdb_open(world->file, 0, TDB_NOMMAP, O_RDONLY, 0), 0};

    REQUIRE(old && pair.new);
    REQUIRE(tdb_traverse_read(old, compare_record, &pair) == 13);
    CHECK_EQ(pair.n, 13);
    REQUIRE(tdb_close(old) == 0 && tdb_close(pair.new) == 0);
}

TEST(a_start_brings_every_record_of_format_1_over)
{
    WORLD world = make_world();
    struct catalog *catalog;
    struct volume volume = volume_number(3);
    struct copy copy;
    struct job job;

    put_real_one(&world);
    catalog = open_catalog(&world);
    CHECK(!catalog_doubt(catalog));
    CHECK_EQ(catalog_get_volume(catalog, volume.uuid, &volume), 0);
    CHECK_STR(volume.last_error, "No space left on device");
    CHECK_EQ(catalog_get_job(catalog, 2, &job), 0);
    CHECK(job.abort && job.uid == 1000 && job.keep_s == 0 && !job.restore);
    CHECK_EQ(catalog_get_copy(catalog, job.destination_cid, &copy), 0);
    CHECK_EQ(copy.role, COPY_DESTINATION);
    CHECK(copy.expires_s == 0 && !copy.hidden);
    CHECK_EQ(catalog_next_job(catalog), 3);
    catalog_close(catalog);
    compare_with_real_one(&world);
}

TEST(the_next_start_finds_this_format_and_leaves_the_file_alone)
{
    WORLD world = make_world();
    struct stat before, after;

    put_real_one(&world);
    catalog_close(open_catalog(&world));
    REQUIRE(stat(world.file, &before) == 0);
    catalog_close(open_catalog(&world));
    REQUIRE(stat(world.file, &after) == 0);
    CHECK_EQ(before.st_ino, after.st_ino);
    compare_with_real_one(&world);
}

TEST(the_check_reads_format_1_and_changes_nothing)
{
    WORLD world = make_world();
    OWNED(text) struct text report = {0};
    struct stat before, after;

    put_real_one(&world);
    REQUIRE(stat(world.file, &before) == 0);
    CHECK_EQ(catalog_check(world.state, &report, &world.e), 0);
    REQUIRE(stat(world.file, &after) == 0);
    CHECK(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    CHECK(strstr(report.bytes, "sound: format 1, generation 2, 3 volumes, 5 copies, 1 jobs, "
                               "2 pools, 0 evacuations, 1 lines of history; the next start makes "
                               "the file anew\n"));
}

TEST(what_is_damaged_in_format_1_is_refused_as_it_was)
{
    WORLD world = make_world();
    struct catalog *catalog = NULL;
    struct record_key key = record_key_number(RECORD_JOB, 2);
    struct tdb_context *tdb;

    put_real_one(&world);
    tdb = tdb_open(world.file, 0, TDB_NOMMAP, O_RDWR, 0);
    REQUIRE(tdb && tdb_delete(tdb, (TDB_DATA){key.bytes, key.n}) == 0 && tdb_close(tdb) == 0);
    CHECK_EQ(catalog_open(world.state, &catalog, &world.e), -EUCLEAN);
    CHECK(!catalog);
}

/* Its checksum and its seal are right: only its format is not that of the others. */
TEST(a_file_that_mixes_two_formats_is_refused)
{
    WORLD world = make_world();
    struct catalog *catalog = NULL;
    struct pool pool = {.host = "ssd", .uuid = {7}};
    struct record_key key = record_key_host(RECORD_POOL, "ssd"), header_key = record_key_header();
    uint8_t bytes[RECORD_MAX_BYTES], old[RECORD_MAX_BYTES], header_bytes[RECORD_MAX_BYTES];
    size_t n = record_encode_pool(&pool, bytes), n_old = encode_format_1(RECORD_POOL, &pool, old);
    struct header header;
    struct tdb_context *tdb;
    TDB_DATA found;

    put_real_one(&world);
    tdb = tdb_open(world.file, 0, TDB_NOMMAP, O_RDWR, 0);
    REQUIRE(tdb);
    found = tdb_fetch(tdb, (TDB_DATA){header_key.bytes, header_key.n});
    REQUIRE(found.dptr && record_decode_header(found.dptr, found.dsize, &header) == 0);
    free(found.dptr);
    header.sum += record_checksum(bytes, n) - record_checksum(old, n_old);
    n_old = encode_format_1(RECORD_HEADER, &header, header_bytes);
    REQUIRE(tdb_store(tdb, (TDB_DATA){key.bytes, key.n}, (TDB_DATA){bytes, n}, TDB_REPLACE) == 0);
    REQUIRE(tdb_store(tdb, (TDB_DATA){header_key.bytes, header_key.n},
                      (TDB_DATA){header_bytes, n_old}, TDB_REPLACE) == 0);
    REQUIRE(tdb_close(tdb) == 0);
    CHECK_EQ(catalog_open(world.state, &catalog, &world.e), -EUCLEAN);
    CHECK(strstr(world.e.text, "fails its checks"));
}

TEST_MAIN
