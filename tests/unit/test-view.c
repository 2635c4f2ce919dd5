#include "fs/view/view.h"

#include <pthread.h>

#include "copy/base/cleanup.h"
#include "tests/unit/check.h"
#include "tests/unit/made-up.h"

TEST(a_new_meter_knows_no_eta_and_no_rate)
{
    struct meter *meter = meter_open();

    REQUIRE(meter);
    CHECK_EQ(atomic_load(&meter->percent), 0);
    CHECK(atomic_load(&meter->eta_s) == UINT64_MAX);
    CHECK(atomic_load(&meter->rate_bytes_per_s) == UINT64_MAX);
    meter_close(meter);
    meter_close(NULL);
}

/* As many as fill some pieces; their names are ordered the other way round. */
TEST(volumes_are_found_by_name_and_by_number)
{
    const size_t n = 2 * VIEW_PIECE + 3;
    struct view *view = view_open(n, 0);
    char name[16];

    REQUIRE(view);
    for (size_t i = 0; i < n; i++) {
        struct view_volume *volume = made_up_volume(2 * i + 1);

        snprintf(volume->name, sizeof("vol00001"), "v%04zu", n - i);
        REQUIRE(view_set(view, i, volume) == 0);
        view_set_order(view, n - 1 - i, i);
    }
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "v%04zu", n - i);
        CHECK(view_volume_by_number(view, 2 * i + 1) == view_volume_at(view, i));
        CHECK(view_volume_by_name(view, name) == view_volume_at(view, i));
        CHECK(!view_volume_by_number(view, 2 * i));
        CHECK_EQ(view_place_from(view, 2 * i), i);
    }
    CHECK_STR(view_volume_nth(view, 0)->name, "v0001");
    CHECK(!view_volume_by_name(view, "v0000"));
    CHECK(!view_volume_by_name(view, "v0001a"));
    CHECK(!view_volume_by_name(view, "w"));
    CHECK(!view_volume_by_name(view, ""));
    CHECK(!view_volume_by_number(view, UINT64_MAX));
    CHECK_EQ(view_place_from(view, UINT64_MAX), n);
    view_put(view);
}

TEST(hosts_are_found_by_name_and_by_number)
{
    struct view *view = made_up_view(0);

    CHECK_EQ(view_host_by_name(view, "hdd")->number, 2);
    CHECK_STR(view_host_by_number(view, 1)->name, "ssd");
    CHECK(!view_host_by_name(view, "tape"));
    CHECK(!view_host_by_number(view, 0));
    view_put(view);
}

TEST(an_empty_view_holds_nothing)
{
    struct view *view = view_open(0, 0);

    REQUIRE(view);
    CHECK(!view_volume_by_name(view, "a"));
    CHECK(!view_volume_by_number(view, 1));
    CHECK(!view_host_by_name(view, "a"));
    view_put(view);
    view_put(NULL);
}

TEST(nothing_is_there_before_the_first_view)
{
    struct view_store *store = view_store_open();

    REQUIRE(store);
    CHECK(!view_get(store));
    view_store_close(store);
    view_store_close(NULL);
}

TEST(a_reader_keeps_its_view_when_the_next_is_published)
{
    struct view_store *store = view_store_open();
    struct view *kept;

    view_publish(store, made_up_view(2));
    kept = view_get(store);
    view_publish(store, made_up_view(1));
    CHECK_EQ(kept->n_volumes, 2);
    CHECK_STR(view_volume_nth(kept, 1)->name, "vol00002");
    view_put(kept);
    kept = view_get(store);
    CHECK_EQ(kept->n_volumes, 1);
    view_store_close(store);
    CHECK_STR(view_volume_nth(kept, 0)->name, "vol00001");
    view_put(kept);
}

TEST(what_did_not_change_is_shared_by_views)
{
    const size_t n = 2 * VIEW_PIECE;
    struct view *first = made_up_view(n), *second = view_open_like(first, 1);
    struct view_volume *volume = made_up_volume(2);

    REQUIRE(second);
    second->hosts[0] = view_host_ref(first->hosts[0]);
    volume->meter = meter_open();
    volume->size_bytes = 7;
    REQUIRE(view_set(second, 1, volume) == 0);
    CHECK(second->pieces[0] != first->pieces[0]);
    CHECK(second->pieces[1] == first->pieces[1]);
    CHECK_EQ(view_volume_by_name(first, "vol00002")->size_bytes, 1048576);
    CHECK(view_volume_at(first, 0) == view_volume_at(second, 0));
    view_put(first);
    CHECK_EQ(view_volume_by_name(second, "vol00002")->size_bytes, 7);
    CHECK_STR(view_volume_by_number(second, n)->name, "vol00512");
    CHECK_STR(second->hosts[0]->name, "ssd");
    volume = made_up_volume(2); /* nobody else sees the piece now: it is no copy */
    REQUIRE(view_set(second, 1, volume) == 0);
    CHECK(view_volume_at(second, 1) == volume);
    view_put(second);
}

TEST(a_view_that_was_not_filled_is_let_go_of)
{
    struct view *view = view_open(5, 5);
    struct view_host *host = view_host_open();

    host->taken = calloc(2, sizeof(*host->taken));
    host->taken[0] = strdup("lost+found");
    host->n_taken = 1;
    view->hosts[2] = host;
    view_put(view);
}

struct race {
    struct view_store *store;
    atomic_bool stop;
    atomic_uint wrong;
};

static void *read_views(void *arg)
{
    struct race *race = arg;

    while (!atomic_load(&race->stop)) {
        OWNED(view) struct view *view = view_get(race->store);
        struct view_volume *volume = view_volume_by_name(view, "vol00001");

        /* Size and meter are set to the same number: a torn view would differ. */
        if (!volume || volume->size_bytes > atomic_load(&volume->meter->done_bytes))
            atomic_fetch_add(&race->wrong, 1);
    }
    return NULL;
}

TEST(many_readers_see_whole_views_while_they_change)
{
    struct race race = {.store = view_store_open()};
    pthread_t threads[3];
    struct meter *meter = meter_open();

    for (uint64_t i = 0; i < 2000; i++) {
        struct view *view = made_up_view(2);

        atomic_store(&meter->done_bytes, i);
        view_volume_at(view, 0)->size_bytes = i;
        view_volume_at(view, 0)->meter = meter;
        atomic_fetch_add(&meter->refs, 1);
        view_publish(race.store, view);
        for (size_t t = 0; i == 0 && t < 3; t++)
            REQUIRE(pthread_create(&threads[t], NULL, read_views, &race) == 0);
    }
    atomic_store(&race.stop, true);
    for (size_t t = 0; t < 3; t++)
        pthread_join(threads[t], NULL);
    CHECK_EQ(atomic_load(&race.wrong), 0);
    meter_close(meter);
    view_store_close(race.store);
}

TEST_MAIN
