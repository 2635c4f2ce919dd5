#include "fs/view/feed.h"

#include <pthread.h>
#include <sched.h>

#include "copy/base/cleanup.h"
#include "tests/unit/check.h"

#define LIMIT (UINT64_C(256) << 10)

/* What a read gives, as a string. */
static const char *got(struct feed_reader *reader, uint64_t offset, size_t n)
{
    static char bytes[1 << 20];
    OWNED(feed_part) struct feed_part part = {0};
    size_t at = 0;

    feed_read(reader, offset, n, &part);
    for (int i = 0; i < part.n_iov; i++) {
        memcpy(bytes + at, part.iov[i].iov_base, part.iov[i].iov_len);
        at += part.iov[i].iov_len;
    }
    bytes[at] = '\0';
    return bytes;
}

static void append(struct feed *feed, const char *line)
{
    REQUIRE(feed_append(feed, line, strlen(line)) == 0);
}

/* Lines of 1000 bytes: their number, blanks and a newline. */
static void append_line(struct feed *feed, unsigned number)
{
    char line[1001];

    snprintf(line, sizeof(line), "%-999u\n", number);
    append(feed, line);
}

TEST(what_was_appended_is_read)
{
    struct feed *feed = feed_open(LIMIT);
    struct feed_reader reader;

    feed_reader_init(&reader, feed);
    CHECK_EQ(feed_bytes(feed), 0);
    CHECK_STR(got(&reader, 0, 100), "");
    append(feed, "one\n");
    append(feed, "two\n");
    CHECK_EQ(feed_bytes(feed), 8);
    CHECK_STR(got(&reader, 0, 100), "one\ntwo\n");
    CHECK_STR(got(&reader, 2, 3), "e\nt");
    CHECK_STR(got(&reader, 8, 100), "");
    CHECK_STR(got(&reader, 1000, 100), "");
    append(feed, "three\n");
    CHECK_STR(got(&reader, 8, 100), "three\n");
    feed_reader_deinit(&reader);
    feed_put(feed);
}

TEST(a_read_goes_over_the_borders_of_chunks)
{
    struct feed *feed = feed_open(LIMIT);
    struct feed_reader reader;
    uint64_t at = 0;
    size_t n;

    feed_reader_init(&reader, feed);
    for (unsigned i = 0; i < 150; i++)
        append_line(feed, i);
    CHECK_EQ(strlen(got(&reader, 0, 1 << 20)), 150000);
    CHECK_EQ(atoi(got(&reader, 65000, 2000)), 65);
    CHECK_EQ(strlen(got(&reader, 65000, 2000)), 2000);
    for (; (n = strlen(got(&reader, at, 777))) > 0; at += n)
        if (at % 1000 == 0)
            CHECK_EQ(atoi(got(&reader, at, 777)), at / 1000);
    CHECK_EQ(at, 150000);
    feed_reader_deinit(&reader);
    feed_put(feed);
}

TEST(it_starts_anew_early_where_everybody_has_read_everything)
{
    struct feed *feed = feed_open(LIMIT);
    struct feed_reader reader, idle;
    uint64_t offset = 0;

    feed_reader_init(&reader, feed);
    for (unsigned i = 0; feed_bytes(feed) >= offset; i++) {
        offset = feed_bytes(feed);
        if (i > 0)
            CHECK_EQ(strlen(got(&reader, offset - 1000, 2000)), 1000);
        append_line(feed, i);
    }
    CHECK(offset <= LIMIT / 4 * 3 && offset > LIMIT / 4 * 3 - 1001);
    CHECK_EQ(feed_bytes(feed), 1000);
    feed_reader_init(&idle, feed);
    for (unsigned i = 0; feed_bytes(feed) < LIMIT - 1000; i++)
        append_line(feed, i);
    append_line(feed, 7); /* it waits for the idle one no longer */
    CHECK_EQ(feed_bytes(feed), 1000);
    feed_reader_deinit(&idle);
    feed_reader_deinit(&reader);
    feed_put(feed);
}

static struct feed *filled(struct feed_reader *reader)
{
    struct feed *feed = feed_open(LIMIT);

    feed_reader_init(reader, feed);
    while (feed_bytes(feed) + 1000 <= LIMIT)
        append_line(feed, 1);
    while (feed_bytes(feed) < LIMIT)
        append(feed, "\n");
    return feed;
}

TEST(an_offset_goes_on_where_the_text_starts_anew)
{
    struct feed_reader reader, other;
    struct feed *feed = filled(&reader);
    uint64_t end = feed_bytes(feed);

    feed_reader_init(&other, feed);
    got(&reader, end - 500, 500);
    append(feed, "anew\n");
    CHECK_STR(got(&reader, end, 100), "anew\n");
    append(feed, "more\n");
    CHECK_STR(got(&reader, end + 5, 100), "more\n");
    CHECK_STR(got(&reader, end + 1, 3), "new");
    CHECK_STR(got(&reader, 0, 100), "anew\nmore\n"); /* whoever saw the new size seeks back */
    CHECK_STR(got(&reader, 5, 100), "more\n");
    CHECK_STR(got(&other, 0, 100), "anew\nmore\n");
    feed_reader_deinit(&other);
    feed_reader_deinit(&reader);
    feed_put(feed);
}

TEST(what_was_read_stays_when_the_text_starts_anew)
{
    struct feed_reader reader;
    struct feed *feed = filled(&reader);
    struct feed_part part;

    feed_read(&reader, 0, 1000, &part);
    append(feed, "anew\n");
    append(feed, "more\n");
    CHECK_EQ(part.n_iov, 1);
    CHECK_EQ(memcmp(part.iov[0].iov_base, "1    ", 5), 0);
    feed_reader_deinit(&reader);
    feed_put(feed);
    CHECK_EQ(memcmp(part.iov[0].iov_base, "1    ", 5), 0);
    feed_part_put(&part);
}

#define READERS 4
#define LINES   2000

struct follower {
    struct feed *feed;
    atomic_uint n; /* lines it has read */
    atomic_bool wrong;
};

/* Whole lines, each once, in their order, though the text starts anew some times. */
static void *follow(void *arg)
{
    struct follower *f = arg;
    struct feed_reader reader;
    uint64_t offset = 0;

    feed_reader_init(&reader, f->feed);
    while (atomic_load(&f->n) < LINES && !atomic_load(&f->wrong)) {
        OWNED(feed_part) struct feed_part part = {0};

        feed_read(&reader, offset, 1000, &part);
        if (part.n_iov == 0) {
            sched_yield();
            continue;
        }
        if (strtoul(part.iov[0].iov_base, NULL, 10) != atomic_load(&f->n))
            atomic_store(&f->wrong, true);
        for (int i = 0; i < part.n_iov; i++)
            offset += part.iov[i].iov_len;
        atomic_fetch_add(&f->n, 1);
    }
    feed_reader_deinit(&reader);
    return NULL;
}

TEST(readers_that_keep_up_get_every_line_once)
{
    struct feed *feed = feed_open(LIMIT);
    struct follower followers[READERS] = {0};
    pthread_t threads[READERS];

    for (size_t i = 0; i < READERS; i++) {
        followers[i].feed = feed;
        REQUIRE(pthread_create(&threads[i], NULL, follow, &followers[i]) == 0);
    }
    for (unsigned n = 0; n < LINES; n++) {
        append_line(feed, n);
        if (n % 30 != 0) /* to keep up is to have read everything from time to time */
            continue;
        for (size_t i = 0; i < READERS; i++)
            while (atomic_load(&followers[i].n) <= n && !atomic_load(&followers[i].wrong))
                sched_yield();
    }
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(!atomic_load(&followers[i].wrong));
    }
    feed_put(feed);
}

TEST_MAIN
