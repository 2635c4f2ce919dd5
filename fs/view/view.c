/*
 * The store holds one pointer; a mutex guards it for as long as it takes to copy it and count a
 * reference. Everything behind the pointer is never changed, so it needs no lock.
 */
#include "fs/view/view.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct view_store {
    pthread_mutex_t lock; /* guards current */
    struct view *current;
};

static void ref(atomic_uint *refs)
{
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* True for the last one: what others did with the thing has happened before. */
static bool unref(atomic_uint *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

struct meter *meter_open(void)
{
    struct meter *meter = calloc(1, sizeof(*meter));

    if (!meter)
        return NULL;
    atomic_init(&meter->refs, 1);
    atomic_init(&meter->eta_s, UINT64_MAX);
    atomic_init(&meter->rate_bytes_per_s, UINT64_MAX);
    return meter;
}

void meter_close(struct meter *meter)
{
    if (meter && unref(&meter->refs))
        free(meter);
}

struct view_volume *view_volume_open(void)
{
    struct view_volume *volume = calloc(1, sizeof(*volume));

    if (volume)
        atomic_init(&volume->refs, 1);
    return volume;
}

struct view_volume *view_volume_ref(struct view_volume *volume)
{
    ref(&volume->refs);
    return volume;
}

void view_volume_put(struct view_volume *volume)
{
    if (!volume || !unref(&volume->refs))
        return;
    meter_close(volume->meter);
    free(volume->path);
    free(volume);
}

struct view_host *view_host_open(void)
{
    struct view_host *host = calloc(1, sizeof(*host));

    if (host)
        atomic_init(&host->refs, 1);
    return host;
}

struct view_host *view_host_ref(struct view_host *host)
{
    ref(&host->refs);
    return host;
}

void view_host_put(struct view_host *host)
{
    if (!host || !unref(&host->refs))
        return;
    if (host->taken)
        for (size_t i = 0; i < host->n_taken; i++)
            free(host->taken[i]);
    free(host->taken);
    free(host->path);
    free(host);
}

struct view *view_open(size_t n_volumes, size_t n_hosts)
{
    struct view *view = calloc(1, sizeof(*view));

    if (!view)
        return NULL;
    atomic_init(&view->refs, 1);
    view->n_volumes = n_volumes;
    view->n_hosts = n_hosts;
    view->by_name = calloc(n_volumes + 1, sizeof(struct view_volume *));
    view->by_number = calloc(n_volumes + 1, sizeof(struct view_volume *));
    view->hosts = calloc(n_hosts + 1, sizeof(struct view_host *));
    if (!view->by_name || !view->by_number || !view->hosts) {
        view_put(view);
        return NULL;
    }
    return view;
}

void view_put(struct view *view)
{
    if (!view || !unref(&view->refs))
        return;
    if (view->by_name)
        for (size_t i = 0; i < view->n_volumes; i++)
            view_volume_put(view->by_name[i]);
    if (view->hosts)
        for (size_t i = 0; i < view->n_hosts; i++)
            view_host_put(view->hosts[i]);
    free(view->by_name);
    free(view->by_number); /* the same volumes, not counted twice */
    free(view->hosts);
    free(view->health);
    free(view->jobs);
    free(view->history);
    free(view->hidden);
    free(view);
}

struct view_store *view_store_open(void)
{
    struct view_store *store = calloc(1, sizeof(*store));

    if (store)
        pthread_mutex_init(&store->lock, NULL);
    return store;
}

void view_store_close(struct view_store *store)
{
    if (!store)
        return;
    view_put(store->current);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

struct view *view_get(struct view_store *store)
{
    struct view *view;

    pthread_mutex_lock(&store->lock);
    view = store->current;
    if (view)
        ref(&view->refs);
    pthread_mutex_unlock(&store->lock);
    return view;
}

void view_publish(struct view_store *store, struct view *view)
{
    struct view *old;

    pthread_mutex_lock(&store->lock);
    old = store->current;
    store->current = view;
    pthread_mutex_unlock(&store->lock);
    view_put(old);
}

static int by_number(const void *a, const void *b)
{
    const struct view_volume *x = *(struct view_volume *const *)a;
    const struct view_volume *y = *(struct view_volume *const *)b;

    return (x->number > y->number) - (x->number < y->number);
}

void view_index(struct view *view)
{
    if (view->n_volumes == 0)
        return;
    memcpy(view->by_number, view->by_name, view->n_volumes * sizeof(struct view_volume *));
    qsort(view->by_number, view->n_volumes, sizeof(struct view_volume *), by_number);
}

static int name_against(const void *key, const void *element)
{
    const char *name = key;

    return strcmp(name, (*(struct view_volume *const *)element)->name);
}

static int number_against(const void *key, const void *element)
{
    const uint64_t number = *(const uint64_t *)key;
    const uint64_t other = (*(struct view_volume *const *)element)->number;

    return (number > other) - (number < other);
}

static struct view_volume *search(struct view_volume **volumes, size_t n, const void *key,
                                  int (*against)(const void *, const void *))
{
    struct view_volume **found = NULL;

    if (n > 0)
        found = bsearch(key, volumes, n, sizeof(struct view_volume *), against);
    return found ? *found : NULL;
}

struct view_volume *view_volume_by_name(const struct view *view, const char *name)
{
    return search(view->by_name, view->n_volumes, name, name_against);
}

struct view_volume *view_volume_by_number(const struct view *view, uint64_t number)
{
    return search(view->by_number, view->n_volumes, &number, number_against);
}

struct view_host *view_host_by_name(const struct view *view, const char *name)
{
    for (size_t i = 0; i < view->n_hosts; i++)
        if (strcmp(view->hosts[i]->name, name) == 0)
            return view->hosts[i];
    return NULL;
}

struct view_host *view_host_by_number(const struct view *view, uint64_t number)
{
    for (size_t i = 0; i < view->n_hosts; i++)
        if (view->hosts[i]->number == number)
            return view->hosts[i];
    return NULL;
}
