/*
 * Pages of digests, in order; one is made when the first block in it is found to hold data, and
 * what no page tells of is zeroes. The last block may be cut short, and then the digest of its
 * zeroes is another one.
 */
#include "copy/digest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "copy/base/cleanup.h"

#define PAGE_DIGESTS 1024u
#define PAGES_MANY   1024u

struct page {
    uint64_t first; /* block; a multiple of PAGE_DIGESTS */
    struct digest digests[PAGE_DIGESTS];
};

struct digests {
    uint64_t size_bytes;
    uint64_t n_blocks;
    unsigned block_shift;
    uint64_t verified_bytes;
    uint64_t n_counted; /* blocks that total knows */
    XXH3_state_t *total, *concluded;
    struct digest zero;      /* of a whole block of zeroes */
    struct digest last_zero; /* of the last block, if it is zeroes */
    struct page **pages;
    size_t n_pages, cap;
};

void digest_of(const void *bytes, size_t n, struct digest *ret)
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, n));
    static_assert(sizeof(canonical) == sizeof(*ret), "XXH3-128 has 16 bytes");
    memcpy(ret, &canonical, sizeof(*ret));
}

bool digest_same(const struct digest *a, const struct digest *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

int digests_set_size(struct digests *digests, uint64_t size_bytes)
{
    size_t block_bytes = (size_t)1 << digests->block_shift;
    size_t last_bytes = (size_t)(size_bytes % block_bytes);
    OWNED(mem) void *zeroes = calloc(1, block_bytes);

    if (!zeroes)
        return -ENOMEM;
    digests->size_bytes = size_bytes;
    digests->n_blocks = (size_bytes >> digests->block_shift) + (last_bytes > 0);
    digest_of(zeroes, block_bytes, &digests->zero);
    digest_of(zeroes, last_bytes > 0 ? last_bytes : block_bytes, &digests->last_zero);
    return 0;
}

int digests_open(uint64_t size_bytes, size_t block_bytes, struct digests **ret)
{
    OWNED(digests) struct digests *digests = calloc(1, sizeof(*digests));
    int r;

    if (!digests)
        return -ENOMEM;
    digests->block_shift = (unsigned)__builtin_ctzl(block_bytes);
    digests->total = XXH3_createState();
    digests->concluded = XXH3_createState();
    if (!digests->total || !digests->concluded || XXH3_128bits_reset(digests->total) != XXH_OK)
        return -ENOMEM;
    r = digests_set_size(digests, size_bytes);
    if (r < 0)
        return r;
    *ret = take_ptr(digests);
    return 0;
}

void digests_close(struct digests *digests)
{
    if (!digests)
        return;
    for (size_t i = 0; i < digests->n_pages; i++)
        free(digests->pages[i]);
    free(digests->pages);
    XXH3_freeState(digests->total);
    XXH3_freeState(digests->concluded);
    free(digests);
}

bool digests_fit(const struct digests *digests, uint64_t size_bytes, size_t block_bytes)
{
    return digests->size_bytes == size_bytes && block_bytes >> digests->block_shift == 1;
}

static const struct digest *zero_of(const struct digests *digests, uint64_t block)
{
    return block + 1 == digests->n_blocks ? &digests->last_zero : &digests->zero;
}

/* The index of the page that tells of a block, or of the first one behind it. */
static size_t find_page(const struct digests *digests, uint64_t block)
{
    size_t low = 0, high = digests->n_pages;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (digests->pages[middle]->first + PAGE_DIGESTS <= block)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* NULL: it is not known to be anything but zeroes. */
static struct digest *find(const struct digests *digests, uint64_t block)
{
    size_t i = find_page(digests, block);

    if (i == digests->n_pages || digests->pages[i]->first > block)
        return NULL;
    return &digests->pages[i]->digests[block % PAGE_DIGESTS];
}

static int make_room(struct digests *digests)
{
    size_t cap = digests->cap ? 2 * digests->cap : 16;
    void *grown;

    if (digests->n_pages < digests->cap)
        return 0;
    grown = reallocarray(digests->pages, cap, sizeof(digests->pages[0]));
    if (!grown)
        return -ENOMEM;
    digests->pages = grown;
    digests->cap = cap;
    return 0;
}

static int make_page(struct digests *digests, uint64_t block)
{
    size_t i = find_page(digests, block);
    struct page **at, *made = make_room(digests) < 0 ? NULL : malloc(sizeof(*made));

    if (!made)
        return -ENOMEM;
    made->first = block - block % PAGE_DIGESTS;
    for (size_t k = 0; k < PAGE_DIGESTS; k++)
        made->digests[k] = *zero_of(digests, made->first + k);
    at = &digests->pages[i];
    memmove(at + 1, at, (digests->n_pages++ - i) * sizeof(*at));
    *at = made;
    return 0;
}

int digests_set(struct digests *digests, uint64_t offset, const struct digest *digest)
{
    uint64_t block = offset >> digests->block_shift;
    struct digest *kept = find(digests, block);

    if (!kept && digest_same(digest, zero_of(digests, block)))
        return 0;
    if (!kept && make_page(digests, block) < 0)
        return -ENOMEM;
    *find(digests, block) = *digest;
    return 0;
}

/* The first block of [block, end) that a page tells of; end: none. */
static uint64_t skip_absent(const struct digests *digests, uint64_t block, uint64_t end)
{
    size_t i = find_page(digests, block);

    if (i == digests->n_pages || digests->pages[i]->first >= end)
        return end;
    return digests->pages[i]->first > block ? digests->pages[i]->first : block;
}

void digests_set_zero(struct digests *digests, uint64_t start, uint64_t end)
{
    uint64_t block = start >> digests->block_shift, last = (end - 1) >> digests->block_shift;

    for (block = skip_absent(digests, block, last + 1); block <= last;
         block = skip_absent(digests, block + 1, last + 1))
        *find(digests, block) = *zero_of(digests, block);
}

void digests_get(const struct digests *digests, uint64_t offset, struct digest *ret)
{
    uint64_t block = offset >> digests->block_shift;
    const struct digest *kept = find(digests, block);

    *ret = kept ? *kept : *zero_of(digests, block);
}

/* The first block of [block, end) that is not known to be zeroes; end: none. */
static uint64_t next_data(const struct digests *digests, uint64_t block, uint64_t end)
{
    for (block = skip_absent(digests, block, end); block < end;
         block = skip_absent(digests, block + 1, end)) {
        if (!digest_same(find(digests, block), zero_of(digests, block)))
            break;
    }
    return block;
}

uint64_t digests_next_data(const struct digests *digests, uint64_t start, uint64_t end)
{
    uint64_t behind = ((end - 1) >> digests->block_shift) + 1;
    uint64_t block = next_data(digests, start >> digests->block_shift, behind);

    return block < behind ? block << digests->block_shift : end;
}

static void count(XXH3_state_t *total, uint64_t number)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    XXH3_128bits_update(total, bytes, sizeof(bytes));
}

static void count_blocks(struct digests *digests, uint64_t end)
{
    uint64_t block = next_data(digests, digests->n_counted, end);

    for (; block < end; block = next_data(digests, block + 1, end)) {
        count(digests->total, block << digests->block_shift);
        XXH3_128bits_update(digests->total, find(digests, block), sizeof(struct digest));
    }
    if (digests->n_counted < end)
        digests->n_counted = end;
}

static void forget(struct digests *digests, uint64_t end)
{
    size_t n = find_page(digests, end);

    for (size_t i = 0; i < n; i++)
        free(digests->pages[i]);
    digests->n_pages -= n;
    if (n > 0)
        memmove(digests->pages, digests->pages + n, digests->n_pages * sizeof(digests->pages[0]));
}

uint64_t digests_verified_bytes(const struct digests *digests)
{
    return digests->verified_bytes;
}

void digests_set_verified(struct digests *digests, uint64_t below_bytes)
{
    uint64_t end = below_bytes == digests->size_bytes ? digests->n_blocks
                                                      : below_bytes >> digests->block_shift;

    digests->verified_bytes = below_bytes;
    count_blocks(digests, end);
    forget(digests, end);
}

void digests_forget_from(struct digests *digests, uint64_t offset)
{
    uint64_t block = offset >> digests->block_shift;
    size_t n = find_page(digests, block + PAGE_DIGESTS - 1);

    while (digests->n_pages > n)
        free(digests->pages[--digests->n_pages]);
}

bool digests_are_many(const struct digests *digests)
{
    return digests->n_pages >= PAGES_MANY;
}

void digests_total(struct digests *digests, struct digest *ret)
{
    XXH128_canonical_t canonical;

    count_blocks(digests, digests->n_blocks);
    XXH3_copyState(digests->concluded, digests->total);
    count(digests->concluded, digests->size_bytes);
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(digests->concluded));
    memcpy(ret, &canonical, sizeof(*ret));
}
