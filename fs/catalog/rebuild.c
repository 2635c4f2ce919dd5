/*
 * Making the file anew. It is done under another name, read back and flushed before it takes the
 * old one's place, so that a kill at any moment leaves one whole catalogue: the old or the new.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "fs/catalog/place.h"
#include "fs/catalog/store.h"

#define ROOM_BYTES (1u << 20) /* for some thousand more records */
#define ROOM_MAX   (256u << 20)

/*
 * A record that is stored and deleted leaves its room behind as free space. Commits that find room
 * do not grow the file: the disk cannot be full for them, and a kill inside them leaves tdb_check
 * content. No transaction: it would write the room page by page, and nobody reads the file yet.
 */
static int make_room(struct store *store, size_t n)
{
    OWNED(mem) uint8_t *zeroes = calloc(1, n);
    uint8_t name = 0;
    TDB_DATA key = {.dptr = &name, .dsize = sizeof(name)};
    TDB_DATA data = {.dptr = zeroes, .dsize = n};

    if (!zeroes)
        return -1;
    if (tdb_store(store->tdb, key, data, TDB_INSERT) != 0 || tdb_delete(store->tdb, key) != 0)
        return -1;
    return store->n_complaints == 0 ? 0 : -1;
}

static size_t room_for(const struct image *image)
{
    size_t n = ROOM_BYTES;

    for (const struct entry *e = image_next(image, NULL); e; e = image_next(image, e))
        n += 2 * (size_t)e->n_bytes;
    return n < ROOM_MAX ? n : ROOM_MAX;
}

static int write_all(struct store *store, const struct image *image, const struct header *header,
                     struct err *e)
{
    const struct image nothing = {0};
    bool unknown;
    int r;

    store_listen(store);
    tdb_add_flags(store->tdb, TDB_NOSYNC); /* nobody reads it before the fsync below */
    if (make_room(store, room_for(image)) != 0)
        return store_fail(store, e, "cannot make room in a new catalogue");
    r = store_commit(store, &nothing, image, header, &unknown, e);
    if (r < 0)
        return r;
    r = io_sync(tdb_fd(store->tdb));
    return r < 0 ? err_set(e, -r, "cannot flush a new catalogue: %s", strerror(-r)) : 0;
}

static int check_all(struct store *store, const struct image *image, const struct header *header,
                     struct err *e)
{
    OWNED(image) struct image found = {0};
    struct header sealed;
    unsigned format;
    bool tidy;
    int r;

    r = store_load(store, &found, &sealed, &tidy, &format, NULL, e);
    if (r < 0)
        return r;
    if (found.n != image->n || sealed.generation != header->generation ||
        sealed.sum != header->sum || !tidy)
        return err_set(e, EIO, "a new catalogue reads back differently");
    return 0;
}

static int replace(int dir, struct err *e)
{
    int r;

    if (renameat(dir, PLACE_NEW, dir, PLACE_CATALOGUE) < 0)
        return err_set(e, errno, "cannot put the new catalogue in place: %s", strerror(errno));
    r = io_sync(dir);
    return r < 0 ? err_set(e, -r, "cannot flush the state directory: %s", strerror(-r)) : 0;
}

static int make_new(struct store *store, int dir, const struct image *image,
                    const struct header *header, struct err *e)
{
    int r;

    if (unlinkat(dir, PLACE_NEW, 0) < 0 && errno != ENOENT)
        return err_set(e, errno, "cannot remove %s: %s", PLACE_NEW, strerror(errno));
    r = store_open(store, dir, PLACE_NEW, O_RDWR | O_CREAT | O_EXCL, e);
    if (r < 0)
        return r;
    r = write_all(store, image, header, e);
    if (r < 0)
        return r;
    store_close(store);
    r = store_open(store, dir, PLACE_NEW, O_RDWR, e);
    if (r < 0)
        return r;
    return check_all(store, image, header, e);
}

int store_rebuild(struct store *store, int dir, const struct image *image,
                  const struct header *header, struct err *e)
{
    int r;

    store_close(store);
    r = make_new(store, dir, image, header, e);
    if (r < 0)
        (void)unlinkat(dir, PLACE_NEW, 0); /* the next start removes what this leaves */
    else
        r = replace(dir, e);
    if (r < 0)
        store_close(store);
    return r;
}
