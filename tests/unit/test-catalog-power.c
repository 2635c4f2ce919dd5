/*
 * A power cut during a commit: of what was written since the last flush, any part may be on the
 * disk. The commit's writes are taped, pages that were not yet flushed are dropped in every way
 * that is likely to hurt (each one alone, all but each one, every beginning, every end, and at
 * random), and what is left is opened.
 */
#include "tests/unit/faulty-catalog.h"
#include "tests/unit/format-1.h"

#define N_TAPED    4096
#define PAGE_BYTES 4096
#define N_SAMPLES  40
#define GROWTH     (8u << 20)

struct taped {
    enum call call;
    ino_t inode;
    uint8_t *bytes; /* of a write */
    uint64_t offset;
    size_t n; /* of a write; the size, of a truncation */
};

static struct taped tape[N_TAPED];
static size_t n_taped;

static void tape_call(enum call call, int fd, const void *bytes, size_t n, uint64_t offset)
{
    struct stat st;
    struct taped *taped = &tape[n_taped];

    if (call == CALL_OPEN || call == CALL_UNLINK)
        return;
    REQUIRE(n_taped < N_TAPED && fstat(fd, &st) == 0);
    *taped = (struct taped){.call = call, .inode = st.st_ino, .offset = offset, .n = n};
    if (call == CALL_WRITE) {
        taped->bytes = malloc(n);
        REQUIRE(taped->bytes);
        memcpy(taped->bytes, bytes, n);
    }
    n_taped++;
}

static void tape_start(void)
{
    while (n_taped > 0)
        free(tape[--n_taped].bytes);
    plan->tape = tape_call;
}

static ino_t inode_of(const char *path)
{
    struct stat st = {0};

    REQUIRE(stat(path, &st) == 0);
    return st.st_ino;
}

/* The disk: what is surely on it, and the writes that may be, page by page. */
struct disk {
    uint8_t *bytes;
    size_t n, cap;
};

struct page {
    const uint8_t *bytes; /* NULL: the file's size alone */
    uint64_t offset;
    size_t n;
};

static void put_page(struct disk *disk, const struct page *page)
{
    size_t end = (size_t)page->offset + page->n;

    REQUIRE(end <= disk->cap);
    if (page->bytes)
        memcpy(disk->bytes + page->offset, page->bytes, page->n);
    if (end > disk->n)
        disk->n = end;
}

/* Cut a write where pages end. Returns how many. */
static size_t cut(const struct taped *taped, struct page *pages)
{
    size_t n = 0;

    if (taped->call == CALL_TRUNCATE) {
        pages[0] = (struct page){NULL, 0, taped->n};
        return 1;
    }
    for (size_t at = 0, length; at < taped->n; at += length) {
        uint64_t offset = taped->offset + at;

        length = PAGE_BYTES - offset % PAGE_BYTES;
        if (length > taped->n - at)
            length = taped->n - at;
        pages[n++] = (struct page){taped->bytes + at, offset, length};
    }
    return n;
}

enum cut_way { CUT_ONE, CUT_ALL_BUT_ONE, CUT_END, CUT_BEGINNING, CUT_RANDOM, CUT_WAY_N };

static bool is_kept(enum cut_way way, size_t at, size_t i)
{
    switch (way) {
    case CUT_ONE:
        return i != at;
    case CUT_ALL_BUT_ONE:
        return i == at;
    case CUT_END:
        return i < at;
    case CUT_BEGINNING:
        return i >= at;
    default:
        return random() % 2 == 0;
    }
}

static void check_disk(struct world *world, const struct disk *disk, bool returned)
{
    enum state state;

    write_image(world, disk->bytes, disk->n);
    state = open_again(world);
    CHECK(returned ? state == STATE_NEW : state == STATE_OLD || state == STATE_NEW);
    world->n_runs++;
    world->n_success += state == STATE_NEW;
    world->n_failure += state == STATE_OLD;
}

/* Many pages are sampled: 40 of them, evenly. */
static void lose_some(struct world *world, const struct disk *sure, const struct page *pages,
                      size_t n_pages, bool returned)
{
    struct disk disk = {malloc(sure->cap), 0, sure->cap};
    size_t step = n_pages / N_SAMPLES + 1;

    REQUIRE(disk.bytes);
    for (int way = 0; way < CUT_WAY_N; way++) {
        for (size_t at = 0; at <= n_pages; at += step) {
            memcpy(disk.bytes, sure->bytes, sure->cap);
            disk.n = sure->n;
            for (size_t i = 0; i < n_pages; i++)
                if (is_kept((enum cut_way)way, at, i))
                    put_page(&disk, &pages[i]);
            check_disk(world, &disk, returned);
        }
    }
    free(disk.bytes);
}

static void cut_the_power(struct world *world)
{
    struct catalog *catalog;
    struct page *pages = calloc(N_TAPED * 4, sizeof(*pages));
    struct disk sure = {calloc(1, world->n + GROWTH), world->n, world->n + GROWTH};
    size_t n_pages = 0, n_flushes = 0, n_all;
    ino_t inode = inode_of(world->file);
    struct err e;

    REQUIRE(pages && sure.bytes);
    srandom(1);
    memcpy(sure.bytes, world->image, world->n);
    plan_nothing();
    catalog = open_catalog(world);
    REQUIRE(catalog);
    stage_epoch(catalog, 2, world->n_changed);
    tape_start();
    CHECK_EQ(catalog_commit(catalog, &e), 0);
    plan_nothing();
    catalog_close(catalog);
    n_all = n_taped;
    for (size_t i = 0; i < n_all; i++) {
        REQUIRE(tape[i].inode == inode);
        if (tape[i].call != CALL_FSYNC) {
            n_pages += cut(&tape[i], pages + n_pages);
            REQUIRE(n_pages < N_TAPED * 2);
            continue;
        }
        lose_some(world, &sure, pages, n_pages, false);
        for (size_t k = 0; k < n_pages; k++)
            put_page(&sure, &pages[k]);
        n_pages = 0;
        n_flushes++;
    }
    CHECK(n_flushes == 4 || n_flushes == 8); /* tdb packs a file that grew, in a transaction */
    CHECK_EQ(n_pages, 0);                    /* nothing is written behind the last flush */
    check_disk(world, &sure, true);
    free(sure.bytes);
    free(pages);
}

TEST(a_power_cut_in_a_commit_leaves_the_old_state_or_the_new)
{
    WORLD world;

    world_open(&world, false);
    cut_the_power(&world);
    CHECK(world.n_success > 0 && world.n_failure > 0);
}

TEST(a_power_cut_in_a_commit_that_grows_the_file_leaves_the_old_state_or_the_new)
{
    WORLD world;

    world_open(&world, true);
    cut_the_power(&world);
    CHECK(world.n_success > 0 && world.n_failure > 0);
}

/* The number of the first such call from a place on; n_taped: none. */
static size_t find_call(enum call call, ino_t inode, size_t from)
{
    while (from < n_taped && (tape[from].call != call || tape[from].inode != inode))
        from++;
    return from;
}

/* A kill keeps what is in the page cache, and a power cut after it does not. */
TEST(what_a_start_shows_is_flushed_before_it_is_shown)
{
    WORLD world;
    struct catalog *catalog;

    world_open(&world, false);
    tape_start();
    catalog = open_catalog(&world);
    plan_nothing();
    REQUIRE(catalog);
    CHECK(find_call(CALL_FSYNC, inode_of(world.file), 0) < n_taped);
    CHECK(find_call(CALL_FSYNC, inode_of(world.state), 0) < n_taped);
    catalog_close(catalog);
}

/* Of what is taped: nothing of the new file is left to be written when it takes the old one's
 * place.
 */
static void check_flushed_before_renamed(const struct world *world, ino_t old)
{
    ino_t new = inode_of(world->file);
    size_t renamed = find_call(CALL_RENAME, inode_of(world->state), 0);
    size_t flushed = find_call(CALL_FSYNC, new, 0);

    CHECK(new != old);
    CHECK(flushed < renamed && renamed < n_taped);
    CHECK(find_call(CALL_WRITE, new, 0) < flushed);
    CHECK_EQ(find_call(CALL_WRITE, new, flushed), n_taped);
    CHECK_EQ(find_call(CALL_TRUNCATE, new, flushed), n_taped);
    CHECK(find_call(CALL_FSYNC, inode_of(world->state), renamed) < n_taped);
}

TEST(a_new_file_is_flushed_before_it_takes_the_old_ones_place)
{
    WORLD world;
    struct catalog *catalog;
    struct err e;
    ino_t old;

    world_open(&world, false);
    catalog = open_catalog(&world);
    REQUIRE(catalog);
    old = inode_of(world.file);
    stage_epoch(catalog, 2, world.n_changed);
    tape_start();
    plan->fail_first = 1;
    plan_arm();
    CHECK_EQ(catalog_commit(catalog, &e), -EIO);
    plan_nothing();
    check_flushed_before_renamed(&world, old);
    catalog_close(catalog);
}

TEST(a_power_cut_while_format_1_is_brought_over_leaves_the_old_file_or_the_new)
{
    WORLD world;
    struct catalog *catalog;
    ino_t old;

    world_open(&world, false);
    make_format_1(world.file);
    old = inode_of(world.file);
    tape_start();
    catalog = open_catalog(&world);
    plan_nothing();
    REQUIRE(catalog);
    check_flushed_before_renamed(&world, old);
    CHECK_EQ(find_call(CALL_WRITE, old, 0), n_taped);
    CHECK_EQ(find_call(CALL_TRUNCATE, old, 0), n_taped);
    CHECK_EQ(state_of(&world, catalog), STATE_OLD);
    catalog_close(catalog);
}

TEST_MAIN
