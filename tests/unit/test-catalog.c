#include <errno.h>
#include <malloc.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "tests/unit/fresh-catalog.h"

static int count_volume(const struct volume *volume, void *arg)
{
    (void)volume;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned n_volumes(const struct catalog *catalog)
{
    unsigned n = 0;

    CHECK_EQ(catalog_each_volume(catalog, count_volume, &n), 0);
    return n;
}

TEST(a_new_catalogue_is_empty_and_private)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct stat st;

    CHECK_EQ(n_volumes(catalog), 0);
    CHECK(!catalog_doubt(catalog));
    CHECK_EQ(catalog_next_volume(catalog), 1);
    CHECK_EQ(catalog_next_job(catalog), 1);
    REQUIRE(stat(world.state, &st) == 0);
    CHECK_EQ(st.st_mode & 07777, 0700);
    REQUIRE(stat(world.file, &st) == 0);
    CHECK_EQ(st.st_mode & 07777, 0600);
}

TEST(what_is_staged_is_not_seen_before_the_commit)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct volume volume = volume_number(1), found;

    CHECK_EQ(catalog_put_volume(catalog, &volume), 0);
    CHECK_EQ(catalog_get_volume(catalog, volume.uuid, &found), -ENOENT);
    CHECK_EQ(n_volumes(catalog), 0);
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    CHECK_EQ(catalog_get_volume(catalog, volume.uuid, &found), 0);
    CHECK_STR(found.name, "volume-1");
    CHECK_EQ(n_volumes(catalog), 1);
}

TEST(what_is_cancelled_did_not_happen)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct volume volume = volume_number(1);

    CHECK_EQ(catalog_put_volume(catalog, &volume), 0);
    catalog_cancel(catalog);
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    CHECK_EQ(n_volumes(catalog), 0);
}

TEST(every_kind_is_there_again_after_a_reopen)
{
    WORLD world = make_world();
    struct catalog *catalog = open_catalog(&world);
    struct volume volume = volume_number(1), volume_found;
    struct copy copy = copy_number(1), copy_found;
    struct job job = job_number(9), job_found;
    struct pool pool = {.host = "ssd", .uuid = {7}}, pool_found;
    struct evacuation evacuation = {.host = "ssd", .target = "auto", .total = 3}, evacuation_found;

    CHECK_EQ(catalog_put_volume(catalog, &volume), 0);
    CHECK_EQ(catalog_put_copy(catalog, &copy), 0);
    CHECK_EQ(catalog_put_job(catalog, &job), 0);
    CHECK_EQ(catalog_put_pool(catalog, &pool), 0);
    CHECK_EQ(catalog_put_evacuation(catalog, &evacuation), 0);
    CHECK_EQ(catalog_commit_confirmed(catalog, &world.e), 0);
    catalog_close(catalog);
    catalog = open_catalog(&world);
    CHECK_EQ(catalog_get_volume(catalog, volume.uuid, &volume_found), 0);
    CHECK_STR(volume_found.name, volume.name);
    CHECK_EQ(catalog_get_copy(catalog, copy.cid, &copy_found), 0);
    CHECK_EQ(copy_found.size_bytes, copy.size_bytes);
    CHECK_EQ(catalog_get_job(catalog, 9, &job_found), 0);
    CHECK_STR(job_found.phase, "copying");
    CHECK_EQ(catalog_get_job(catalog, 8, &job_found), -ENOENT);
    CHECK_EQ(catalog_get_pool(catalog, "ssd", &pool_found), 0);
    CHECK_EQ(pool_found.uuid[0], 7);
    CHECK_EQ(catalog_get_pool(catalog, "hdd", &pool_found), -ENOENT);
    CHECK_EQ(catalog_get_evacuation(catalog, "ssd", &evacuation_found), 0);
    CHECK_EQ(evacuation_found.total, 3);
    CHECK_EQ(catalog_get_evacuation(catalog, "hdd", &evacuation_found), -ENOENT);
    catalog_close(catalog);
}

static int add_done(const struct evacuation *evacuation, void *arg)
{
    *(uint64_t *)arg += evacuation->done;
    return 0;
}

TEST(evacuations_are_one_a_host)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct evacuation ssd = {.host = "ssd", .target = "auto", .done = 1};
    struct evacuation hdd = {.host = "hdd", .target = "ssd", .done = 2};
    uint64_t done = 0;

    CHECK_EQ(catalog_put_evacuation(catalog, &ssd), 0);
    CHECK_EQ(catalog_put_evacuation(catalog, &hdd), 0);
    ssd.done = 4;
    CHECK_EQ(catalog_put_evacuation(catalog, &ssd), 0);
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    CHECK_EQ(catalog_each_evacuation(catalog, add_done, &done), 0);
    CHECK_EQ(done, 6);
    CHECK_EQ(catalog_drop_evacuation(catalog, "ssd"), 0);
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    CHECK_EQ(catalog_get_evacuation(catalog, "ssd", &ssd), -ENOENT);
    CHECK_EQ(catalog_get_evacuation(catalog, "hdd", &hdd), 0);
}

TEST(a_later_record_of_the_same_key_replaces_and_a_drop_removes)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct volume volume = volume_number(1), found;
    struct copy copy = copy_number(1);
    struct job job = job_number(1);

    CHECK_EQ(catalog_put_volume(catalog, &volume), 0);
    strcpy(volume.host, "hdd");
    CHECK_EQ(catalog_put_volume(catalog, &volume), 0);
    CHECK_EQ(catalog_put_copy(catalog, &copy), 0);
    CHECK_EQ(catalog_put_job(catalog, &job), 0);
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    CHECK_EQ(catalog_get_volume(catalog, volume.uuid, &found), 0);
    CHECK_STR(found.host, "hdd");
    CHECK_EQ(catalog_drop_volume(catalog, volume.uuid), 0);
    CHECK_EQ(catalog_drop_copy(catalog, copy.cid), 0);
    CHECK_EQ(catalog_drop_job(catalog, 1), 0);
    CHECK_EQ(catalog_drop_job(catalog, 77), 0);
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    CHECK_EQ(n_volumes(catalog), 0);
    CHECK_EQ(catalog_get_copy(catalog, copy.cid, &copy), -ENOENT);
    CHECK_EQ(catalog_get_job(catalog, 1, &job), -ENOENT);
    catalog_close(take_ptr(catalog));
    catalog = open_catalog(&world);
    CHECK_EQ(n_volumes(catalog), 0);
}

TEST(a_committed_number_is_never_given_again)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct volume volume = volume_number(catalog_next_volume(catalog));

    CHECK_EQ(catalog_next_job(catalog), 1);
    CHECK_EQ(catalog_next_job(catalog), 2);
    CHECK_EQ(catalog_put_volume(catalog, &volume), 0);
    catalog_cancel(catalog);
    CHECK_EQ(catalog_next_volume(catalog), 2);
    CHECK_EQ(catalog_put_volume(catalog, &volume), 0);
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    catalog_close(take_ptr(catalog));
    catalog = open_catalog(&world);
    CHECK_EQ(catalog_next_volume(catalog), 3);
    CHECK_EQ(catalog_next_job(catalog), 3);
}

struct line_check {
    uint64_t next;
    unsigned n;
};

static int next_older_line(const struct history *history, void *arg)
{
    struct line_check *check = arg;

    CHECK_EQ(history->job, check->next);
    check->next--;
    check->n++;
    return 0;
}

TEST(the_history_keeps_the_newest_thousand_newest_first)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct line_check check = {.next = 2500};

    for (uint64_t job = 1; job <= 2500; job++) {
        struct history history = history_of(job);

        CHECK_EQ(catalog_put_history(catalog, &history), 0);
        if (job % 7 == 0 && job > 900 && job < 1200)
            CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    }
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    CHECK_EQ(catalog_each_history(catalog, next_older_line, &check), 0);
    CHECK_EQ(check.n, CATALOG_HISTORY_MAX);
    catalog_close(take_ptr(catalog));
    catalog = open_catalog(&world);
    check = (struct line_check){.next = 2500};
    CHECK_EQ(catalog_each_history(catalog, next_older_line, &check), 0);
    CHECK_EQ(check.n, CATALOG_HISTORY_MAX);
}

TEST(a_cancelled_line_of_history_leaves_no_gap)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct history history = history_of(1);
    struct line_check check = {.next = 1};

    CHECK_EQ(catalog_put_history(catalog, &history), 0);
    catalog_cancel(catalog);
    CHECK_EQ(catalog_put_history(catalog, &history), 0);
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    CHECK_EQ(catalog_each_history(catalog, next_older_line, &check), 0);
    CHECK_EQ(check.n, 1);
}

static int next_job_line(const struct job *job, void *arg)
{
    CHECK_EQ(job->number, ++*(uint64_t *)arg);
    return *(uint64_t *)arg == 300 ? 5 : 0;
}

TEST(jobs_are_walked_in_their_order_until_the_visitor_says_stop)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    uint64_t last = 0;

    for (uint64_t number = 400; number > 0; number--) {
        struct job job = job_number(number);

        CHECK_EQ(catalog_put_job(catalog, &job), 0);
    }
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    CHECK_EQ(catalog_each_job(catalog, next_job_line, &last), 5);
}

static int sum_copy(const struct copy *copy, void *arg)
{
    *(uint64_t *)arg += copy->size_bytes >> 20; /* its number */
    return 0;
}

static uint64_t sum_of_hidden(const struct catalog *catalog)
{
    uint64_t sum = 0;

    CHECK_EQ(catalog_each_hidden(catalog, sum_copy, &sum), 0);
    return sum;
}

static void commit_copy(struct world *world, struct catalog *catalog, struct copy *copy,
                        enum copy_role role)
{
    copy->role = role;
    REQUIRE(catalog_put_copy(catalog, copy) == 0);
    REQUIRE(catalog_commit(catalog, &world->e) == 0);
}

TEST(hidden_copies_are_those_that_are_not_primary_now)
{
    WORLD world = make_world();
    struct catalog *catalog = open_catalog(&world);
    struct copy one = copy_number(1), two = copy_number(2), four = copy_number(4);
    uint64_t all = 0;

    commit_copy(&world, catalog, &one, COPY_PRIMARY);
    CHECK_EQ(sum_of_hidden(catalog), 0);
    commit_copy(&world, catalog, &two, COPY_DESTINATION);
    commit_copy(&world, catalog, &four, COPY_DESTINATION);
    CHECK_EQ(sum_of_hidden(catalog), 6);
    commit_copy(&world, catalog, &two, COPY_PRIMARY); /* as in a switch */
    commit_copy(&world, catalog, &one, COPY_DELETE_PENDING);
    CHECK_EQ(sum_of_hidden(catalog), 5);
    catalog_close(catalog);
    catalog = open_catalog(&world);
    CHECK_EQ(sum_of_hidden(catalog), 5);
    CHECK_EQ(catalog_drop_copy(catalog, one.cid), 0);
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    CHECK_EQ(sum_of_hidden(catalog), 4);
    CHECK_EQ(catalog_each_copy(catalog, sum_copy, &all), 0);
    CHECK_EQ(all, 6);
    catalog_close(catalog);
}

TEST(small_commits_find_room_and_do_not_grow_the_file)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct stat before, after;

    REQUIRE(stat(world.file, &before) == 0);
    for (uint64_t number = 1; number <= 200; number++) {
        struct volume volume = volume_number(number % 20);
        struct job job = job_number(number % 10);
        struct history history = history_of(number);

        CHECK_EQ(catalog_put_volume(catalog, &volume), 0);
        CHECK_EQ(catalog_put_job(catalog, &job), 0);
        CHECK_EQ(catalog_put_history(catalog, &history), 0);
        CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    }
    REQUIRE(stat(world.file, &after) == 0);
    CHECK_EQ(after.st_size, before.st_size);
}

#define MANY 10000

static void stage_many(struct catalog *catalog, uint64_t epoch)
{
    for (uint64_t number = 1; number <= MANY; number++) {
        struct volume volume = volume_number(number);
        struct copy copy = copy_number(number);

        volume.epoch = epoch;
        REQUIRE(catalog_put_volume(catalog, &volume) == 0);
        REQUIRE(catalog_put_copy(catalog, &copy) == 0);
    }
}

static double ms_since(uint64_t start_ns)
{
    return (double)(io_now_ns() - start_ns) / 1e6;
}

TEST(ten_thousand_volumes_commit_and_open)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    uint64_t start = io_now_ns();
    size_t before;

    stage_many(catalog, 1);
    printf("# staged in %.0f ms\n", ms_since(start));
    start = io_now_ns();
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    printf("# first commit of %d records: %.0f ms\n", 2 * MANY, ms_since(start));
    stage_many(catalog, 2);
    start = io_now_ns();
    CHECK_EQ(catalog_commit(catalog, &world.e), 0);
    printf("# next commit of %d records: %.0f ms\n", 2 * MANY, ms_since(start));
    catalog_close(take_ptr(catalog));
    before = mallinfo2().uordblks;
    start = io_now_ns();
    catalog = open_catalog(&world);
    printf("# open: %.0f ms, %zu KiB of memory\n", ms_since(start),
           (mallinfo2().uordblks - before) / 1024);
    start = io_now_ns();
    CHECK_EQ(n_volumes(catalog), MANY);
    printf("# walk: %.0f ms\n", ms_since(start));
}

TEST_MAIN
