#include "fs/migrate/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool table_find(const struct table *t, const void *key,
                int (*cmp)(const void *key, const void *item), size_t *ret_at)
{
    size_t low = 0, high = t->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = cmp(key, t->items[middle]);

        if (order == 0) {
            *ret_at = middle;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *ret_at = low;
    return false;
}

static int reserve(struct table *t, size_t n)
{
    size_t cap = t->cap ? t->cap : 16;
    void **items;

    while (cap < n)
        cap *= 2;
    if (cap == t->cap)
        return 0;
    items = reallocarray(t->items, cap, sizeof(*items));
    if (!items)
        return -ENOMEM;
    t->items = items;
    t->cap = cap;
    return 0;
}

int table_insert(struct table *t, size_t at, void *item)
{
    int r = reserve(t, t->n + 1);

    assert(at <= t->n);
    if (r < 0)
        return r;
    memmove(t->items + at + 1, t->items + at, (t->n - at) * sizeof(*t->items));
    t->items[at] = item;
    t->n++;
    return 0;
}

void table_remove(struct table *t, size_t at)
{
    assert(at < t->n);
    t->n--;
    memmove(t->items + at, t->items + at + 1, (t->n - at) * sizeof(*t->items));
}

int roll_add(struct roll *roll, void *item)
{
    struct table *t = &roll->table;
    bool is_last = roll->n_new == 0 && (t->n == 0 || roll->cmp(t->items[t->n - 1], item) < 0);
    int r = reserve(t, t->n + roll->n_new + 2);

    if (r < 0)
        return r;
    t->items[t->n++] = item;
    roll->n_new += is_last ? 0 : 1;
    return 0;
}

static int compare(const void *a, const void *b, void *arg)
{
    const struct roll *roll = arg;

    return roll->cmp(*(void *const *)a, *(void *const *)b);
}

/* From the last to the first, each together with all that goes behind it. */
static void put_in_order(struct roll *roll)
{
    void **items = roll->table.items, **new = items + roll->table.n;
    struct table old = {items, roll->table.n - roll->n_new, 0};

    memcpy(new, items + old.n, roll->n_new * sizeof(*new));
    qsort_r(new, roll->n_new, sizeof(*new), compare, roll);
    for (; roll->n_new > 0; roll->n_new--) {
        void *item = new[roll->n_new - 1];
        size_t at;

        table_find(&old, item, roll->cmp, &at);
        memmove(items + at + roll->n_new, items + at, (old.n - at) * sizeof(*items));
        items[at + roll->n_new - 1] = item;
        old.n = at;
    }
}

const struct table *roll_in_order(struct roll *roll)
{
    if (roll->n_new > 0)
        put_in_order(roll);
    return &roll->table;
}

void roll_remove(struct roll *roll, const void *item)
{
    bool there;
    size_t at;

    there = table_find(roll_in_order(roll), item, roll->cmp, &at);
    assert(there && roll->table.items[at] == item);
    table_remove(&roll->table, at);
}
