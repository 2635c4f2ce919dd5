/*
 * A table of two levels: a page of digests is made when the first chunk in it is found to hold
 * data, and an absent page means zeroes. The last chunk may be cut short, and then the digest of
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
    uint64_t n_chunks;
    unsigned chunk_shift;
    struct digest zero;      /* of a whole chunk of zeroes */
    struct digest last_zero; /* of the last chunk, if it is zeroes */
    struct digest *zero_page;
    size_t n_pages;
    _Atomic(struct digest *) pages[];
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

static int learn_zeroes(struct digests *digests, uint64_t size_bytes, size_t chunk_bytes)
{
    OWNED(mem) void *zeroes = calloc(1, chunk_bytes);
    size_t last_bytes = (size_t)(size_bytes % chunk_bytes);

    digests->zero_page = malloc(PAGE_DIGESTS * sizeof(struct digest));
    if (!zeroes || !digests->zero_page)
        return -ENOMEM;
    digest_of(zeroes, chunk_bytes, &digests->zero);
    digest_of(zeroes, last_bytes > 0 ? last_bytes : chunk_bytes, &digests->last_zero);
    for (size_t i = 0; i < PAGE_DIGESTS; i++)
        digests->zero_page[i] = digests->zero;
    return 0;
}

int digests_open(uint64_t size_bytes, size_t chunk_bytes, struct digests **ret)
{
    OWNED(digests) struct digests *digests = NULL;
    uint64_t n_chunks = size_bytes / chunk_bytes + (size_bytes % chunk_bytes != 0);
    size_t n_pages = (size_t)(n_chunks / PAGE_DIGESTS + 1);
    int r;

    digests = calloc(1, sizeof(*digests) + n_pages * sizeof(digests->pages[0]));
    if (!digests)
        return -ENOMEM;
    digests->n_chunks = n_chunks;
    digests->n_pages = n_pages;
    digests->chunk_shift = (unsigned)__builtin_ctzl(chunk_bytes);
    r = learn_zeroes(digests, size_bytes, chunk_bytes);
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
        free(atomic_load(&digests->pages[i]));
    free(digests->zero_page);
    free(digests);
}

static const struct digest *zero_of(const struct digests *digests, uint64_t chunk)
{
    return chunk + 1 == digests->n_chunks ? &digests->last_zero : &digests->zero;
}

static struct digest *page_of(const struct digests *digests, uint64_t chunk)
{
    return atomic_load_explicit(&digests->pages[chunk / PAGE_DIGESTS], memory_order_acquire);
}

/* Two threads may both find it missing: the second one's is thrown away. */
static struct digest *make_page(struct digests *digests, uint64_t chunk)
{
    struct digest *made = malloc(PAGE_DIGESTS * sizeof(*made)), *there = NULL;
    uint64_t first = chunk - chunk % PAGE_DIGESTS;

    if (!made)
        return NULL;
    memcpy(made, digests->zero_page, PAGE_DIGESTS * sizeof(*made));
    if (digests->n_chunks - first <= PAGE_DIGESTS)
        made[digests->n_chunks - 1 - first] = digests->last_zero;
    if (atomic_compare_exchange_strong(&digests->pages[chunk / PAGE_DIGESTS], &there, made))
        return made;
    free(made);
    return there;
}

int digests_set(struct digests *digests, uint64_t offset, const struct digest *digest)
{
    uint64_t chunk = offset >> digests->chunk_shift;
    struct digest *page = page_of(digests, chunk);

    if (!page && digest_same(digest, zero_of(digests, chunk)))
        return 0;
    if (!page)
        page = make_page(digests, chunk);
    if (!page)
        return -ENOMEM;
    page[chunk % PAGE_DIGESTS] = *digest;
    return 0;
}

/* The first chunk of [chunk, end) in a page that is there; end: none. */
static uint64_t skip_absent(const struct digests *digests, uint64_t chunk, uint64_t end)
{
    while (chunk < end && !page_of(digests, chunk))
        chunk += PAGE_DIGESTS - chunk % PAGE_DIGESTS;
    return chunk < end ? chunk : end;
}

void digests_set_zero(struct digests *digests, uint64_t start, uint64_t end)
{
    uint64_t chunk = start >> digests->chunk_shift, last = (end - 1) >> digests->chunk_shift;

    for (chunk = skip_absent(digests, chunk, last + 1); chunk <= last;
         chunk = skip_absent(digests, chunk + 1, last + 1))
        page_of(digests, chunk)[chunk % PAGE_DIGESTS] = *zero_of(digests, chunk);
}

void digests_get(const struct digests *digests, uint64_t offset, struct digest *ret)
{
    uint64_t chunk = offset >> digests->chunk_shift;
    const struct digest *page = page_of(digests, chunk);

    *ret = page ? page[chunk % PAGE_DIGESTS] : *zero_of(digests, chunk);
}

uint64_t digests_next_data(const struct digests *digests, uint64_t start, uint64_t end)
{
    uint64_t chunk = start >> digests->chunk_shift, last = (end - 1) >> digests->chunk_shift;

    for (chunk = skip_absent(digests, chunk, last + 1); chunk <= last;
         chunk = skip_absent(digests, chunk + 1, last + 1)) {
        if (!digest_same(&page_of(digests, chunk)[chunk % PAGE_DIGESTS], zero_of(digests, chunk)))
            return chunk << digests->chunk_shift;
    }
    return end;
}

int digests_total(const struct digests *digests, const atomic_bool *over, struct digest *ret)
{
    XXH3_state_t *state = XXH3_createState();
    XXH128_canonical_t canonical;
    uint64_t chunk = 0;

    if (!state || XXH3_128bits_reset(state) != XXH_OK) {
        XXH3_freeState(state);
        return -ENOMEM;
    }
    while (chunk < digests->n_chunks && !atomic_load(over)) {
        const struct digest *page = page_of(digests, chunk);
        uint64_t left = digests->n_chunks - chunk, n = left < PAGE_DIGESTS ? left : PAGE_DIGESTS;

        if (!page && n == left)
            n--; /* the last chunk stands alone */
        XXH3_128bits_update(state, page ? page : digests->zero_page, (size_t)n * sizeof(*page));
        chunk += n;
        if (!page && chunk + 1 == digests->n_chunks) {
            XXH3_128bits_update(state, &digests->last_zero, sizeof(digests->last_zero));
            chunk++;
        }
    }
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    XXH3_freeState(state);
    memcpy(ret, &canonical, sizeof(*ret));
    return chunk == digests->n_chunks ? 0 : -ECANCELED;
}
