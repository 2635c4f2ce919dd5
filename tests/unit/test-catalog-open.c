#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <tdb.h>

#include "copy/base/cleanup.h"
#include "copy/base/crc.h"
#include "copy/base/io.h"
#include "fs/catalog/record.h"
#include "tests/unit/fresh-catalog.h"

TEST(a_second_opener_is_refused_and_told_the_pid)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct catalog *second = NULL;
    char pid[32];
    OWNED(text) struct text report = {0};

    CHECK_EQ(catalog_open(world.state, &second, &world.e), -EALREADY);
    snprintf(pid, sizeof(pid), "pid %ld,", (long)getpid());
    CHECK(strstr(world.e.text, pid));
    CHECK_EQ(catalog_check(world.state, &report, &world.e), -EALREADY);
    catalog_close(take_ptr(catalog));
    CHECK_EQ(catalog_check(world.state, &report, &world.e), 0);
    catalog = open_catalog(&world);
}

TEST(a_killed_holder_is_no_holder)
{
    WORLD world = make_world();
    pid_t pid = fork();

    if (pid == 0) {
        open_catalog(&world);
        raise(SIGKILL);
    }
    REQUIRE(pid > 0 && waitpid(pid, NULL, 0) == pid);
    catalog_close(open_catalog(&world));
}

static int open_refused(struct world *world)
{
    struct catalog *catalog = NULL;
    int r;

    r = catalog_open(world->state, &catalog, &world->e);
    CHECK(!catalog);
    catalog_close(catalog);
    return r;
}

TEST(wider_modes_and_a_foreign_owner_are_refused_with_the_remedy)
{
    WORLD world = make_world();

    catalog_close(open_catalog(&world));
    for (unsigned bit = 0; bit < 6; bit++) {
        REQUIRE(chmod(world.state, 0700 | 1u << bit) == 0);
        CHECK_EQ(open_refused(&world), -EPERM);
        CHECK(strstr(world.e.text, "chmod 0700"));
        REQUIRE(chmod(world.state, 0700) == 0);
        REQUIRE(chmod(world.file, 0600 | 1u << bit) == 0);
        CHECK_EQ(open_refused(&world), -EPERM);
        CHECK(strstr(world.e.text, "chmod 0600"));
        REQUIRE(chmod(world.file, 0600) == 0);
    }
    if (geteuid() != 0)
        return;
    REQUIRE(chown(world.file, 65534, 65534) == 0);
    CHECK_EQ(open_refused(&world), -EPERM);
    CHECK(strstr(world.e.text, "chown"));
    REQUIRE(chown(world.file, 0, 0) == 0 && chown(world.state, 65534, 65534) == 0);
    CHECK_EQ(open_refused(&world), -EPERM);
    CHECK(strstr(world.e.text, "chown"));
}

TEST(what_is_no_catalogue_is_refused_and_left_alone)
{
    WORLD world = make_world();
    struct stat st;
    int fd;

    CHECK_EQ(mkdir(world.state, 0700), 0);
    fd = open(world.file, O_WRONLY | O_CREAT, 0600);
    REQUIRE(fd >= 0 && io_write(fd, "not a tdb file", 14) == 0 && close(fd) == 0);
    CHECK_EQ(open_refused(&world), -EUCLEAN);
    CHECK(stat(world.file, &st) == 0 && st.st_size == 14);
    REQUIRE(truncate(world.file, 0) == 0);
    CHECK_EQ(open_refused(&world), -EUCLEAN);
    REQUIRE(unlink(world.file) == 0 && symlink("/etc/passwd", world.file) == 0);
    CHECK_EQ(open_refused(&world), -EPERM);
    REQUIRE(unlink(world.file) == 0 && mkdir(world.file, 0700) == 0);
    CHECK_EQ(open_refused(&world), -EPERM);
}

TEST(a_missing_parent_is_an_error_that_names_the_folder)
{
    WORLD world = make_world();

    strcpy(world.state, "/nonexistent/state");
    CHECK_EQ(open_refused(&world), -ENOENT);
    CHECK(strstr(world.e.text, "/nonexistent/state"));
}

/* Change one record in the file behind the catalogue's back. */
static void edit(const struct world *world, const struct record_key *key, const void *bytes,
                 size_t n)
{
    struct tdb_context *tdb = tdb_open(world->file, 0, TDB_NOMMAP, O_RDWR, 0);
    uint8_t copy[RECORD_KEY_BYTES + RECORD_MAX_BYTES];
    TDB_DATA k = {copy, key->n}, v = {copy + key->n, n};

    REQUIRE(tdb);
    memcpy(copy, key->bytes, key->n);
    if (n > 0)
        memcpy(copy + key->n, bytes, n);
    REQUIRE((n > 0 ? tdb_store(tdb, k, v, TDB_REPLACE) : tdb_delete(tdb, k)) == 0);
    REQUIRE(tdb_close(tdb) == 0);
}

static void commit_three_volumes(struct world *world)
{
    OWNED(catalog) struct catalog *catalog = open_catalog(world);

    for (uint64_t number = 1; number <= 3; number++) {
        struct volume volume = volume_number(number);

        CHECK_EQ(catalog_put_volume(catalog, &volume), 0);
    }
    CHECK_EQ(catalog_commit(catalog, &world->e), 0);
}

TEST(a_damaged_record_is_named_and_nothing_is_started)
{
    WORLD world = make_world();
    OWNED(text) struct text report = {0};
    struct volume volume = volume_number(2);
    struct record_key key = record_key_uuid(RECORD_VOLUME, volume.uuid);
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t n = record_encode_volume(&volume, bytes);

    commit_three_volumes(&world);
    bytes[n / 2] ^= 4;
    edit(&world, &key, bytes, n);
    CHECK_EQ(open_refused(&world), -EUCLEAN);
    CHECK(strstr(world.e.text, "volume 0200000000"));
    CHECK_EQ(catalog_check(world.state, &report, &world.e), -EUCLEAN);
    CHECK(strstr(report.bytes, "bad volume 0200000000"));
    CHECK(strstr(report.bytes, "volume-1") && strstr(report.bytes, "volume-3"));
    CHECK(strstr(report.bytes, "damaged: "));
}

TEST(a_record_that_was_lost_put_back_or_moved_breaks_the_seal)
{
    WORLD world = make_world();
    struct volume volume = volume_number(2), other = volume_number(3), new = volume_number(4);
    struct record_key key = record_key_uuid(RECORD_VOLUME, volume.uuid);
    struct record_key new_key = record_key_uuid(RECORD_VOLUME, new.uuid);
    uint8_t bytes[RECORD_MAX_BYTES], old[RECORD_MAX_BYTES];
    size_t n, n_old = record_encode_volume(&volume, old);

    commit_three_volumes(&world);
    edit(&world, &key, NULL, 0);
    CHECK_EQ(open_refused(&world), -EUCLEAN);
    n = record_encode_volume(&other, bytes);
    edit(&world, &key, bytes, n);
    CHECK_EQ(open_refused(&world), -EUCLEAN);
    volume.epoch = 7;
    n = record_encode_volume(&volume, bytes);
    edit(&world, &key, bytes, n);
    CHECK_EQ(open_refused(&world), -EUCLEAN);
    edit(&world, &key, old, n_old);
    catalog_close(open_catalog(&world));
    n = record_encode_volume(&new, bytes);
    edit(&world, &new_key, bytes, n);
    CHECK_EQ(open_refused(&world), -EUCLEAN);
}

TEST(a_catalogue_without_its_header_is_refused)
{
    WORLD world = make_world();
    struct record_key key = record_key_header();

    commit_three_volumes(&world);
    edit(&world, &key, NULL, 0);
    CHECK_EQ(open_refused(&world), -EUCLEAN);
}

/* A header as the next format could write it: the frame stays, the version is one more. */
static size_t make_newer_header(uint8_t *bytes)
{
    static const uint8_t frame[] = {'F', 'F', 'C', 'R', 3,   0,   1,   0,
                                    20,  0,   0,   0,   'n', 'e', 'w', '!'};
    uint32_t crc = crc32c(0, frame, sizeof(frame));

    memcpy(bytes, frame, sizeof(frame));
    for (size_t i = 0; i < sizeof(crc); i++)
        bytes[sizeof(frame) + i] = (uint8_t)(crc >> (8 * i));
    return sizeof(frame) + sizeof(crc);
}

TEST(a_newer_format_is_refused_and_left_as_it_was)
{
    WORLD world = make_world();
    OWNED(text) struct text report = {0};
    struct record_key key = record_key_header();
    uint8_t newer[RECORD_MAX_BYTES];
    size_t n = make_newer_header(newer);

    commit_three_volumes(&world);
    edit(&world, &key, newer, n);
    CHECK_EQ(open_refused(&world), -EPROTONOSUPPORT);
    CHECK(strstr(world.e.text, "newer"));
    CHECK_EQ(open_refused(&world), -EPROTONOSUPPORT);
    CHECK_EQ(catalog_check(world.state, &report, &world.e), -EPROTONOSUPPORT);
}

TEST(the_check_says_what_is_in_it_and_changes_nothing)
{
    WORLD world = make_world();
    OWNED(text) struct text report = {0};
    struct catalog *catalog = open_catalog(&world);
    struct volume volume = volume_number(1);
    struct copy copy = copy_number(1);
    struct job job = job_number(5);
    struct history history = history_of(4);
    struct pool pool = {.host = "ssd"};
    struct evacuation evacuation = {.host = "ssd", .target = "auto"};
    struct stat before, after;

    CHECK_EQ(catalog_put_volume(catalog, &volume), 0);
    CHECK_EQ(catalog_put_copy(catalog, &copy), 0);
    CHECK_EQ(catalog_put_job(catalog, &job), 0);
    CHECK_EQ(catalog_put_history(catalog, &history), 0);
    CHECK_EQ(catalog_put_pool(catalog, &pool), 0);
    CHECK_EQ(catalog_put_evacuation(catalog, &evacuation), 0);
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    catalog_close(catalog);
    REQUIRE(stat(world.file, &before) == 0);
    CHECK_EQ(catalog_check(world.state, &report, &world.e), 0);
    REQUIRE(stat(world.file, &after) == 0);
    CHECK_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    CHECK(strstr(report.bytes, "volume-1 number 1 host ssd"));
    CHECK(strstr(report.bytes, "job 5 volume"));
    CHECK(strstr(report.bytes, "history 4 db1"));
    CHECK(strstr(report.bytes, "pool ssd"));
    CHECK(strstr(report.bytes, "sound: format 2, generation 2, 1 volumes, 1 copies, 1 jobs, "
                               "1 pools, 1 evacuations, 1 lines of history\n"));
    CHECK(strstr(report.bytes, "evacuation ssd -> auto"));
}

TEST(the_check_of_nothing_makes_nothing)
{
    WORLD world = make_world();
    OWNED(text) struct text report = {0};
    struct stat st;

    CHECK_EQ(catalog_check(world.state, &report, &world.e), -ENOENT);
    CHECK(stat(world.state, &st) < 0);
}

TEST_MAIN
