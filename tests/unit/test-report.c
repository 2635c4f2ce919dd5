/* The whole texts of .control, from what is recorded. */
#include <stdlib.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/migration.h"
#include "tests/unit/fresh-catalog.h"

TEST(a_job_during_which_the_clock_was_set_back_took_no_time)
{
    WORLD world = make_world();
    OWNED(catalog) struct catalog *catalog = open_catalog(&world);
    struct service s = {.catalog = catalog};
    struct history history = history_of(7);
    OWNED(mem) char *text = NULL;

    history.started_at_s = 1700000010;
    history.ended_at_s = 1700000007;
    history.bytes = 5;
    REQUIRE(catalog_put_history(catalog, &history) == 0);
    REQUIRE(catalog_commit(catalog, &world.e) == 0);
    text = report_history(&s);
    REQUIRE(text);
    CHECK_STR(text, "7 db1 2023-11-14T22:13:30Z 2023-11-14T22:13:27Z ssd hdd success null 5 0 0\n");
}

TEST_MAIN
