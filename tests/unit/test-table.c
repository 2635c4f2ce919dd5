#include "fs/migrate/table.h"

#include "fs/migrate/world.h"
#include "tests/unit/check.h"

#define N 1000

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void check_order(struct roll *roll, size_t n)
{
    const struct table *t = roll_in_order(roll);

    CHECK_EQ(t->n, n);
    for (size_t i = 1; i < t->n; i++)
        CHECK(by_value(t->items[i - 1], t->items[i]) < 0);
}

/* In batches, each of which goes in between what was there. */
TEST(a_roll_is_in_order_however_things_came)
{
    struct roll roll = {.cmp = by_value};
    int values[N];

    for (int i = 0; i < N; i++) {
        values[i] = i * 389 % N;
        REQUIRE(roll_add(&roll, &values[i]) == 0);
        if (i % 97 == 0)
            check_order(&roll, (size_t)i + 1);
    }
    check_order(&roll, N);
    for (int i = 0; i < N; i += 2)
        roll_remove(&roll, &values[i]);
    check_order(&roll, N / 2);
    free(roll.table.items);
}

/* As numbers do, and what a catalogue has. */
TEST(what_comes_in_order_is_not_new)
{
    struct roll roll = {.cmp = by_value};
    int values[] = {1, 2, 3, 0, 4};

    for (int i = 0; i < 3; i++)
        REQUIRE(roll_add(&roll, &values[i]) == 0);
    CHECK_EQ(roll.n_new, 0);
    REQUIRE(roll_add(&roll, &values[3]) == 0);
    REQUIRE(roll_add(&roll, &values[4]) == 0);
    CHECK_EQ(roll.n_new, 2);
    roll_remove(&roll, &values[3]);
    check_order(&roll, 4);
    free(roll.table.items);
}

static struct vol *make_volume(int i)
{
    char name[16];
    struct vol *v;

    snprintf(name, sizeof(name), "v%d", i);
    v = vol_open(NULL, name);
    REQUIRE(v);
    return v;
}

TEST(volumes_are_found_by_their_names)
{
    struct vol *volumes[N], *twin = make_volume(7);
    struct names names = {0};

    CHECK(!names_find(&names, "v0"));
    for (int i = 0; i < N; i++) {
        volumes[i] = make_volume(i);
        CHECK_EQ(names_add(&names, volumes[i]), 0);
    }
    CHECK_EQ(names_add(&names, twin), -EEXIST);
    for (int i = 0; i < N; i += 2)
        names_remove(&names, volumes[i]);
    for (int i = 0; i < N; i++)
        CHECK(names_find(&names, volumes[i]->name) == (i % 2 ? volumes[i] : NULL));
    CHECK_EQ(names.n, N / 2);
    names_deinit(&names);
    for (int i = 0; i < N; i++)
        free(volumes[i]);
    free(twin);
}

TEST_MAIN
