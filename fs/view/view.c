/*
 * The store holds one pointer; a mutex guards it for as long as it takes to copy it and count a
 * reference. Everything behind the pointer is never changed, so it needs no lock.
 */
#include "fs/view/view.h"

#include <assert.h>
#include <errno.h>
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
    atomic_init(&meter->speed_bytes_per_s, UINT64_MAX);
    return meter;
}

void meter_close(struct meter *meter)
{
    if (meter && unref(&meter->refs))
        free(meter);
}

struct view_dates *view_dates_open(void)
{
    struct view_dates *dates = calloc(1, sizeof(*dates));

    if (dates)
        atomic_init(&dates->refs, 1);
    return dates;
}

struct view_dates *view_dates_ref(struct view_dates *dates)
{
    ref(&dates->refs);
    return dates;
}

void view_dates_put(struct view_dates *dates)
{
    if (dates && unref(&dates->refs))
        free(dates);
}

struct view_volume *view_volume_open(const char *name)
{
    size_t n = strlen(name) + 1;
    struct view_volume *volume = calloc(1, sizeof(*volume) + n);

    if (!volume)
        return NULL;
    atomic_init(&volume->refs, 1);
    volume->host = volume->target = "";
    memcpy(volume->name, name, n);
    return volume;
}

int view_volume_set_stat(struct view_volume *volume, const struct job_stat *stat)
{
    if (!volume->stat)
        volume->stat = malloc(sizeof(*volume->stat));
    if (!volume->stat)
        return -ENOMEM;
    *volume->stat = *stat;
    return 0;
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
    view_dates_put(volume->dates);
    free(volume->stat);
    free(volume->options);
    free(volume->message);
    free(volume->error);
    free(volume->retained);
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

static size_t n_pieces(const struct view *view)
{
    return (view->n_volumes + VIEW_PIECE - 1) / VIEW_PIECE;
}

static void piece_put(struct view_piece *piece)
{
    if (!piece || !unref(&piece->refs))
        return;
    for (size_t i = 0; i < VIEW_PIECE; i++)
        view_volume_put(piece->volumes[i]);
    free(piece);
}

/* A piece that nobody else has, with the volumes of another. */
static struct view_piece *piece_like(const struct view_piece *before)
{
    struct view_piece *piece = calloc(1, sizeof(*piece));

    if (!piece)
        return NULL;
    atomic_init(&piece->refs, 1);
    for (size_t i = 0; before && i < VIEW_PIECE && before->volumes[i]; i++)
        piece->volumes[i] = view_volume_ref(before->volumes[i]);
    return piece;
}

static struct view *make(size_t n_volumes, size_t n_hosts)
{
    struct view *view = calloc(1, sizeof(*view));

    if (!view)
        return NULL;
    atomic_init(&view->refs, 1);
    view->n_volumes = n_volumes;
    view->n_hosts = n_hosts;
    view->pieces = calloc(n_pieces(view) + 1, sizeof(struct view_piece *));
    view->hosts = calloc(n_hosts + 1, sizeof(struct view_host *));
    if (view->pieces && view->hosts)
        return view;
    view_put(view);
    return NULL;
}

struct view *view_open(size_t n_volumes, size_t n_hosts)
{
    struct view *view = make(n_volumes, n_hosts);
    size_t n_order_bytes = n_volumes * sizeof(view->order->places[0]);

    if (!view)
        return NULL;
    view->order = calloc(1, sizeof(*view->order) + n_order_bytes);
    if (view->order) {
        atomic_init(&view->order->refs, 1);
        return view;
    }
    view_put(view);
    return NULL;
}

struct view *view_open_like(const struct view *before, size_t n_hosts)
{
    struct view *view = make(before->n_volumes, n_hosts);

    if (!view)
        return NULL;
    view->order = before->order;
    ref(&view->order->refs);
    for (size_t i = 0; i < n_pieces(view); i++) {
        view->pieces[i] = before->pieces[i];
        ref(&view->pieces[i]->refs);
    }
    return view;
}

int view_set(struct view *view, size_t place, struct view_volume *volume)
{
    struct view_piece **piece = &view->pieces[place / VIEW_PIECE], *own = *piece;

    assert(place < view->n_volumes);
    if (!own || atomic_load(&own->refs) > 1) { /* others see it: they keep what they see */
        own = piece_like(*piece);
        if (!own) {
            view_volume_put(volume);
            return -ENOMEM;
        }
        piece_put(*piece);
        *piece = own;
    }
    view_volume_put(own->volumes[place % VIEW_PIECE]);
    own->volumes[place % VIEW_PIECE] = volume;
    return 0;
}

void view_set_order(struct view *view, size_t nth, size_t place)
{
    assert(nth < view->n_volumes && place < view->n_volumes);
    view->order->places[nth] = (uint32_t)place;
}

void view_put(struct view *view)
{
    if (!view || !unref(&view->refs))
        return;
    for (size_t i = 0; view->pieces && i < n_pieces(view); i++)
        piece_put(view->pieces[i]);
    for (size_t i = 0; view->hosts && i < view->n_hosts; i++)
        view_host_put(view->hosts[i]);
    if (view->order && unref(&view->order->refs))
        free(view->order);
    free(view->pieces);
    free(view->hosts);
    free(view->health);
    free(view->jobs);
    free(view->history);
    free(view->hidden);
    feed_put(view->events);
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

size_t view_place_from(const struct view *view, uint64_t number)
{
    size_t low = 0, high = view->n_volumes;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (view_volume_at(view, middle)->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct view_volume *view_volume_by_number(const struct view *view, uint64_t number)
{
    size_t place = view_place_from(view, number);
    struct view_volume *volume = place < view->n_volumes ? view_volume_at(view, place) : NULL;

    return volume && volume->number == number ? volume : NULL;
}

struct view_volume *view_volume_by_name(const struct view *view, const char *name)
{
    size_t low = 0, high = view->n_volumes;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct view_volume *volume = view_volume_nth(view, middle);
        int order = strcmp(name, volume->name);

        if (order == 0)
            return volume;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
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
