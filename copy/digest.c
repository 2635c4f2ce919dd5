/*
 * A table of two levels: a page of digests is made when the first block in it is found to hold
 * data, and an absent page means zeroes. The last block may be cut short, and then the digest of
 * its zeroes is another one.
 */
#include "copy/digest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "copy/base/cleanup.h"

#define PAGE_DIGESTS 4096u

struct digests {
    uint64_t size_bytes;
    uint64_t n_blocks;
    unsigned block_shift;
    uint64_t verified_bytes;
    struct digest zero;      /* of a whole block of zeroes */
    struct digest last_zero; /* of the last block, if it is zeroes */
    struct digest *zero_page;
    size_t n_pages;
    struct digest *pages[];
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

static int learn_zeroes(struct digests *digests, uint64_t size_bytes, size_t block_bytes)
{
    OWNED(mem) void *zeroes = calloc(1, block_bytes);
    size_t last_bytes = (size_t)(size_bytes % block_bytes);

    digests->zero_page = malloc(PAGE_DIGESTS * sizeof(struct digest));
    if (!zeroes || !digests->zero_page)
        return -ENOMEM;
    digest_of(zeroes, block_bytes, &digests->zero);
    digest_of(zeroes, last_bytes > 0 ? last_bytes : block_bytes, &digests->last_zero);
    for (size_t i = 0; i < PAGE_DIGESTS; i++)
        digests->zero_page[i] = digests->zero;
    return 0;
}

int digests_open(uint64_t size_bytes, size_t block_bytes, struct digests **ret)
{
    OWNED(digests) struct digests *digests = NULL;
    uint64_t n_blocks = size_bytes / block_bytes + (size_bytes % block_bytes != 0);
    size_t n_pages = (size_t)(n_blocks / PAGE_DIGESTS + 1);
    int r;

    digests = calloc(1, sizeof(*digests) + n_pages * sizeof(digests->pages[0]));
    if (!digests)
        return -ENOMEM;
    digests->size_bytes = size_bytes;
    digests->n_blocks = n_blocks;
    digests->n_pages = n_pages;
    digests->block_shift = (unsigned)__builtin_ctzl(block_bytes);
    r = learn_zeroes(digests, size_bytes, block_bytes);
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
    free(digests->zero_page);
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

static struct digest *page_of(const struct digests *digests, uint64_t block)
{
    return digests->pages[block / PAGE_DIGESTS];
}

static struct digest *make_page(struct digests *digests, uint64_t block)
{
    struct digest *made = malloc(PAGE_DIGESTS * sizeof(*made));
    uint64_t first = block - block % PAGE_DIGESTS;

    if (!made)
        return NULL;
    memcpy(made, digests->zero_page, PAGE_DIGESTS * sizeof(*made));
    if (digests->n_blocks - first <= PAGE_DIGESTS)
        made[digests->n_blocks - 1 - first] = digests->last_zero;
    digests->pages[block / PAGE_DIGESTS] = made;
    return made;
}

int digests_set(struct digests *digests, uint64_t offset, const struct digest *digest)
{
    uint64_t block = offset >> digests->block_shift;
    struct digest *page = page_of(digests, block);

    if (!page && digest_same(digest, zero_of(digests, block)))
        return 0;
    if (!page)
        page = make_page(digests, block);
    if (!page)
        return -ENOMEM;
    page[block % PAGE_DIGESTS] = *digest;
    return 0;
}

/* The first block of [block, end) in a page that is there; end: none. */
static uint64_t skip_absent(const struct digests *digests, uint64_t block, uint64_t end)
{
    while (block < end && !page_of(digests, block))
        block += PAGE_DIGESTS - block % PAGE_DIGESTS;
    return block < end ? block : end;
}

void digests_set_zero(struct digests *digests, uint64_t start, uint64_t end)
{
    uint64_t block = start >> digests->block_shift, last = (end - 1) >> digests->block_shift;

    for (block = skip_absent(digests, block, last + 1); block <= last;
         block = skip_absent(digests, block + 1, last + 1))
        page_of(digests, block)[block % PAGE_DIGESTS] = *zero_of(digests, block);
}

void digests_get(const struct digests *digests, uint64_t offset, struct digest *ret)
{
    uint64_t block = offset >> digests->block_shift;
    const struct digest *page = page_of(digests, block);

    *ret = page ? page[block % PAGE_DIGESTS] : *zero_of(digests, block);
}

uint64_t digests_next_data(const struct digests *digests, uint64_t start, uint64_t end)
{
    uint64_t block = start >> digests->block_shift, last = (end - 1) >> digests->block_shift;

    for (block = skip_absent(digests, block, last + 1); block <= last;
         block = skip_absent(digests, block + 1, last + 1)) {
        if (!digest_same(&page_of(digests, block)[block % PAGE_DIGESTS], zero_of(digests, block)))
            return block << digests->block_shift;
    }
    return end;
}

uint64_t digests_verified_bytes(const struct digests *digests)
{
    return digests->verified_bytes;
}

void digests_set_verified(struct digests *digests, uint64_t below_bytes)
{
    digests->verified_bytes = below_bytes;
}

int digests_total(const struct digests *digests, const atomic_bool *over, struct digest *ret)
{
    XXH3_state_t *state = XXH3_createState();
    XXH128_canonical_t canonical;
    uint64_t block = 0;

    if (!state || XXH3_128bits_reset(state) != XXH_OK) {
        XXH3_freeState(state);
        return -ENOMEM;
    }
    while (block < digests->n_blocks && !atomic_load(over)) {
        const struct digest *page = page_of(digests, block);
        uint64_t left = digests->n_blocks - block, n = left < PAGE_DIGESTS ? left : PAGE_DIGESTS;

        if (!page && n == left)
            n--; /* the last block stands alone */
        XXH3_128bits_update(state, page ? page : digests->zero_page, (size_t)n * sizeof(*page));
        block += n;
        if (!page && block + 1 == digests->n_blocks) {
            XXH3_128bits_update(state, &digests->last_zero, sizeof(digests->last_zero));
            block++;
        }
    }
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    XXH3_freeState(state);
    memcpy(ret, &canonical, sizeof(*ret));
    return block == digests->n_blocks ? 0 : -ECANCELED;
}
