/*
 * Bytes for a volume, the same for the same seed. sparse: a tenth is data, in runs of 64 KiB to 1
 * MiB, the rest holes; zeroes: the same with the holes allocated; dense: all data. What was in the
 * file before and is not written over stays.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failed(const char *what)
{
    perror(what);
    return 1;
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static bool fill_run(int fd, uint64_t from, uint64_t n, uint64_t *random)
{
    static uint64_t block[8192];

    while (n > 0) {
        uint64_t part = n < sizeof(block) ? n : sizeof(block);

        for (size_t i = 0; i < sizeof(block) / 8; i++)
            block[i] = random_next(random) | 1;
        if (pwrite(fd, block, part, (off_t)from) != (ssize_t)part)
            return false;
        from += part;
        n -= part;
    }
    return true;
}

int main(int argc, char **argv)
{
    uint64_t size, random;
    bool dense;
    int fd;

    if (argc != 5) {
        fprintf(stderr, "usage: fill PATH BYTES dense|sparse|zeroes SEED\n");
        return 2;
    }
    size = strtoull(argv[2], NULL, 10);
    random = strtoull(argv[4], NULL, 10) * 2654435761U + 1;
    dense = strcmp(argv[3], "dense") == 0;
    fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return failed(argv[1]);
    if (strcmp(argv[3], "zeroes") == 0 && fallocate(fd, 0, 0, (off_t)size) < 0)
        return failed("fallocate");
    for (uint64_t at = 0; at < size;) {
        uint64_t run = 65536 * (1 + random_next(&random) % 16);

        if (run > size - at)
            run = size - at;
        if (!fill_run(fd, at, run, &random))
            return failed("write");
        at += dense ? run : run * 10;
    }
    return close(fd) < 0 ? failed("close") : 0;
}
