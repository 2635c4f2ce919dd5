#include "copy/map.h"

#include <sched.h>
#include <sys/wait.h>

#include "copy/endpoint/file.h"
#include "copy/map_record.h"
#include "tests/unit/check.h"
#include "tests/unit/intercept.h"

#define KIB          UINT64_C(1024)
#define MIB          (UINT64_C(1) << 20)
#define SECTOR_BYTES 512
#define N_SECTORS    (MAP_PAGE_BYTES / SECTOR_BYTES)
#define N_UPDATES    7

static char folder[64], path[96];

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static struct map_key key_of_test(void)
{
    struct map_key key = {.size_bytes = 100 * MIB + 5, .mtime_ns = 1234, .block_bytes = 512 * KIB};

    memset(key.sample.bytes, 7, sizeof(key.sample.bytes));
    strcpy(key.destination, "/dev/somewhere 11 22");
    return key;
}

/* The mark that the i-th update tells of. */
static struct journal_mark mark_of(uint64_t i)
{
    return (struct journal_mark){i * 3 * 512 * KIB, i * UINT64_C(0x123456789)};
}

static bool same_mark(const struct journal_mark *a, const struct journal_mark *b)
{
    return a->low_bytes == b->low_bytes && a->above == b->above;
}

static unsigned n_names(void)
{
    unsigned n = 0;
    DIR *dir = opendir(folder);

    REQUIRE(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static void clear_folder(void)
{
    char command[256];

    snprintf(command, sizeof(command), "rm -rf %s && mkdir -m 700 %s", folder, folder);
    REQUIRE(system(command) == 0);
}

static struct map *open_or_bail(struct journal_mark *ret_mark)
{
    struct map_key key = key_of_test();
    struct map *map = NULL;
    struct err e = {0};

    if (map_open(path, &key, &map, ret_mark, &e) < 0)
        printf("# %s\n", e.text);
    REQUIRE(map);
    return map;
}

/* What opening says of the file as it is, and that it leaves it alone. */
static int refusal(const struct map_key *key, struct err *e)
{
    struct journal_mark mark = {5, 5};
    struct map *map = NULL;
    uint8_t before[MAP_FILE_BYTES], after_it[MAP_FILE_BYTES];
    int fd = open(path, O_RDONLY), r;

    REQUIRE(fd >= 0 && pread(fd, before, sizeof(before), 0) == (ssize_t)sizeof(before));
    *e = (struct err){0};
    r = map_open(path, key, &map, &mark, e);
    REQUIRE(pread(fd, after_it, sizeof(after_it), 0) == (ssize_t)sizeof(after_it));
    CHECK(memcmp(before, after_it, sizeof(before)) == 0);
    close(fd);
    CHECK((map != NULL) == (r == 0));
    CHECK(r == 0 || (mark.low_bytes == 5 && e->code == -r && e->text[0]));
    map_close(map);
    return r;
}

/* A map with two updates, in memory. */
static void make_bytes(uint8_t bytes[MAP_FILE_BYTES])
{
    struct map_key key = key_of_test();

    map_encode(&key, bytes);
    for (uint64_t i = 1; i <= 2; i++) {
        struct map_state state = {i + 1, key.block_bytes, mark_of(i)};

        map_encode_state(&key, &state, bytes + map_state_offset(&state));
    }
}

TEST(a_new_map_has_nothing_done_and_an_update_is_found_again)
{
    struct journal_mark mark = {1, 1}, wanted;
    struct map *map;

    clear_folder();
    CHECK(!map_exists(path));
    map = open_or_bail(&mark);
    CHECK(map_exists(path));
    CHECK(mark.low_bytes == 0 && mark.above == 0);
    for (uint64_t i = 1; i <= N_UPDATES; i++) {
        wanted = mark_of(i);
        CHECK_EQ(map_update(map, &wanted), 0);
        if (i % 2) {
            map_close(map);
            map = open_or_bail(&mark);
            CHECK(same_mark(&mark, &wanted));
        }
    }
    CHECK_EQ(n_names(), 1);
    CHECK_EQ(map_remove(map), 0);
    CHECK_EQ(n_names(), 0);
    map_close(NULL);
}

TEST(a_copy_of_another_source_or_to_another_destination_is_refused_and_told_why)
{
    struct map_key key = key_of_test(), other;
    struct journal_mark mark;
    struct err e;

    clear_folder();
    map_close(open_or_bail(&mark));
    CHECK_EQ(refusal(&key, &e), 0);
    other = key;
    other.size_bytes++;
    CHECK_EQ(refusal(&other, &e), -ESTALE);
    CHECK(strstr(e.text, "104857606") && strstr(e.text, "104857605"));
    other = key;
    other.mtime_ns = 0;
    CHECK_EQ(refusal(&other, &e), -ESTALE);
    CHECK(strstr(e.text, "time"));
    other = key;
    other.sample.bytes[DIGEST_BYTES - 1] ^= 1;
    CHECK_EQ(refusal(&other, &e), -ESTALE);
    CHECK(strstr(e.text, "contents"));
    other = key;
    other.destination[MAP_NAME_BYTES - 2] = 'x';
    CHECK_EQ(refusal(&other, &e), -ESTALE);
    CHECK(strstr(e.text, "destination"));
}

TEST(a_map_that_somebody_has_open_is_busy)
{
    struct map_key key = key_of_test();
    struct journal_mark mark;
    struct map *map;
    struct err e;

    clear_folder();
    map = open_or_bail(&mark);
    CHECK_EQ(refusal(&key, &e), -EBUSY);
    map_close(map);
    CHECK_EQ(refusal(&key, &e), 0);
}

/* Whatever the bytes are: refused, or one of the two last states of the right map. */
static int check_bytes(const uint8_t *bytes, size_t n)
{
    struct map_key key = key_of_test(), got = {0};
    struct map_state state;
    const char *why = NULL;
    int r = map_decode(bytes, n, &got, &state, &why);

    if (r < 0) {
        CHECK_EQ(r, -EBADMSG);
        CHECK(why && strncmp(why, "it ", 3) == 0);
        return r;
    }
    CHECK(memcmp(&got, &key, sizeof(key)) == 0 && !why);
    for (uint64_t i = 1; i <= 2; i++) {
        struct journal_mark mark = mark_of(i);

        if (state.sequence == i + 1 && same_mark(&state.mark, &mark))
            return 0;
    }
    CHECK(!"a state that nobody wrote");
    return 0;
}

TEST(every_torn_prefix_is_refused)
{
    uint8_t bytes[MAP_FILE_BYTES + 1] = {0};

    make_bytes(bytes);
    CHECK_EQ(check_bytes(bytes, MAP_FILE_BYTES), 0);
    for (size_t n = 0; n <= MAP_FILE_BYTES + 1; n++) {
        if (n != MAP_FILE_BYTES)
            CHECK_EQ(check_bytes(bytes, n), -EBADMSG);
    }
    for (size_t n = 0; n < MAP_FILE_BYTES; n++) { /* the size right, the rest never written */
        make_bytes(bytes);
        memset(bytes + n, 0, MAP_FILE_BYTES - n);
        check_bytes(bytes, MAP_FILE_BYTES);
    }
}

TEST(no_flipped_bit_makes_a_state_that_nobody_wrote)
{
    uint8_t bytes[MAP_FILE_BYTES];
    unsigned n_refused = 0;

    make_bytes(bytes);
    for (size_t i = 0; i < MAP_FILE_BYTES; i++) {
        uint8_t flips[] = {0xff, (uint8_t)(1u << (i * 7 % 8))};

        for (size_t k = 0; k < sizeof(flips); k++) {
            bytes[i] ^= flips[k];
            n_refused += check_bytes(bytes, MAP_FILE_BYTES) < 0 ? 1 : 0;
            bytes[i] ^= flips[k];
        }
    }
    CHECK_EQ(n_refused, 2 * MAP_PAGE_BYTES); /* the first page: each of them */
}

TEST(a_damaged_or_foreign_file_is_refused_and_left_alone)
{
    struct map_key key = key_of_test();
    uint8_t bytes[MAP_FILE_BYTES], whole[MAP_FILE_BYTES];
    struct err e;

    for (unsigned way = 0; way < 5; way++) {
        int fd;

        clear_folder();
        make_bytes(bytes);
        memcpy(whole, bytes, sizeof(whole));
        if (way == 0)
            memset(bytes, 'x', sizeof(bytes));
        else if (way == 1)
            bytes[100] ^= 1;
        else if (way == 2) /* both states */
            bytes[MAP_PAGE_BYTES] ^= 1, bytes[2 * MAP_PAGE_BYTES] ^= 1;
        else if (way == 3) /* one state twice */
            memcpy(bytes + MAP_PAGE_BYTES, bytes + 2 * MAP_PAGE_BYTES, MAP_PAGE_BYTES);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        REQUIRE(fd >= 0 && write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes));
        close(fd);
        CHECK_EQ(refusal(&key, &e), way < 3 ? -EBADMSG : 0);
        CHECK(way >= 3 || strstr(e.text, path));
    }
}

TEST(a_state_of_another_map_does_not_count)
{
    struct map_key key = key_of_test(), other = key, got;
    uint8_t bytes[MAP_FILE_BYTES], others[MAP_FILE_BYTES];
    struct map_state state;
    const char *why;

    other.mtime_ns++;
    map_encode(&key, bytes);
    map_encode(&other, others);
    memcpy(bytes + MAP_PAGE_BYTES, others + MAP_PAGE_BYTES, 2 * MAP_PAGE_BYTES);
    CHECK_EQ(map_decode(bytes, sizeof(bytes), &got, &state, &why), -EBADMSG);
}

TEST(two_states_that_were_not_made_one_after_the_other_are_refused)
{
    struct map_key key = key_of_test(), got;
    uint8_t bytes[MAP_FILE_BYTES];

    for (uint64_t sequence = 0; sequence < 9; sequence++) {
        struct map_state state = {sequence, key.block_bytes, mark_of(1)};
        const char *why;

        make_bytes(bytes); /* its states are 2 and 3 */
        map_encode_state(&key, &state, bytes + map_state_offset(&state));
        CHECK_EQ(map_decode(bytes, sizeof(bytes), &got, &state, &why),
                 sequence >= 1 && sequence <= 4 ? 0 : -EBADMSG);
    }
}

TEST(what_is_no_regular_file_is_not_even_opened)
{
    static const char *const ways[] = {"mkfifo $P", "mkdir $P", "ln -s /dev/zero $P",
                                       "ln -s nothing $P"};
    struct map_key key = key_of_test();
    struct journal_mark mark;
    struct map *map = NULL;
    struct err e;

    setenv("P", path, 1);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        clear_folder();
        REQUIRE(system(ways[i]) == 0);
        CHECK(map_exists(path));
        plan_arm();
        CHECK_EQ(map_open(path, &key, &map, &mark, &e), -EBADMSG);
        plan->armed = false;
        CHECK_EQ(plan->n_of[CALL_OPEN], 1); /* the directory */
        CHECK_EQ(n_names(), 1);
    }
}

/* Sectors of the page that is being written, in every combination, are on the disk; all that was
 * flushed is. */
static void check_tears(const uint8_t *before, const uint8_t *page, uint64_t offset, uint64_t i)
{
    for (unsigned combination = 0; combination < 1u << N_SECTORS; combination++) {
        struct journal_mark last = mark_of(i - 1), this = mark_of(i);
        uint8_t bytes[MAP_FILE_BYTES];
        struct map_state state = {0};
        struct map_key key;
        const char *why;

        memcpy(bytes, before, sizeof(bytes));
        for (unsigned s = 0; s < N_SECTORS; s++) {
            if (combination >> s & 1)
                memcpy(bytes + offset + s * SECTOR_BYTES, page + s * SECTOR_BYTES, SECTOR_BYTES);
        }
        CHECK_EQ(map_decode(bytes, sizeof(bytes), &key, &state, &why), 0);
        CHECK(same_mark(&state.mark, &last) || same_mark(&state.mark, &this));
    }
}

static struct {
    uint8_t page[MAP_PAGE_BYTES];
    uint64_t offset;
    unsigned n_writes, n_flushes;
} taped;

static void tape_update(enum call call, int fd, const void *bytes, size_t n, uint64_t offset)
{
    (void)fd;
    if (call == CALL_FSYNC) {
        taped.n_flushes++;
    } else if (call == CALL_WRITE) {
        CHECK_EQ(taped.n_flushes, 0); /* nothing is written after the flush */
        REQUIRE(n <= MAP_PAGE_BYTES);
        memcpy(taped.page, bytes, n);
        taped.offset = offset;
        taped.n_writes++;
    }
}

TEST(power_that_goes_during_an_update_leaves_this_state_or_the_last)
{
    struct journal_mark mark;
    uint8_t before[MAP_FILE_BYTES];
    struct map *map;
    int fd;

    clear_folder();
    map = open_or_bail(&mark);
    fd = open(path, O_RDONLY);
    for (uint64_t i = 1; i <= 3; i++) {
        REQUIRE(pread(fd, before, sizeof(before), 0) == (ssize_t)sizeof(before));
        memset(&taped, 0, sizeof(taped));
        plan->tape = tape_update;
        mark = mark_of(i);
        CHECK_EQ(map_update(map, &mark), 0);
        plan->tape = NULL;
        CHECK(taped.n_writes == 1 && taped.n_flushes == 1);
        check_tears(before, taped.page, taped.offset, i);
    }
    close(fd);
    map_close(map);
}

static char order[16];

static void tape_order(enum call call, int fd, const void *bytes, size_t n, uint64_t offset)
{
    struct stat st = {0};
    size_t at = strlen(order);

    (void)bytes, (void)n, (void)offset;
    if (call == CALL_OPEN || at + 1 >= sizeof(order))
        return;
    REQUIRE(fstat(fd, &st) == 0);
    order[at] = call == CALL_WRITE    ? 'w'
                : call == CALL_RENAME ? 'r'
                : call == CALL_UNLINK ? 'u'
                : S_ISDIR(st.st_mode) ? 'd'
                                      : 'f';
}

TEST(a_map_is_flushed_before_it_has_its_name_and_the_name_before_it_counts)
{
    struct journal_mark mark;
    struct map *map;

    clear_folder();
    memset(order, 0, sizeof(order));
    plan->tape = tape_order;
    map = open_or_bail(&mark);
    CHECK_STR(order, "wfrd");
    memset(order, 0, sizeof(order));
    map_remove(map);
    CHECK_STR(order, "ud");
    plan->tape = NULL;
}

/* As a command does: begin or go on, up to update N_UPDATES. Returns 0 or the first error. */
static int work(uint64_t *ret_last)
{
    struct map_key key = key_of_test();
    struct journal_mark mark;
    struct map *map = NULL;
    int r = map_open(path, &key, &map, &mark, NULL);

    for (uint64_t i = 1; r == 0 && i <= N_UPDATES; i++) {
        mark = mark_of(i);
        r = map_update(map, &mark);
        if (r == 0)
            *ret_last = i;
    }
    if (r == 0)
        return map_remove(map);
    map_close(map);
    return r;
}

static void arm(unsigned at, enum action action, int error)
{
    plan->fail_at = at;
    plan->action = action;
    plan->error = error;
    plan_arm();
}

/* What a kill left: nothing, or a map that opens with the last mark or the one under way. */
static void check_what_is_left(uint64_t last, bool over)
{
    struct journal_mark mark = {0}, known = mark_of(last), next = mark_of(last + 1);
    bool there = map_exists(path);
    struct map *map;

    CHECK(n_names() <= 2); /* the map, or one that never got its name */
    CHECK(there || last == 0 || over);
    map = open_or_bail(&mark);
    if (there)
        CHECK(same_mark(&mark, &known) || same_mark(&mark, &next));
    map_close(map);
}

TEST(a_kill_at_every_call_leaves_a_map_that_goes_on)
{
    static const enum action actions[] = {ACT_KILL_BEFORE, ACT_KILL_HALF, ACT_KILL_AFTER};
    uint64_t *last = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned n_killed = 0;

    REQUIRE(last != MAP_FAILED);
    for (unsigned i = 0; i < 3; i++) {
        bool reached = true;

        for (unsigned at = 1; reached; at++) {
            int status;
            pid_t child;

            clear_folder();
            *last = 0;
            child = fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                arm(at, actions[i], 0);
                _exit(work(last) < 0);
            }
            REQUIRE(waitpid(child, &status, 0) == child);
            plan->armed = false;
            reached = plan->n_calls >= at;
            n_killed += WIFSIGNALED(status) ? 1 : 0;
            CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
            check_what_is_left(*last, *last == N_UPDATES);
        }
    }
    CHECK(n_killed > 2 * (2 * N_UPDATES + 5) + N_UPDATES);
    munmap(last, 4096);
}

TEST(a_call_that_fails_is_told_and_leaves_a_map_that_goes_on)
{
    static const int errors[] = {EIO, ENOSPC};

    for (unsigned i = 0; i < 2; i++) {
        bool failed = true;

        for (unsigned at = 1; failed; at++) {
            uint64_t last = 0;
            int r;

            clear_folder();
            arm(at, ACT_FAIL, errors[i]);
            r = work(&last);
            plan->armed = false;
            failed = plan->n_calls >= at;
            CHECK_EQ(r, failed ? -errors[i] : 0);
            if (failed && last == 0 && !map_exists(path))
                CHECK_EQ(n_names(), 0);
            check_what_is_left(last, last == N_UPDATES);
        }
    }
}

TEST(after_an_update_that_failed_the_last_good_state_is_not_touched)
{
    struct journal_mark mark = mark_of(1), old, bad = mark_of(2);
    uint8_t before[MAP_FILE_BYTES], now[MAP_FILE_BYTES];
    struct map *map;
    int fd;

    clear_folder();
    map = open_or_bail(&old);
    CHECK_EQ(map_update(map, &mark), 0); /* sequence 2, in the first page of the two */
    fd = open(path, O_RDONLY);
    REQUIRE(pread(fd, before, sizeof(before), 0) == (ssize_t)sizeof(before));
    for (unsigned at = 2; at <= 6; at += 2) { /* the flush */
        arm(2, ACT_FAIL, EIO);
        CHECK_EQ(map_update(map, &bad), -EIO);
        plan->armed = false;
    }
    REQUIRE(pread(fd, now, sizeof(now), 0) == (ssize_t)sizeof(now));
    CHECK(memcmp(before, now, 2 * MAP_PAGE_BYTES) == 0);
    mark = mark_of(3);
    CHECK_EQ(map_update(map, &mark), 0);
    map_close(map);
    map = open_or_bail(&old);
    CHECK(same_mark(&mark, &old));
    map_close(map);
    close(fd);
}

static void unlink_at_open(enum call call, int fd, const void *bytes, size_t n, uint64_t offset)
{
    struct stat st;

    (void)bytes, (void)n, (void)offset;
    if (call == CALL_OPEN && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        plan->tape = NULL;
        REQUIRE(unlink(path) == 0);
    }
}

TEST(a_map_that_goes_away_while_it_is_opened_is_made_anew)
{
    struct journal_mark mark = mark_of(4);
    struct map *map;

    clear_folder();
    map = open_or_bail(&mark);
    mark = mark_of(4);
    CHECK_EQ(map_update(map, &mark), 0);
    map_close(map);
    plan->tape = unlink_at_open;
    map = open_or_bail(&mark);
    CHECK(!plan->tape);
    CHECK(mark.low_bytes == 0 && mark.above == 0);
    CHECK(map_exists(path));
    map_close(map);
}

static void make_at_open(enum call call, int fd, const void *bytes, size_t n, uint64_t offset)
{
    struct journal_mark mark;
    struct map *map;
    struct stat st;

    (void)bytes, (void)n, (void)offset;
    if (call == CALL_OPEN && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        plan->tape = NULL;
        map = open_or_bail(&mark);
        mark = mark_of(5);
        CHECK_EQ(map_update(map, &mark), 0);
        map_close(map);
    }
}

TEST(a_map_that_another_one_makes_meanwhile_is_the_one_that_counts)
{
    struct journal_mark mark, wanted = mark_of(5);
    struct map *map;

    clear_folder();
    plan->tape = make_at_open;
    map = open_or_bail(&mark);
    CHECK(!plan->tape);
    CHECK(same_mark(&mark, &wanted));
    CHECK_EQ(n_names(), 1);
    map_close(map);
}

TEST(a_file_that_took_the_maps_name_is_not_removed)
{
    struct journal_mark mark;
    struct map *map;

    clear_folder();
    map = open_or_bail(&mark);
    REQUIRE(unlink(path) == 0);
    close(open(path, O_RDWR | O_CREAT, 0600));
    CHECK_EQ(map_remove(map), 0);
    CHECK(map_exists(path));
}

/* Byte by byte, as the comment of struct journal_mark says it; at must be a multiple of 4 KiB. */
static bool marked(const struct journal_mark *mark, uint64_t block_bytes, uint64_t at)
{
    uint64_t block;

    if (at < mark->low_bytes)
        return true;
    block = (at - mark->low_bytes) / block_bytes;
    return block > 0 && block <= 64 && (mark->above >> (block - 1) & 1);
}

TEST(a_mark_in_other_blocks_says_no_more_and_hardly_less)
{
    uint64_t random = 77;

    for (unsigned i = 0; i < 3000; i++) {
        uint64_t size = random_next(&random) % (200 * MIB);
        uint64_t from = (64 * KIB) << random_next(&random) % 5;
        uint64_t to = (64 * KIB) << random_next(&random) % 5;
        struct journal_mark mark = {random_next(&random) % (size + 1), 0}, converted;
        bool more = false, less = false;

        mark.above = random_next(&random) | random_next(&random) | random_next(&random);
        mark.low_bytes -= i % 10 ? mark.low_bytes % from : 0;
        if (i % 10 == 0)
            mark.low_bytes = size;
        converted = map_convert(&mark, size, from, to);
        CHECK(converted.low_bytes % to == 0 || converted.low_bytes == size);
        CHECK(converted.low_bytes + to > mark.low_bytes);
        for (uint64_t at = 0; at < size; at += 64 * KIB) {
            bool was = marked(&mark, from, at), is = marked(&converted, to, at);

            more |= is && !was;
            less |= was && !is && from == to;
        }
        CHECK(!more && !less);
        CHECK(converted.low_bytes < size || converted.above == 0);
    }
}

TEST(a_map_goes_on_in_blocks_of_another_size)
{
    struct map_key key = key_of_test();
    struct journal_mark mark = {6 * MIB, 1}, got;
    struct map *map;

    clear_folder();
    map = open_or_bail(&got);
    CHECK_EQ(map_update(map, &mark), 0);
    map_close(map);
    key.block_bytes = 4 * MIB;
    CHECK_EQ(map_open(path, &key, &map, &got, NULL), 0);
    CHECK_EQ(got.low_bytes, 4 * MIB);
    CHECK_EQ(got.above, 0);
    mark = (struct journal_mark){8 * MIB, 2};
    CHECK_EQ(map_update(map, &mark), 0);
    map_close(map);
    key.block_bytes = 64 * KIB;
    CHECK_EQ(map_open(path, &key, &map, &got, NULL), 0);
    CHECK_EQ(got.low_bytes, 8 * MIB);
    CHECK_EQ(got.above, 0); /* 16 MiB are beyond what the bits reach */
    map_close(map);
}

static int sample(int fd, uint64_t size_bytes, struct digest *ret, struct err *e)
{
    struct endpoint *ep;
    int r;

    REQUIRE(file_endpoint_wrap(fd, ENDPOINT_READ, &ep) == 0);
    r = map_sample(ep, size_bytes, ret, e);
    endpoint_close(ep);
    return r;
}

static void change(int fd, uint64_t at, char byte)
{
    REQUIRE(pwrite(fd, &byte, 1, (off_t)at) == 1);
}

TEST(samples_see_the_first_and_the_last_byte_and_are_the_same_for_the_same)
{
    static const uint64_t sizes[] = {1, 511, 4096, 4097, 64 * 4096 + 1, 5 * MIB + 7, MIB << 20};
    struct digest a, b;
    struct err e;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t size = sizes[i], places[] = {0, size - 1};
        int fd;

        clear_folder();
        fd = open(path, O_RDWR | O_CREAT, 0600);
        REQUIRE(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
        CHECK_EQ(sample(fd, size, &a, &e), 0);
        CHECK_EQ(sample(fd, size, &b, &e), 0);
        CHECK(digest_same(&a, &b));
        for (unsigned p = 0; p < 2; p++) {
            change(fd, places[p], 1);
            CHECK_EQ(sample(fd, size, &b, &e), 0);
            CHECK(!digest_same(&a, &b));
            change(fd, places[p], 0);
        }
        close(fd);
    }
}

TEST(a_change_of_a_small_part_of_a_large_source_is_seen_where_it_is_sampled)
{
    const uint64_t size = 64 * MIB;
    struct digest a, b;
    unsigned n_seen = 0;
    struct err e;
    int fd;

    clear_folder();
    fd = open(path, O_RDWR | O_CREAT, 0600);
    REQUIRE(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    CHECK_EQ(sample(fd, size, &a, &e), 0);
    for (uint64_t at = 0; at < size; at += MIB + 4096) { /* 63 runs of a MiB and a bit */
        for (uint64_t i = 0; i < MIB + 4096 && at + i < size; i += 4096)
            change(fd, at + i, 1);
        CHECK_EQ(sample(fd, size, &b, &e), 0);
        n_seen += digest_same(&a, &b) ? 0 : 1;
        a = b;
    }
    CHECK_EQ(n_seen, 64);
    close(fd);
}

TEST(a_sample_that_cannot_be_read_is_named)
{
    struct digest digest;
    struct err e = {0};
    int fd;

    clear_folder();
    fd = open(path, O_RDWR | O_CREAT, 0600);
    REQUIRE(fd >= 0 && ftruncate(fd, 8192) == 0);
    CHECK_EQ(sample(fd, 100000, &digest, &e), -ESTALE);
    CHECK(strstr(e.text, "8192"));
    CHECK_EQ(sample(fd, 0, &digest, &e), 0);
    close(fd);
}

TEST(a_name_without_a_place_is_an_error_in_words)
{
    static const struct {
        const char *path;
        int error;
    } rows[] = {
        {"/nowhere/at/all", ENOENT}, {"", EISDIR}, {"/tmp/", EISDIR}, {"/dev/null/x", ENOTDIR}};
    struct map_key key = key_of_test();

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct journal_mark mark;
        struct map *map = NULL;
        struct err e = {0};

        CHECK_EQ(map_open(rows[i].path, &key, &map, &mark, &e), -rows[i].error);
        CHECK(!map && e.text[0]);
    }
}

int main(int argc, char **argv)
{
    char command[256];
    int status;

    snprintf(folder, sizeof(folder), "/tmp/ferryfs-map-XXXXXX");
    REQUIRE(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/map", folder);
    status = check_main(argc, argv);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) == 0 ? status : 1;
}
