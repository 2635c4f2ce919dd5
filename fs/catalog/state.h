/*
 * The inside of struct catalog, for the files of this folder.
 */
#pragma once

#include "fs/catalog/catalog.h"
#include "fs/catalog/image.h"
#include "fs/catalog/place.h"
#include "fs/catalog/store.h"

struct catalog {
    struct place place;
    struct store store;
    struct image image;   /* what is committed */
    struct header header; /* of it */
    struct image staged;  /* what the next commit changes */
    uint64_t n_staged_history;
    uint64_t next_volume, next_job; /* handed out, whether committed or not: never given twice */
    bool doubt;
};

/* The header that seals image once change is applied to it. */
struct header catalog_seal(const struct header *header, const struct image *image,
                           const struct image *change);
