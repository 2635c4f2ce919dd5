/*
 * A catalogue in memory: records as bytes, found by their key. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/catalog/record.h"

/*
 * Entries are walked by the shelf they lie on: one for each record_kind, and one for the copies
 * that are not primary, which are few among many.
 */
#define SHELF_HIDDEN     RECORD_KIND_N
#define SHELF_N          (RECORD_KIND_N + 1)
#define SHELF_BIT(shelf) (1U << (shelf))

struct entry {                               /* there are two for each volume */
    struct entry *next;                      /* of the same bucket */
    struct entry *shelf_next, **shelf_pprev; /* of the same shelf, once it is in an image */
    uint16_t n_bytes;                        /* of the record; 0: a record that is to be dropped */
    uint8_t n_key;
    uint8_t data[]; /* the key, then the record */
};

/* {0} is an empty one. It stays where it is: entries point to it. */
struct image {
    struct entry *shelves[SHELF_N];
    struct entry **buckets;
    size_t n_buckets; /* a power of two, or 0 */
    size_t n;
};

void image_deinit(struct image *image);
static inline void owned_image(struct image *image)
{
    image_deinit(image);
}

/* Make room for n_more entries: that many image_put cannot fail. 0 or -ENOMEM. */
int image_reserve(struct image *image, size_t n_more);

/* A new entry, the caller's; NULL where memory ran out. n_bytes 0: bytes are not looked at. */
struct entry *image_entry(const struct record_key *key, const void *bytes, size_t n_bytes);

/* Put an entry, which becomes the image's; one of the same key is freed. Room was reserved. */
void image_put(struct image *image, struct entry *entry);
/* Forget a key, if it is there. */
void image_remove(struct image *image, const void *key, size_t n_key);
/* Move every entry of change into image: a record that is to be dropped is removed. Room for
 * change->n was reserved. change is empty then. */
void image_apply(struct image *image, struct image *change);

/* NULL: none. */
const struct entry *image_find(const struct image *image, const void *key, size_t n_key);

/* Every entry, in no order: for (e = image_next(image, NULL); e; e = image_next(image, e)). */
const struct entry *image_next(const struct image *image, const struct entry *entry);

/* The entries of these shelves (SHELF_BITs), by their keys; costs what they hold. *ret is the
 * caller's to free. 0 or -ENOMEM. */
int image_sorted(const struct image *image, uint32_t shelves, const struct entry ***ret,
                 size_t *ret_n);

static inline const uint8_t *entry_bytes(const struct entry *entry)
{
    return entry->data + entry->n_key;
}
static inline enum record_kind entry_kind(const struct entry *entry)
{
    return record_kind_of_key(entry->data, entry->n_key);
}
