/*
 * What of a copy is done, kept in a file so that the copy goes on after a kill or a loss of power.
 * At every moment the file holds one whole state: the last one that map_update was told of, or the
 * one before. One thread; a lock keeps a second process out as long as the map is open.
 */
#pragma once

#include <stdbool.h>

#include "copy/digest.h"
#include "copy/endpoint/endpoint.h"
#include "copy/journal.h"

#define MAP_NAME_BYTES 512

/* Which copy it is; what is not used is zero. */
struct map_key {
    uint64_t size_bytes;              /* of the source */
    uint64_t mtime_ns;                /* of the source; 0: it has none */
    struct digest sample;             /* of the source: map_sample */
    uint64_t block_bytes;             /* of the marks */
    char destination[MAP_NAME_BYTES]; /* who that is, in whatever words; compared whole; one
 that is made anew is another one */
};

struct map;

/* The digest of some grains all over an endpoint, first and last among them: the same ones for the
 * same size. 0 or a negative errno, in words in e. */
int map_sample(struct endpoint *ep, uint64_t size_bytes, struct digest *ret, struct err *e);

/* Is there something at path, whatever it is? */
bool map_exists(const char *path);

/*
 * Make the map at path, durably, with a mark of nothing done; or open the one that is there, with
 * its mark. A map of another block size is fine: the mark is rounded down to blocks of this one.
 *
 * key->size_bytes: at most INT64_MAX; key->block_bytes: a power of 2, 4 KiB to 1 GiB.
 * Returns 0, or in words in e, having changed nothing: -ESTALE it is of another source (says
 * whether by size, time or contents) or destination; -EBADMSG it is damaged, of another version, or
 * no map at all; -EBUSY another process has it open; or what the system said.
 */
int map_open(const char *path, const struct map_key *key, struct map **ret,
             struct journal_mark *ret_mark, struct err *e);

/* Was it made just now? */
bool map_is_new(const struct map *map);

/* What the mark says of the destination was flushed there before. The mark is on stable storage
 * when this returns 0. On a negative errno the map holds this mark or the last one, and may be
 * updated again. */
int map_update(struct map *map, const struct journal_mark *mark);

/* The copy is over: remove the file, durably, and free the map, whatever it returns. */
int map_remove(struct map *map);
/* Free it and keep the file. NULL is allowed. */
void map_close(struct map *map);
static inline void owned_map(struct map **map)
{
    map_close(*map);
}
