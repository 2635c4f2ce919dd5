/*
 * A hash table, chained through the volumes: each of the hundred thousand files that a start finds
 * is looked up in it. The seed is nobody's to know, or whoever may make files in a pool would
 * choose names that all fall into one chain.
 */
#include "fs/migrate/names.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "fs/migrate/world.h"

#define BUCKETS_MIN 64

static struct vol **bucket_of(const struct names *names, const char *name)
{
    return &names->buckets[XXH3_64bits_withSeed(name, strlen(name), names->seed) &
                           (names->n_buckets - 1)];
}

static void push(struct names *names, struct vol *v)
{
    struct vol **bucket = bucket_of(names, v->name);

    v->same_bucket = *bucket;
    *bucket = v;
}

static int grow(struct names *names)
{
    struct names grown = {.n_buckets = names->n_buckets ? 2 * names->n_buckets : BUCKETS_MIN,
                          .n = names->n};

    if (getrandom(&grown.seed, sizeof(grown.seed), 0) < 0) /* of so few bytes it gives all */
        return -errno;
    grown.buckets = calloc(grown.n_buckets, sizeof(*grown.buckets));
    if (!grown.buckets)
        return -ENOMEM;
    for (size_t i = 0; i < names->n_buckets; i++) {
        for (struct vol *next, *v = names->buckets[i]; v; v = next) {
            next = v->same_bucket;
            push(&grown, v);
        }
    }
    free(names->buckets);
    *names = grown;
    return 0;
}

void names_deinit(struct names *names)
{
    free(names->buckets);
    *names = (struct names){0};
}

struct vol *names_find(const struct names *names, const char *name)
{
    struct vol *v = names->n_buckets ? *bucket_of(names, name) : NULL;

    while (v && strcmp(v->name, name) != 0)
        v = v->same_bucket;
    return v;
}

int names_add(struct names *names, struct vol *v)
{
    int r = 0;

    if (names_find(names, v->name))
        return -EEXIST;
    if (names->n == names->n_buckets)
        r = grow(names);
    if (r < 0)
        return r;
    push(names, v);
    names->n++;
    return 0;
}

void names_remove(struct names *names, struct vol *v)
{
    struct vol **link = bucket_of(names, v->name);

    while (*link && *link != v)
        link = &(*link)->same_bucket;
    assert(*link);
    *link = v->same_bucket;
    names->n--;
}
