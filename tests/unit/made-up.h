/*
 * A made-up world for the tests of what readers see: views without an owner.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/view/view.h"

static inline struct view_volume *made_up_volume(uint64_t number)
{
    struct view_volume *volume;
    char name[16], uuid[37];

    snprintf(name, sizeof(name), "vol%05u", (unsigned)number);
    snprintf(uuid, sizeof(uuid), "00000000-0000-4000-8000-%012u", (unsigned)number);
    volume = view_volume_open(name);
    volume->number = number;
    uuid_parse(uuid, volume->uuid);
    volume->host = volume->target = "ssd";
    volume->size_bytes = 1048576;
    volume->allocated_bytes = 65536;
    volume->phase = "idle";
    volume->result = result_names[RESULT_NULL];
    volume->dates = view_dates_open();
    for (int event = 0; event < EVENT_N; event++)
        volume->dates->at[event] = (struct timespec){1700000000 + event, 5};
    return volume;
}

/* The same again, to be changed and published. */
static inline struct view_volume *made_up_copy(const struct view_volume *from)
{
    struct view_volume *volume = view_volume_open(from->name);

    memcpy((char *)volume + sizeof(volume->refs), (const char *)from + sizeof(from->refs),
           sizeof(*volume) - sizeof(volume->refs));
    volume->stat = NULL;
    volume->options = NULL;
    if (from->stat && view_volume_set_stat(volume, from->stat) < 0)
        abort();
    volume->message = from->message ? strdup(from->message) : NULL;
    volume->error = from->error ? strdup(from->error) : NULL;
    volume->dates = view_dates_open();
    memcpy(volume->dates->at, from->dates->at, sizeof(volume->dates->at));
    volume->retained = from->retained ? strdup(from->retained) : NULL;
    if (volume->meter)
        atomic_fetch_add(&volume->meter->refs, 1);
    return volume;
}

/* In the order of the numbers, which is that of the names too. */
static inline void made_up_set(struct view *view, size_t place, struct view_volume *volume)
{
    if (view_set(view, place, volume) < 0)
        abort();
    view_set_order(view, place, place);
}

static inline struct view_host *made_up_host(uint64_t number, const char *name)
{
    struct view_host *host = view_host_open();

    host->number = number;
    strcpy(host->name, name);
    host->path = malloc(64);
    snprintf(host->path, 64, "/srv/%s", name);
    host->driver = "dir";
    host->up = true;
    host->max_jobs = 2;
    host->speed_bytes_per_s = UINT64_MAX;
    host->capacity_bytes = 1000000000;
    host->free_bytes = 600000000;
    host->reserved_bytes = 4096;
    host->n_volumes = 3;
    host->n_jobs = 1;
    for (int event = 0; event < EVENT_N; event++)
        host->changed[event] = (struct timespec){1700000000 + event, 7};
    return host;
}

/* n_volumes of them, numbered from 1, and the hosts ssd and hdd. */
static inline struct view *made_up_view(size_t n_volumes)
{
    struct view *view = view_open(n_volumes, 2);

    for (size_t i = 0; i < n_volumes; i++)
        made_up_set(view, i, made_up_volume(i + 1));
    view->hosts[0] = made_up_host(1, "ssd");
    view->hosts[1] = made_up_host(2, "hdd");
    view->max_jobs = 2;
    view->max_queue = 1000;
    view->speed_bytes_per_s = 50000000;
    view->health = strdup("ok\n");
    view->jobs = strdup("");
    view->history = strdup("");
    view->hidden = strdup("");
    view->events = feed_open(FEED_LIMIT_BYTES);
    for (int event = 0; event < EVENT_N; event++)
        view->changed[event] = (struct timespec){1700000000 + event, 9};
    return view;
}
