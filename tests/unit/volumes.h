/*
 * For tests of the copy: volumes with known bytes.
 */
#pragma once

#include "copy/endpoint/endpoint.h"
#include "tests/unit/pools.h"

#define GRAIN ENDPOINT_GRAIN_BYTES
#define MIB   (UINT64_C(1) << 20)

/* xorshift64*: the same bytes in every run. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
    return random_next(state) % n;
}

static inline int volume_make(const char *dir, const char *name, uint64_t size_bytes)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    unlink(path);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    REQUIRE(ftruncate(fd, (off_t)size_bytes) == 0);
    return fd;
}

/* fill: 0 zeroes, 1 random bytes of which few are zero, else that byte. */
static inline void volume_write(int fd, uint64_t offset, uint64_t n, unsigned fill, uint64_t *state)
{
    static _Thread_local unsigned char buf[1 << 20];

    while (n > 0) {
        size_t part = n < sizeof(buf) ? (size_t)n : sizeof(buf);

        memset(buf, (int)fill, part);
        for (size_t i = 0; fill == 1 && i + 8 <= part; i += 8) {
            uint64_t r = random_next(state) | 1;

            memcpy(buf + i, &r, 8);
        }
        REQUIRE(pwrite(fd, buf, part, (off_t)offset) == (ssize_t)part);
        offset += part;
        n -= part;
    }
}

/* Data, written zeroes and holes at random places, some of them across grains. */
static inline void volume_scatter(int fd, uint64_t size_bytes, unsigned n_pieces, uint64_t *state)
{
    for (unsigned i = 0; i < n_pieces && size_bytes > 0; i++) {
        uint64_t at = random_below(state, size_bytes), n = 1 + random_below(state, 3 * MIB / 2);
        bool aligned = random_below(state, 3) > 0;

        at -= aligned ? at % GRAIN : 0;
        n = random_below(state, 2) ? n % (16 * GRAIN) + 1 : n;
        n = n < size_bytes - at ? n : size_bytes - at;
        volume_write(fd, at, n, random_below(state, 3) ? 1 : 0, state);
    }
}

static inline bool grain_is_zero(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

static inline uint64_t next_data(int fd, uint64_t offset, uint64_t size_bytes)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);

    return data < 0 ? size_bytes : (uint64_t)data;
}

/* The first byte that differs below size_bytes, or size_bytes. Holes of both are not read. */
static inline uint64_t volume_difference(int a, int b, uint64_t size_bytes)
{
    static unsigned char x[MIB], y[MIB];

    for (uint64_t at = 0; at < size_bytes;) {
        uint64_t da = next_data(a, at, size_bytes), db = next_data(b, at, size_bytes), n;

        at = da < db ? da : db;
        n = size_bytes - at < MIB ? size_bytes - at : MIB;
        if (at >= size_bytes)
            break;
        REQUIRE(pread(a, x, n, (off_t)at) == (ssize_t)n);
        REQUIRE(pread(b, y, n, (off_t)at) == (ssize_t)n);
        if (memcmp(x, y, n) != 0) {
            n = 0;
            while (x[n] == y[n])
                n++;
            return at + n;
        }
        at += n;
    }
    return size_bytes;
}

/* The first grain that takes space though it is all zero, or size_bytes. */
static inline uint64_t volume_waste(int fd, uint64_t size_bytes)
{
    for (uint64_t at = next_data(fd, 0, size_bytes); at < size_bytes;) {
        unsigned char grain[GRAIN];
        uint64_t n = size_bytes - at < GRAIN ? size_bytes - at : GRAIN;

        REQUIRE(pread(fd, grain, n, (off_t)at) == (ssize_t)n);
        if (grain_is_zero(grain, n))
            return at;
        at = next_data(fd, at + n, size_bytes);
    }
    return size_bytes;
}
