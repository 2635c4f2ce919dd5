/*
 * A digest per block of a volume, kept in memory until the block is verified: XXH3-128 in its
 * canonical form. Memory and time follow the data: blocks of zeroes cost nothing. One thread at a
 * time. Source: XXH128_canonicalFromHash in xxhash.h.
 */
#pragma once

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

/* All blocks zero. block_bytes: a power of 2. 0 or -ENOMEM. */
int digests_open(uint64_t size_bytes, size_t block_bytes, struct digests **ret);
void digests_close(struct digests *digests); /* NULL is allowed */
static inline void owned_digests(struct digests **digests)
{
    digests_close(*digests);
}

/* For whoever learns the size last: no block behind it was set. 0 or -ENOMEM. */
int digests_set_size(struct digests *digests, uint64_t size_bytes);

/* Were they opened for these? */
bool digests_fit(const struct digests *digests, uint64_t size_bytes, size_t block_bytes);

/* Of the block that starts at offset. 0 or -ENOMEM. */
int digests_set(struct digests *digests, uint64_t offset, const struct digest *digest);
/* The blocks that start in [start, end) are zeroes. */
void digests_set_zero(struct digests *digests, uint64_t start, uint64_t end);
/* Of a block that is not verified yet. */
void digests_get(const struct digests *digests, uint64_t offset, struct digest *ret);

/* The first block at or after start that is not known to be zeroes; at most end. */
uint64_t digests_next_data(const struct digests *digests, uint64_t start, uint64_t end);

/* Below it every block was read back and found right, or needs no proof: a multiple of a block, or
 * the size; 0 at first. Blocks are read back in order, so one number says it for all. What is below
 * is counted in the total, and then forgotten. */
uint64_t digests_verified_bytes(const struct digests *digests);
void digests_set_verified(struct digests *digests, uint64_t below_bytes);

/* For a copy that goes back: what starts at or above it will be set again. Some of it may be kept.
 */
void digests_forget_from(struct digests *digests, uint64_t offset);

/* There are as many as shall be kept at a time (16 MiB): verify what is there first. */
bool digests_are_many(const struct digests *digests);

/* The digest of the volume: of the place (8 bytes, big-endian) and the digest of each block that is
 * not zeroes, in order, and of the size at the end. The same for the same bytes, however they came
 * about. No block is set after that. */
void digests_total(struct digests *digests, struct digest *ret);
