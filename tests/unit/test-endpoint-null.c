#include <errno.h>

#include "copy/endpoint/null.h"
#include "copy/endpoint/queue.h"
#include "tests/unit/check.h"

#define MIB (UINT64_C(1) << 20)

static struct endpoint *open_or_fail(const char *name, enum endpoint_mode mode)
{
    struct endpoint *ep = NULL;

    REQUIRE(endpoint_open(name, mode, &ep, NULL) == 0);
    return ep;
}

static uint64_t size_of(struct endpoint *ep)
{
    uint64_t size_bytes = 0;

    CHECK_EQ(ep->ops->size(ep, &size_bytes), 0);
    return size_bytes;
}

TEST(a_source_of_zeroes_is_one_hole_of_its_size)
{
    struct endpoint *ep = open_or_fail("null:5M", ENDPOINT_READ);
    unsigned char buf[512];
    uint64_t end = 0;
    bool hole = false;
    size_t n = 0;

    CHECK_EQ(size_of(ep), 5 * MIB);
    CHECK_EQ(endpoint_extent(ep, 4096, 5 * MIB, &end, &hole), 0);
    CHECK(hole);
    CHECK_EQ(end, 5 * MIB);
    CHECK_EQ(endpoint_extent(ep, 5 * MIB, 5 * MIB, &end, &hole), -ESTALE);
    memset(buf, 1, sizeof(buf));
    CHECK_EQ(endpoint_read(ep, buf, sizeof(buf), 5 * MIB - sizeof(buf), &n), 0);
    for (size_t i = 0; i < sizeof(buf); i++)
        CHECK_EQ(buf[i], 0);
    CHECK_EQ(endpoint_read(ep, buf, sizeof(buf), 5 * MIB - 100, &n), -ESTALE);
    CHECK_EQ(n, 100);
    CHECK_EQ(endpoint_close(ep), 0);
}

TEST(a_source_needs_a_size_that_is_one)
{
    struct endpoint *ep = NULL;
    struct err e = {0};

    CHECK_EQ(endpoint_open("null:", ENDPOINT_READ, &ep, &e), -EINVAL);
    CHECK(strstr(e.text, "null:1G") != NULL);
    CHECK_EQ(endpoint_open("null:much", ENDPOINT_READ, &ep, &e), -EINVAL);
    CHECK(!ep);
}

TEST(a_destination_is_as_large_as_it_is_told_to_be)
{
    struct endpoint *ep = open_or_fail("null:", ENDPOINT_WRITE);

    CHECK_EQ(endpoint_resize(ep, UINT64_MAX - 1), 0);
    CHECK_EQ(endpoint_check_size(ep, UINT64_MAX - 1), 0);
    CHECK_EQ(endpoint_resize(ep, 7), 0);
    CHECK_EQ(size_of(ep), 7);
    CHECK_EQ(endpoint_close(ep), 0);
}

TEST(a_destination_with_a_size_is_full_there)
{
    struct endpoint *ep = open_or_fail("null:1M", ENDPOINT_WRITE);

    CHECK_EQ(endpoint_resize(ep, MIB + 1), -ENOSPC);
    CHECK_EQ(size_of(ep), MIB);
    CHECK_EQ(endpoint_resize(ep, MIB - 1), 0);
    CHECK_EQ(endpoint_resize(ep, MIB), 0);
    CHECK_EQ(endpoint_close(ep), 0);
}

TEST(a_destination_takes_everything_and_gives_nothing_back)
{
    struct endpoint *ep = open_or_fail("null:", ENDPOINT_WRITE);
    char buf[100] = "bytes";
    size_t n = 0;

    CHECK_EQ(endpoint_write(ep, buf, sizeof(buf), 12345, &n), 0);
    CHECK_EQ(n, sizeof(buf));
    CHECK_EQ(endpoint_zero(ep, 0, MIB), 0);
    CHECK_EQ(ep->ops->flush(ep), 0);
    CHECK_EQ(ep->ops->sync(ep), 0);
    CHECK_EQ(endpoint_read(ep, buf, sizeof(buf), 12345, &n), -EOPNOTSUPP);
    CHECK_EQ(endpoint_close(ep), 0);
}

static unsigned n_over;

static void is_over(struct request *request, int r)
{
    CHECK_EQ(r, request->kind == REQUEST_READ && request->offset > 0 ? -ESTALE : 0);
    CHECK_EQ(request->n_done, r == 0 ? request->n_bytes : 10);
    n_over++;
}

TEST(a_request_is_over_at_once)
{
    struct endpoint *source = open_or_fail("null:4096", ENDPOINT_READ);
    struct endpoint *destination = open_or_fail("null:", ENDPOINT_WRITE);
    char buf[4096];
    struct request requests[] = {
        {.kind = REQUEST_READ, .ep = source, .offset = 0},
        {.kind = REQUEST_READ, .ep = source, .offset = 4086},
        {.kind = REQUEST_WRITE, .ep = destination, .offset = 4096},
    };
    struct queue *queue = NULL;

    REQUIRE(queue_open(3, QUEUE_AUTO, &queue) == 0);
    for (size_t i = 0; i < 3; i++) {
        requests[i].buf = buf;
        requests[i].n_bytes = sizeof(buf);
        requests[i].done = is_over;
        queue_submit(queue, &requests[i]);
    }
    CHECK_EQ(queue_wait(queue, 0), 3);
    CHECK_EQ(n_over, 3);
    queue_close(queue);
    CHECK_EQ(endpoint_close(source), 0);
    CHECK_EQ(endpoint_close(destination), 0);
}

TEST_MAIN
