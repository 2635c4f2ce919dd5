/*
 * Pointers in an order. Owner thread only; what they point to is not theirs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct table { /* sorted */
    void **items;
    size_t n, cap;
};

/* Is there one that is equal to key? *ret_at: where it is, or where it would be. */
bool table_find(const struct table *t, const void *key,
                int (*cmp)(const void *key, const void *item), size_t *ret_at);
int table_insert(struct table *t, size_t at, void *item); /* 0 or -ENOMEM */
void table_remove(struct table *t, size_t at);

/*
 * A table that many come into at once, as volumes do at a start: they stand behind the others until
 * somebody asks for the order. No two are equal.
 */
struct roll {
    struct table table; /* in order but for the last n_new; has room for n_new more */
    size_t n_new;
    int (*cmp)(const void *a, const void *b);
};

int roll_add(struct roll *roll, void *item);           /* 0 or -ENOMEM */
void roll_remove(struct roll *roll, const void *item); /* which is in it */
/* In order; costs what has come since, and one move of what stands behind that. */
const struct table *roll_in_order(struct roll *roll);
