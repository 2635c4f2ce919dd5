/*
 * A digest per chunk of a volume, kept in memory: XXH3-128 in its canonical form. Memory follows
 * the data: chunks of zeroes cost nothing.
 *
 * Several threads may set digests at a time, each its own chunks; reading waits until they are
 * done. Source: XXH128_canonicalFromHash in xxhash.h.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 16

struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

void digest_of(const void *bytes, size_t n, struct digest *ret);
bool digest_same(const struct digest *a, const struct digest *b);

struct digests;

/* All chunks zero. chunk_bytes: a power of 2. 0 or -ENOMEM. */
int digests_open(uint64_t size_bytes, size_t chunk_bytes, struct digests **ret);
void digests_close(struct digests *digests); /* NULL is allowed */
static inline void owned_digests(struct digests **digests)
{
    digests_close(*digests);
}

/* Of the chunk that starts at offset. 0 or -ENOMEM. */
int digests_set(struct digests *digests, uint64_t offset, const struct digest *digest);
/* The chunks that start in [start, end) are zeroes. */
void digests_set_zero(struct digests *digests, uint64_t start, uint64_t end);
void digests_get(const struct digests *digests, uint64_t offset, struct digest *ret);

/* The first chunk at or after start that is not known to be zeroes; at most end. */
uint64_t digests_next_data(const struct digests *digests, uint64_t start, uint64_t end);

/* The digest of all chunk digests in order: the same for the same bytes, however they came about.
 * over: gives up when it is true, -ECANCELED. -ENOMEM. */
int digests_total(const struct digests *digests, const atomic_bool *over, struct digest *ret);
