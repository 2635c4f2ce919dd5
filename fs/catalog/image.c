#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/crc.h"
#include "fs/catalog/image.h"

#define BUCKETS_MIN    64
#define BUCKET_ENTRIES 2 /* on average, at most */

static size_t bucket_at(const struct image *image, const void *key, size_t n_key)
{
    return crc32c(0, key, n_key) & (image->n_buckets - 1);
}

static struct entry **bucket_of(const struct image *image, const void *key, size_t n_key)
{
    return &image->buckets[bucket_at(image, key, n_key)];
}

static void free_entries(struct image *image)
{
    struct entry *entry, *next;

    for (size_t i = 0; i < image->n_buckets; i++) {
        for (entry = image->buckets[i]; entry; entry = next) {
            next = entry->next;
            free(entry);
        }
    }
}

void image_deinit(struct image *image)
{
    free_entries(image);
    free(image->buckets);
    *image = (struct image){0};
}

static void move_entries(struct image *from, struct image *to)
{
    struct entry *entry, *next, **bucket;

    for (size_t i = 0; i < from->n_buckets; i++) {
        for (entry = from->buckets[i]; entry; entry = next) {
            next = entry->next;
            bucket = bucket_of(to, entry->data, entry->n_key);
            entry->next = *bucket;
            *bucket = entry;
        }
    }
}

int image_reserve(struct image *image, size_t n_more)
{
    struct image grown = {.n_buckets = BUCKETS_MIN};
    size_t wanted;

    if (__builtin_add_overflow(image->n, n_more, &wanted))
        return -ENOMEM;
    wanted /= BUCKET_ENTRIES;
    if (image->n_buckets >= wanted && image->n_buckets > 0)
        return 0;
    while (grown.n_buckets < wanted)
        if (__builtin_mul_overflow(grown.n_buckets, (size_t)2, &grown.n_buckets))
            return -ENOMEM;
    grown.buckets = calloc(grown.n_buckets, sizeof(*grown.buckets));
    if (!grown.buckets)
        return -ENOMEM;
    move_entries(image, &grown);
    free(image->buckets);
    image->buckets = grown.buckets;
    image->n_buckets = grown.n_buckets;
    return 0;
}

static void put_on_shelf(struct image *image, struct entry *entry)
{
    unsigned shelf = entry_kind(entry);
    struct entry **head;

    if (entry->n_bytes > 0 && record_is_hidden_copy(entry_bytes(entry), entry->n_bytes))
        shelf = SHELF_HIDDEN;
    head = &image->shelves[shelf];
    entry->shelf_next = *head;
    entry->shelf_pprev = head;
    if (*head)
        (*head)->shelf_pprev = &entry->shelf_next;
    *head = entry;
}

static void take_off_shelf(struct entry *entry)
{
    *entry->shelf_pprev = entry->shelf_next;
    if (entry->shelf_next)
        entry->shelf_next->shelf_pprev = entry->shelf_pprev;
}

struct entry *image_entry(const struct record_key *key, const void *bytes, size_t n_bytes)
{
    struct entry *entry;

    assert(n_bytes <= RECORD_MAX_BYTES);
    entry = malloc(offsetof(struct entry, data) + key->n + n_bytes);
    if (!entry)
        return NULL;
    entry->next = NULL;
    entry->n_key = (uint8_t)key->n;
    entry->n_bytes = (uint16_t)n_bytes;
    memcpy(entry->data, key->bytes, key->n);
    if (n_bytes > 0)
        memcpy(entry->data + key->n, bytes, n_bytes);
    return entry;
}

/* The link that leads to the entry of a key, or the one at the end of its bucket. */
static struct entry **link_of(const struct image *image, const void *key, size_t n_key)
{
    struct entry **link = bucket_of(image, key, n_key);

    while (*link && ((*link)->n_key != n_key || memcmp((*link)->data, key, n_key) != 0))
        link = &(*link)->next;
    return link;
}

void image_put(struct image *image, struct entry *entry)
{
    struct entry **link;

    assert(image->n_buckets > 0);
    link = link_of(image, entry->data, entry->n_key);
    entry->next = NULL;
    if (*link) {
        entry->next = (*link)->next;
        take_off_shelf(*link);
        free(*link);
    } else {
        image->n++;
    }
    *link = entry;
    put_on_shelf(image, entry);
}

void image_remove(struct image *image, const void *key, size_t n_key)
{
    struct entry **link, *gone;

    if (image->n_buckets == 0)
        return;
    link = link_of(image, key, n_key);
    gone = *link;
    if (!gone)
        return;
    *link = gone->next;
    take_off_shelf(gone);
    free(gone);
    image->n--;
}

void image_apply(struct image *image, struct image *change)
{
    struct entry *entry, *next;

    for (size_t i = 0; i < change->n_buckets; i++) {
        for (entry = change->buckets[i]; entry; entry = next) {
            next = entry->next;
            take_off_shelf(entry);
            if (entry->n_bytes > 0) {
                image_put(image, entry);
            } else {
                image_remove(image, entry->data, entry->n_key);
                free(entry);
            }
        }
        change->buckets[i] = NULL;
    }
    image_deinit(change);
}

const struct entry *image_find(const struct image *image, const void *key, size_t n_key)
{
    if (image->n_buckets == 0)
        return NULL;
    return *link_of(image, key, n_key);
}

const struct entry *image_next(const struct image *image, const struct entry *entry)
{
    size_t i = 0;

    if (entry) {
        if (entry->next)
            return entry->next;
        i = bucket_at(image, entry->data, entry->n_key) + 1;
    }
    for (; i < image->n_buckets; i++)
        if (image->buckets[i])
            return image->buckets[i];
    return NULL;
}

static int compare_keys(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    int order = memcmp(x->data, y->data, x->n_key < y->n_key ? x->n_key : y->n_key);

    return order != 0 ? order : (int)x->n_key - (int)y->n_key;
}

static size_t n_on(const struct image *image, uint32_t shelves)
{
    size_t n = 0;

    for (unsigned shelf = 0; shelf < SHELF_N; shelf++)
        if (shelves & SHELF_BIT(shelf))
            for (const struct entry *e = image->shelves[shelf]; e; e = e->shelf_next)
                n++;
    return n;
}

int image_sorted(const struct image *image, uint32_t shelves, const struct entry ***ret,
                 size_t *ret_n)
{
    const struct entry **sorted = calloc(n_on(image, shelves) + 1, sizeof(struct entry *));
    size_t n = 0;

    if (!sorted)
        return -ENOMEM;
    for (unsigned shelf = 0; shelf < SHELF_N; shelf++)
        if (shelves & SHELF_BIT(shelf))
            for (const struct entry *e = image->shelves[shelf]; e; e = e->shelf_next)
                sorted[n++] = e;
    qsort(sorted, n, sizeof(struct entry *), compare_keys);
    *ret = sorted;
    *ret_n = n;
    return 0;
}
