/*
 * churn FILE OPERATIONS SEED [direct]: does a file of fixed size behave like memory? Random reads,
 * writes, reads and writes of a shared mapping, punched and zeroed ranges, fsync, of random bytes
 * at random places, against a model in memory. What it holds at the beginning is taken as it is.
 * Exit status 0; 1 at the first difference or error, told on stderr; 2 usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGN   4096
#define LEN_MAX (256 * 1024)

struct churn {
    int fd;
    bool direct;
    size_t n;
    unsigned char *model, *map, *buf;
    uint64_t state, op;
};

static uint64_t chance(struct churn *c) /* xorshift64* */
{
    c->state ^= c->state >> 12;
    c->state ^= c->state << 25;
    c->state ^= c->state >> 27;
    return c->state * UINT64_C(2685821657736338717) >> 16;
}

static void __attribute__((noreturn)) fail(const struct churn *c, const char *what, size_t at)
{
    fprintf(stderr, "churn: operation %" PRIu64 ": %s at %zu: %s\n", c->op, what, at,
            strerror(errno));
    exit(1);
}

struct range {
    size_t at, n;
};

static struct range some_range(struct churn *c, bool aligned)
{
    struct range r = {chance(c) % c->n, chance(c) % 4 ? chance(c) % 8192 : chance(c) % LEN_MAX};

    if (aligned) {
        r.at -= r.at % ALIGN;
        r.n += ALIGN - r.n % ALIGN;
    }
    if (r.n == 0)
        r.n = 1;
    if (r.n > c->n - r.at)
        r.n = c->n - r.at;
    return r;
}

static void compare(const struct churn *c, const unsigned char *got, struct range r,
                    const char *what)
{
    for (size_t i = 0; i < r.n; i++)
        if (got[i] != c->model[r.at + i]) {
            errno = EILSEQ;
            fail(c, what, r.at + i);
        }
}

static void do_read(struct churn *c)
{
    struct range r = some_range(c, c->direct);

    if (pread(c->fd, c->buf, r.n, (off_t)r.at) != (ssize_t)r.n)
        fail(c, "read", r.at);
    compare(c, c->buf, r, "read");
}

static void fill(struct churn *c, unsigned char *bytes, size_t n)
{
    uint64_t value = chance(c) % 8 ? chance(c) : 0;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(value ? value + i * 7 : 0);
}

static void do_write(struct churn *c)
{
    struct range r = some_range(c, c->direct);

    fill(c, c->buf, r.n);
    if (pwrite(c->fd, c->buf, r.n, (off_t)r.at) != (ssize_t)r.n)
        fail(c, "write", r.at);
    memcpy(c->model + r.at, c->buf, r.n);
}

static void do_map_read(struct churn *c)
{
    struct range r = some_range(c, false);

    compare(c, c->map + r.at, r, "mapped read");
}

static void do_map_write(struct churn *c)
{
    struct range r = some_range(c, false);

    fill(c, c->model + r.at, r.n);
    memcpy(c->map + r.at, c->model + r.at, r.n);
    if (c->direct && msync(c->map, c->n, MS_SYNC) < 0)
        fail(c, "msync", r.at);
}

static void do_zero(struct churn *c)
{
    int mode = chance(c) % 2 ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE;
    struct range r = some_range(c, false);
    int failed = fallocate(c->fd, mode, (off_t)r.at, (off_t)r.n);

    if (failed && errno == EOPNOTSUPP && mode == FALLOC_FL_ZERO_RANGE) /* as tmpfs */
        return;
    if (failed)
        fail(c, "fallocate", r.at);
    memset(c->model + r.at, 0, r.n);
}

static void do_sync(struct churn *c)
{
    if (chance(c) % 64 == 0 && fsync(c->fd) < 0)
        fail(c, "fsync", 0);
}

static void (*const operations[])(struct churn *c) = {
    do_read, do_read, do_write, do_write, do_map_read, do_map_write, do_zero, do_sync,
};

static int prepare(struct churn *c, const char *path)
{
    struct stat st;

    c->fd = open(path, O_RDWR | (c->direct ? O_DIRECT : 0));
    if (c->fd < 0 || fstat(c->fd, &st) < 0 || st.st_size < LEN_MAX)
        return -1;
    c->n = (size_t)st.st_size;
    c->model = malloc(c->n);
    c->map = mmap(NULL, c->n, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
    c->buf = aligned_alloc(ALIGN, LEN_MAX + ALIGN);
    if (!c->model || c->map == MAP_FAILED || !c->buf)
        return -1;
    memcpy(c->model, c->map, c->n);
    return 0;
}

int main(int argc, char **argv)
{
    struct churn c = {0};
    uint64_t n;

    if (argc < 4) {
        fprintf(stderr, "usage: churn FILE OPERATIONS SEED [direct]\n");
        return 2;
    }
    n = strtoull(argv[2], NULL, 10);
    c.state = strtoull(argv[3], NULL, 10) * 2 + 1;
    c.direct = argc > 4;
    if (prepare(&c, argv[1]) < 0)
        fail(&c, "cannot begin", 0);
    for (c.op = 0; c.op < n; c.op++)
        operations[chance(&c) % (sizeof(operations) / sizeof(operations[0]))](&c);
    compare(&c, c.map, (struct range){0, c.n}, "the end");
    return 0;
}
