/*
 * A catalogue that faults befall: for the tests that let system calls fail and the power go.
 */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <sys/wait.h>
#include <tdb.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "fs/catalog/catalog.h"
#include "tests/unit/check.h"
#include "tests/unit/intercept.h"

#define N_CHANGED       10
#define N_CHANGED_TIGHT 450 /* over 100 kB: tdb grows by twice as much, else by a hundred times */
#define N_FILLING       6000
#define PATH_BYTES      96

enum state { STATE_EMPTY, STATE_OLD, STATE_NEW, STATE_MIXED };

/* What a child did and saw, for its parent. */
struct account {
    bool returned;
    int result, second;
    enum state memory;
    bool doubt;
};

struct world {
    char folder[PATH_BYTES], state[PATH_BYTES + 16], file[PATH_BYTES + 32];
    uint64_t n_changed; /* volumes */
    uint8_t *image;     /* of the file, before each run */
    size_t n;
    struct account *account; /* shared with children */
    unsigned n_runs, n_killed, n_success, n_failure, n_doubt, n_untidy;
};

static struct volume volume_of(uint64_t number, uint64_t epoch)
{
    struct volume volume = {.number = number, .epoch = epoch, .host = "ssd"};

    memcpy(volume.uuid, &number, sizeof(number));
    snprintf(volume.name, sizeof(volume.name), "volume-%" PRIu64, number);
    if (epoch > 1) /* longer: it does not fit where the old one was */
        memset(volume.last_error, 'e', sizeof(volume.last_error) - 1);
    return volume;
}

/* From epoch 1 to epoch 2 of all volumes, a job that comes, a copy that goes: one change. */
static void stage_epoch(struct catalog *catalog, uint64_t epoch, uint64_t n)
{
    struct copy copy = {.cid = {1}, .name = "a-copy", .host = "hdd"};
    struct job job = {.number = 1, .source = "ssd", .destination = "hdd"};

    for (uint64_t number = 1; number <= n; number++) {
        struct volume volume = volume_of(number, epoch);

        REQUIRE(catalog_put_volume(catalog, &volume) == 0);
    }
    REQUIRE((epoch == 1 ? catalog_put_copy(catalog, &copy)
                        : catalog_drop_copy(catalog, copy.cid)) == 0);
    REQUIRE((epoch == 1 ? catalog_drop_job(catalog, 1) : catalog_put_job(catalog, &job)) == 0);
}

struct tally {
    uint64_t n[3];
};

static int tally_volume(const struct volume *volume, void *arg)
{
    struct tally *tally = arg;

    tally->n[volume->epoch < 3 ? volume->epoch : 0]++;
    return 0;
}

static enum state state_of(const struct world *world, const struct catalog *catalog)
{
    struct tally tally = {0};
    uuid_t cid = {1};
    struct copy copy;
    struct job job;
    bool has_copy = catalog_get_copy(catalog, cid, &copy) == 0;
    bool has_job = catalog_get_job(catalog, 1, &job) == 0;

    REQUIRE(catalog_each_volume(catalog, tally_volume, &tally) == 0);
    if (tally.n[1] == world->n_changed && tally.n[2] == 0 && has_copy && !has_job)
        return STATE_OLD;
    if (tally.n[2] == world->n_changed && tally.n[1] == 0 && !has_copy && has_job)
        return STATE_NEW;
    if (tally.n[1] + tally.n[2] == 0 && !has_copy && !has_job)
        return STATE_EMPTY;
    return STATE_MIXED;
}

static struct catalog *open_catalog(struct world *world)
{
    struct catalog *catalog = NULL;
    struct err e = {0};

    if (catalog_open(world->state, &catalog, &e) < 0)
        printf("# call %u, action %d: %s\n", plan->fail_at, plan->action, e.text);
    return catalog;
}

static void read_image(struct world *world)
{
    OWNED(fd) int fd = open(world->file, O_RDONLY | O_CLOEXEC);
    struct stat st;

    REQUIRE(fd >= 0 && fstat(fd, &st) == 0);
    free(world->image);
    world->n = (size_t)st.st_size;
    world->image = malloc(world->n);
    REQUIRE(world->image && io_pread(fd, world->image, world->n, 0, NULL) == 0);
}

/* Pages of zeroes become holes: most of the file is room. */
static void write_image(const struct world *world, const uint8_t *image, size_t n)
{
    static const uint8_t zeroes[4096];
    OWNED(fd) int fd = open(world->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    REQUIRE(fd >= 0 && ftruncate(fd, (off_t)n) == 0);
    for (size_t at = 0, length; at < n; at += length) {
        length = n - at < sizeof(zeroes) ? n - at : sizeof(zeroes);
        if (memcmp(image + at, zeroes, length) != 0)
            REQUIRE(io_pwrite(fd, image + at, length, at) == 0);
    }
}

static int copy_record(struct tdb_context *from, TDB_DATA key, TDB_DATA data, void *to)
{
    (void)from;
    return tdb_store(to, key, data, TDB_INSERT);
}

/* The same records in a file without room: the next commit grows it. */
static void make_tight(const struct world *world)
{
    char tight[sizeof(world->file) + 8];
    struct tdb_context *from, *to;

    snprintf(tight, sizeof(tight), "%s.tight", world->file);
    from = tdb_open(world->file, 0, TDB_NOMMAP, O_RDWR, 0);
    to = tdb_open(tight, 127, TDB_NOMMAP, O_RDWR | O_CREAT | O_EXCL, 0600);
    REQUIRE(from && to && tdb_traverse(from, copy_record, to) > 0);
    REQUIRE(tdb_close(from) == 0 && tdb_close(to) == 0 && rename(tight, world->file) == 0);
}

static void world_open(struct world *world, bool tight)
{
    struct catalog *catalog;
    struct err e;

    *world = (struct world){.n_changed = tight ? N_CHANGED_TIGHT : N_CHANGED};
    snprintf(world->folder, PATH_BYTES, "%s/test-catalog-faults-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    REQUIRE(mkdtemp(world->folder));
    snprintf(world->state, sizeof(world->state), "%s/state", world->folder);
    snprintf(world->file, sizeof(world->file), "%s/catalogue.tdb", world->state);
    world->account = mmap(NULL, sizeof(*world->account), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(world->account != MAP_FAILED);
    catalog = open_catalog(world);
    REQUIRE(catalog);
    stage_epoch(catalog, 1, world->n_changed);
    REQUIRE(catalog_commit(catalog, &e) == 0);
    catalog_close(catalog);
    if (tight)
        make_tight(world);
    read_image(world);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void world_close(struct world *world)
{
    printf("# %u runs: %u killed, %u committed, %u failed, %u in doubt; %u were made anew at the "
           "next start\n",
           world->n_runs, world->n_killed, world->n_success, world->n_failure, world->n_doubt,
           world->n_untidy);
    free(world->image);
    REQUIRE(munmap(world->account, sizeof(*world->account)) == 0);
    REQUIRE(nftw(world->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

#define WORLD __attribute__((cleanup(world_close))) struct world

static void plan_nothing(void)
{
    memset(plan, 0, sizeof(*plan));
}

/* Open what a run left; it must open, be one of the two states, and take a commit. */
static enum state open_again(struct world *world)
{
    OWNED(catalog) struct catalog *catalog = NULL;
    enum state state;
    struct err e = {0};

    plan->fail_at = plan->fail_first = 0;
    plan_arm();
    catalog = open_catalog(world);
    plan->armed = false;
    CHECK(catalog);
    if (!catalog)
        return STATE_MIXED;
    world->n_untidy += plan->n_of[CALL_RENAME] > 0 && world->n > 0;
    CHECK(!catalog_doubt(catalog));
    state = state_of(world, catalog);
    CHECK(state != STATE_MIXED);
    stage_epoch(catalog, 3, 2);
    CHECK_EQ(catalog_commit_confirmed(catalog, &e), 0);
    return state;
}
