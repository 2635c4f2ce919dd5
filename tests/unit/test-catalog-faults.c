/*
 * Every system call of a commit fails, comes up short, or is the last before a kill or a power cut;
 * then the catalogue is opened again. What is asserted: a commit that returned 0 is there, one that
 * returned an error is not, one that was killed is there whole or not at all, and the
 * catalogue always opens and can be written.
 */
#include "tests/unit/faulty-catalog.h"
#include "tests/unit/format-1.h"

/* Run something in a child until it is killed or ends by killing itself. */
static void run_child(struct world *world, void (*fn)(struct world *))
{
    pid_t pid;
    int status;

    *world->account = (struct account){0};
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        fn(world);
        syscall(SYS_kill, getpid(), SIGKILL);
    }
    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
    plan->armed = false;
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void note(struct world *world, struct catalog *catalog, int result)
{
    plan->armed = false;
    world->account->memory = state_of(world, catalog);
    world->account->doubt = catalog_doubt(catalog);
    world->account->result = result;
    world->account->returned = true;
}

static void commit(struct world *world, int (*fn)(struct catalog *, struct err *), bool again)
{
    struct catalog *catalog = open_catalog(world);
    struct err e = {0};
    int r;

    REQUIRE(catalog);
    stage_epoch(catalog, 2, world->n_changed);
    plan_arm();
    r = fn(catalog, &e);
    note(world, catalog, r);
    if (!again)
        return;
    stage_epoch(catalog, 2, world->n_changed);
    world->account->second = fn(catalog, &e);
    world->account->memory = state_of(world, catalog);
}

static void commit_plainly(struct world *world)
{
    commit(world, catalog_commit, false);
}

static void commit_confirmed(struct world *world)
{
    commit(world, catalog_commit_confirmed, false);
}

static void commit_and_try_again(struct world *world)
{
    commit(world, catalog_commit, true);
}

static void check_account(struct world *world, enum state found)
{
    const struct account *account = world->account;

    world->n_runs++;
    if (!account->returned) {
        world->n_killed++;
        return;
    }
    if (account->result == 0) {
        world->n_success++;
        CHECK_EQ(account->memory, STATE_NEW);
        CHECK_EQ(found, STATE_NEW);
        return;
    }
    CHECK_EQ(account->memory, STATE_OLD);
    CHECK_EQ(account->doubt, account->result == -ENOTRECOVERABLE);
    if (account->doubt) {
        world->n_doubt++;
    } else {
        world->n_failure++;
        CHECK_EQ(found, STATE_OLD);
    }
}

/* One row a way to go wrong. */
static const struct way {
    enum action action;
    int error;
    bool for_ever;
} ways[] = {
    {ACT_FAIL, EIO, false},      {ACT_FAIL, EIO, true},     {ACT_FAIL, ENOSPC, false},
    {ACT_FAIL, ENOSPC, true},    {ACT_SHORT, 0, false},     {ACT_SHORT, 0, true},
    {ACT_KILL_BEFORE, 0, false}, {ACT_KILL_HALF, 0, false}, {ACT_KILL_AFTER, 0, false},
};

static void plan_way(const struct way *way, const struct plan *base, unsigned fail_at)
{
    *plan = *base;
    plan->action = way->action;
    plan->error = way->error;
    plan->for_ever = way->for_ever;
    plan->fail_at = fail_at;
}

#ifdef FERRYFS_SANITIZED
#define STRIDE 12 /* forks are slow there */
#else
#define STRIDE 1
#endif

/* Every way for every call, under a sanitizer a twelfth of that; but of the many calls in the
 * middle of a long row, which write one page after the other, each gets one of the ways, by turns,
 * unless EVERY=1 (tests/nightly). */
static bool is_swept(unsigned call, unsigned n_calls, size_t way)
{
    const char *every = getenv("EVERY");

    if (n_calls < 60 || call <= 12 || call + 8 > n_calls || (every && strcmp(every, "1") == 0))
        return (call + way) % STRIDE == 0;
    return call % (STRIDE * ARRAY_N(ways)) == STRIDE * way;
}

/* How many calls it makes when nothing befalls it. */
static unsigned count_calls(struct world *world, const struct plan *base,
                            void (*fn)(struct world *))
{
    *plan = *base;
    write_image(world, world->image, world->n);
    run_child(world, fn);
    return plan->n_calls;
}

static void sweep(struct world *world, const struct plan *base, void (*fn)(struct world *))
{
    unsigned n_calls = count_calls(world, base, fn);

    CHECK(n_calls >= 8);
    printf("# %u calls\n", n_calls);
    for (unsigned fail_at = 1; fail_at <= n_calls; fail_at++) {
        for (size_t i = 0; i < ARRAY_N(ways); i++) {
            unsigned failures = check_failures;

            if (!is_swept(fail_at, n_calls, i))
                continue;
            plan_way(&ways[i], base, fail_at);
            write_image(world, world->image, world->n);
            run_child(world, fn);
            check_account(world, open_again(world));
            if (check_failures != failures)
                printf("# at call %u of %u, way %zu: result %d, memory %d\n", fail_at, n_calls, i,
                       world->account->result, world->account->memory);
        }
    }
}

static const struct plan no_plan;

TEST(the_calls_of_tdb_and_of_the_catalogue_are_really_intercepted)
{
    WORLD world;
    unsigned last_write;

    world_open(&world, true);
    count_calls(&world, &no_plan, commit_plainly);
    last_write = plan->last_of[CALL_WRITE];
    CHECK(plan->n_of[CALL_FSYNC] >= 4);
    CHECK(plan->n_of[CALL_WRITE] >= 10);
    CHECK(plan->n_of[CALL_ALLOCATE] >= 1);
    plan_nothing();
    plan->no_allocate = true;
    write_image(&world, world.image, world.n);
    run_child(&world, commit_plainly);
    CHECK(plan->n_of[CALL_TRUNCATE] >= 1);
    plan_nothing();
    plan->fail_first = last_write;
    write_image(&world, world.image, world.n);
    run_child(&world, commit_plainly);
    CHECK_EQ(plan->n_of[CALL_RENAME], 1);
    CHECK(plan->n_of[CALL_OPEN] >= 1);
}

TEST(a_commit_survives_every_fault)
{
    WORLD world;

    world_open(&world, false);
    sweep(&world, &no_plan, commit_plainly);
    CHECK(world.n_success > 0 && world.n_failure > 0 && world.n_doubt > 0 && world.n_killed > 0);
}

TEST(a_confirmed_commit_survives_every_fault)
{
    WORLD world;

    world_open(&world, false);
    sweep(&world, &no_plan, commit_confirmed);
}

TEST(a_confirmed_commit_survives_every_failing_read)
{
    WORLD world;
    struct plan reads = {.reads = true};
    unsigned n_calls;

    world_open(&world, false);
    n_calls = count_calls(&world, &reads, commit_confirmed);
    printf("# %u calls\n", n_calls);
    for (unsigned fail_at = 1; fail_at <= n_calls; fail_at++) {
        for (size_t i = 0; i < 2; i++) {
            plan_way(&ways[i], &reads, fail_at);
            write_image(&world, world.image, world.n);
            run_child(&world, commit_confirmed);
            check_account(&world, open_again(&world));
        }
    }
}

TEST(a_commit_that_grows_the_file_survives_every_fault)
{
    WORLD world;

    world_open(&world, true);
    sweep(&world, &no_plan, commit_plainly);
    CHECK(world.n_untidy > 0);
}

TEST(a_commit_that_grows_the_file_without_fallocate_survives_every_fault)
{
    WORLD world;
    struct plan no_allocate = {.no_allocate = true};

    world_open(&world, true);
    sweep(&world, &no_allocate, commit_plainly);
}

/* The commit's last write fails: tdb says 0 and would roll back later. */
TEST(making_the_catalogue_anew_survives_every_fault)
{
    WORLD world;
    struct plan unknown = {0};

    world_open(&world, false);
    count_calls(&world, &no_plan, commit_plainly);
    unknown.fail_first = plan->last_of[CALL_WRITE];
    sweep(&world, &unknown, commit_plainly);
    CHECK_EQ(world.n_success, 0);
    CHECK(world.n_failure > 0 && world.n_doubt > 0);
}

TEST(after_a_single_fault_the_same_commit_can_be_tried_again)
{
    WORLD world;
    unsigned n_calls;

    world_open(&world, false);
    n_calls = count_calls(&world, &no_plan, commit_plainly);
    for (unsigned fail_at = 1; fail_at <= n_calls; fail_at++) {
        plan_way(&ways[0], &no_plan, fail_at);
        write_image(&world, world.image, world.n);
        run_child(&world, commit_and_try_again);
        CHECK_EQ(world.account->result, -EIO);
        CHECK_EQ(world.account->second, 0);
        CHECK_EQ(open_again(&world), STATE_NEW);
    }
}

TEST(after_a_lasting_fault_the_catalogue_is_in_doubt_until_a_restart)
{
    WORLD world;

    world_open(&world, false);
    plan_way(&ways[1], &no_plan, 1);
    run_child(&world, commit_and_try_again);
    CHECK_EQ(world.account->result, -ENOTRECOVERABLE);
    CHECK_EQ(world.account->second, -ENOTRECOVERABLE);
    CHECK(world.account->doubt);
    CHECK_EQ(open_again(&world), STATE_OLD);
}

static void open_only(struct world *world)
{
    struct catalog *catalog = NULL;
    struct err e;
    int r;

    plan_arm();
    r = catalog_open(world->state, &catalog, &e);
    plan->armed = false;
    world->account->returned = true;
    world->account->result = r;
    if (r == 0)
        world->account->memory = state_of(world, catalog);
    if (r == 0)
        world->account->doubt = catalog_doubt(catalog);
}

/* wanted: what every later start must show; before: how the file is put into its place. */
static void sweep_open(struct world *world, enum state wanted, void (*before)(struct world *))
{
    unsigned n_calls;

    plan_nothing();
    before(world);
    run_child(world, open_only);
    CHECK_EQ(world->account->result, 0);
    n_calls = plan->n_calls;
    printf("# %u calls\n", n_calls);
    for (unsigned fail_at = 1; fail_at <= n_calls; fail_at++) {
        for (size_t i = 0; i < ARRAY_N(ways); i++) {
            if (!is_swept(fail_at, n_calls, i))
                continue;
            before(world);
            plan_way(&ways[i], &no_plan, fail_at);
            run_child(world, open_only);
            if (world->account->returned && world->account->result == 0)
                CHECK_EQ(world->account->memory, wanted);
            CHECK_EQ(open_again(world), wanted);
            world->n_runs++;
            world->n_doubt += world->account->doubt;
        }
    }
}

static void put_image(struct world *world)
{
    write_image(world, world->image, world->n);
}

/* Leave behind what a kill leaves when the last page is written and not yet flushed: tdb has to
 * roll back. */
static void world_of_killed_commit(struct world *world, bool tight)
{
    world_open(world, tight);
    count_calls(world, &no_plan, commit_plainly);
    plan_way(&ways[ARRAY_N(ways) - 1], &no_plan, plan->fsync_at[2] - 1);
    write_image(world, world->image, world->n);
    run_child(world, commit_plainly);
    CHECK(!world->account->returned);
    read_image(world);
}

TEST(rolling_back_at_a_start_survives_every_fault)
{
    WORLD world;

    world_of_killed_commit(&world, false);
    sweep_open(&world, STATE_OLD, put_image);
}

TEST(making_an_untidy_file_anew_at_a_start_survives_every_fault)
{
    WORLD world;

    world_of_killed_commit(&world, true);
    sweep_open(&world, STATE_OLD, put_image);
    CHECK(world.n_untidy > 0);
    CHECK(world.n_doubt > 0);
}

TEST(a_start_that_brings_format_1_over_survives_every_fault)
{
    WORLD world;

    world_open(&world, true);
    make_format_1(world.file);
    read_image(&world);
    sweep_open(&world, STATE_OLD, put_image);
    CHECK(world.n_untidy > 0);
    CHECK(world.n_doubt > 0);
}

static void remove_state(struct world *world)
{
    if (access(world->state, F_OK) == 0)
        REQUIRE(nftw(world->state, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

TEST(making_the_first_catalogue_survives_every_fault)
{
    WORLD world;

    world_open(&world, false);
    sweep_open(&world, STATE_EMPTY, remove_state);
}

TEST_MAIN
