/*
 * Looking at what is committed.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "copy/base/cleanup.h"
#include "fs/catalog/state.h"

typedef int walk_fn(const struct entry *entry, const void *visit);

/* The entries of some shelves by their keys: uuids, names, numbers as they were given. */
static int walk(const struct catalog *catalog, uint32_t shelves, bool backwards, walk_fn *fn,
                const void *visit)
{
    OWNED(mem) const struct entry **sorted = NULL;
    size_t n;
    int r;

    r = image_sorted(&catalog->image, shelves, &sorted, &n);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = fn(sorted[backwards ? n - 1 - i : i], visit);
    return r;
}

/* What is in memory was encoded here or checked when it was read: if it is broken, so are we. */
#define EACH_OF(name, shelves)                                                                     \
    struct name##_visit {                                                                          \
        int (*fn)(const struct name *, void *);                                                    \
        void *arg;                                                                                 \
    };                                                                                             \
                                                                                                   \
    static int visit_##name(const struct entry *entry, const void *visit)                          \
    {                                                                                              \
        const struct name##_visit *v = visit;                                                      \
        struct name value;                                                                         \
        int r;                                                                                     \
                                                                                                   \
        r = record_decode_##name(entry_bytes(entry), entry->n_bytes, &value);                      \
        assert(r == 0);                                                                            \
        return v->fn(&value, v->arg);                                                              \
    }                                                                                              \
                                                                                                   \
    int catalog_each_##name(const struct catalog *catalog, int (*fn)(const struct name *, void *), \
                            void *arg)                                                             \
    {                                                                                              \
        const struct name##_visit visit = {fn, arg};                                               \
                                                                                                   \
        return walk(catalog, shelves, false, visit_##name, &visit);                                \
    }

EACH_OF(volume, SHELF_BIT(RECORD_VOLUME))
EACH_OF(copy, SHELF_BIT(RECORD_COPY) | SHELF_BIT(SHELF_HIDDEN))
EACH_OF(job, SHELF_BIT(RECORD_JOB))
EACH_OF(pool, SHELF_BIT(RECORD_POOL))
EACH_OF(evacuation, SHELF_BIT(RECORD_EVACUATION))

int catalog_each_hidden(const struct catalog *catalog, int (*fn)(const struct copy *, void *),
                        void *arg)
{
    const struct copy_visit visit = {fn, arg};

    return walk(catalog, SHELF_BIT(SHELF_HIDDEN), false, visit_copy, &visit);
}

struct history_visit {
    int (*fn)(const struct history *, void *);
    void *arg;
};

static int visit_history(const struct entry *entry, const void *visit)
{
    const struct history_visit *v = visit;
    struct numbered_history value;
    int r;

    r = record_decode_history(entry_bytes(entry), entry->n_bytes, &value);
    assert(r == 0);
    return v->fn(&value.history, v->arg);
}

int catalog_each_history(const struct catalog *catalog, int (*fn)(const struct history *, void *),
                         void *arg)
{
    const struct history_visit visit = {fn, arg};

    return walk(catalog, SHELF_BIT(RECORD_HISTORY), true, visit_history, &visit);
}

static const struct entry *find(const struct catalog *catalog, struct record_key key)
{
    return image_find(&catalog->image, key.bytes, key.n);
}

int catalog_get_volume(const struct catalog *catalog, const uuid_t uuid, struct volume *ret)
{
    const struct entry *entry = find(catalog, record_key_uuid(RECORD_VOLUME, uuid));

    return entry ? record_decode_volume(entry_bytes(entry), entry->n_bytes, ret) : -ENOENT;
}

int catalog_get_copy(const struct catalog *catalog, const uuid_t cid, struct copy *ret)
{
    const struct entry *entry = find(catalog, record_key_uuid(RECORD_COPY, cid));

    return entry ? record_decode_copy(entry_bytes(entry), entry->n_bytes, ret) : -ENOENT;
}

int catalog_get_job(const struct catalog *catalog, uint64_t number, struct job *ret)
{
    const struct entry *entry = find(catalog, record_key_number(RECORD_JOB, number));

    return entry ? record_decode_job(entry_bytes(entry), entry->n_bytes, ret) : -ENOENT;
}

int catalog_get_pool(const struct catalog *catalog, const char *host, struct pool *ret)
{
    const struct entry *entry = find(catalog, record_key_host(RECORD_POOL, host));

    return entry ? record_decode_pool(entry_bytes(entry), entry->n_bytes, ret) : -ENOENT;
}

int catalog_get_evacuation(const struct catalog *catalog, const char *host, struct evacuation *ret)
{
    const struct entry *entry = find(catalog, record_key_host(RECORD_EVACUATION, host));

    return entry ? record_decode_evacuation(entry_bytes(entry), entry->n_bytes, ret) : -ENOENT;
}
