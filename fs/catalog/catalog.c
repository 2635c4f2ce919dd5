/*
 * Staging and committing.
 *
 * Memory holds the committed state alone. A commit that counts moves the staged records into it;
 * one that failed drops them, and where its outcome is unknown the file is made anew from memory:
 * it then holds the old state, so that what failed did not happen, now and after a restart.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/base/log.h"
#include "fs/catalog/state.h"

struct header catalog_seal(const struct header *header, const struct image *image,
                           const struct image *change)
{
    struct header sealed = *header;

    for (const struct entry *e = image_next(change, NULL); e; e = image_next(change, e)) {
        const struct entry *old = image_find(image, e->data, e->n_key);

        if (old) {
            sealed.sum -= record_checksum(entry_bytes(old), old->n_bytes);
            sealed.n_records--;
        }
        if (e->n_bytes > 0) {
            sealed.sum += record_checksum(entry_bytes(e), e->n_bytes);
            sealed.n_records++;
        }
    }
    return sealed;
}

/* A state that is in memory and not surely on the disk: write it there, under the next generation.
 */
static int make_anew(struct catalog *catalog, uint64_t generation, struct err *e)
{
    struct header header = catalog->header;
    int r;

    header.generation = generation;
    r = store_rebuild(&catalog->store, catalog->place.dir, &catalog->image, &header, e);
    if (r == 0)
        catalog->header = header;
    return r;
}

static int make_first(struct catalog *catalog, struct err *e)
{
    catalog->header = (struct header){.next_volume = 1, .next_job = 1, .next_history = 1};
    return make_anew(catalog, 1, e);
}

/*
 * A killed daemon may have left its last commit or its rename in the page cache alone: it looks
 * true, and a power cut would undo it after somebody relied on it.
 */
static int make_durable(struct catalog *catalog)
{
    int r;

    r = io_sync(tdb_fd(catalog->store.tdb));
    return r < 0 ? r : io_sync(catalog->place.dir);
}

static int load(struct catalog *catalog, struct err *e)
{
    struct err why = {0};
    unsigned format;
    bool tidy;
    int r;

    r = store_open(&catalog->store, catalog->place.dir, PLACE_CATALOGUE, O_RDWR, e);
    if (r < 0)
        return r;
    r = store_load(&catalog->store, &catalog->image, &catalog->header, &tidy, &format, NULL, e);
    if (r < 0)
        return r;
    if (make_durable(catalog) == 0 && tidy && format == RECORD_FORMAT)
        return 0;
    r = make_anew(catalog, catalog->header.generation + 1, &why);
    if (r == 0)
        return 0;
    /* Every record is right: volumes are shown and served, nothing is changed. */
    catalog->doubt = true;
    log_say(LOG_WARNING, "the catalogue can be read but not written until a restart: %s", why.text);
    return 0;
}

static int begin(struct catalog *catalog, const char *state_dir, struct err *e)
{
    int r;

    if (unlinkat(catalog->place.dir, PLACE_NEW, 0) < 0 && errno != ENOENT)
        log_say(LOG_WARNING, "cannot remove %s/%s: %s", state_dir, PLACE_NEW, strerror(errno));
    r = place_check_file(&catalog->place, state_dir, PLACE_CATALOGUE, e);
    r = r == -ENOENT ? make_first(catalog, e) : r < 0 ? r : load(catalog, e);
    catalog->next_volume = catalog->header.next_volume;
    catalog->next_job = catalog->header.next_job;
    return r;
}

int catalog_open(const char *state_dir, struct catalog **ret, struct err *e)
{
    OWNED(catalog) struct catalog *catalog = calloc(1, sizeof(*catalog));
    int r;

    if (!catalog)
        return err_set(e, ENOMEM, "no memory for the catalogue");
    catalog->place = PLACE_NONE;
    r = place_open(state_dir, true, &catalog->place, e);
    if (r < 0)
        return r;
    r = begin(catalog, state_dir, e);
    if (r < 0)
        return r;
    *ret = take_ptr(catalog);
    return 0;
}

void catalog_close(struct catalog *catalog)
{
    if (!catalog)
        return;
    store_close(&catalog->store);
    image_deinit(&catalog->staged);
    image_deinit(&catalog->image);
    place_close(&catalog->place);
    free(catalog);
}

uint64_t catalog_next_volume(struct catalog *catalog)
{
    return catalog->next_volume++;
}

uint64_t catalog_next_job(struct catalog *catalog)
{
    return catalog->next_job++;
}

bool catalog_doubt(const struct catalog *catalog)
{
    return catalog->doubt;
}

void catalog_cancel(struct catalog *catalog)
{
    image_deinit(&catalog->staged);
    catalog->n_staged_history = 0;
}

/* n 0: drop. */
static int stage(struct catalog *catalog, struct record_key key, const uint8_t *bytes, size_t n)
{
    struct entry *entry;
    int r;

    r = image_reserve(&catalog->staged, 1);
    if (r < 0)
        return r;
    entry = image_entry(&key, bytes, n);
    if (!entry)
        return -ENOMEM;
    image_put(&catalog->staged, entry);
    return 0;
}

int catalog_put_volume(struct catalog *catalog, const struct volume *volume)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t n = record_encode_volume(volume, bytes);

    return stage(catalog, record_key_uuid(RECORD_VOLUME, volume->uuid), bytes, n);
}

int catalog_put_copy(struct catalog *catalog, const struct copy *copy)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t n = record_encode_copy(copy, bytes);

    return stage(catalog, record_key_uuid(RECORD_COPY, copy->cid), bytes, n);
}

int catalog_put_job(struct catalog *catalog, const struct job *job)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t n = record_encode_job(job, bytes);

    return stage(catalog, record_key_number(RECORD_JOB, job->number), bytes, n);
}

int catalog_put_pool(struct catalog *catalog, const struct pool *pool)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t n = record_encode_pool(pool, bytes);

    return stage(catalog, record_key_host(RECORD_POOL, pool->host), bytes, n);
}

int catalog_put_evacuation(struct catalog *catalog, const struct evacuation *evacuation)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t n = record_encode_evacuation(evacuation, bytes);

    return stage(catalog, record_key_host(RECORD_EVACUATION, evacuation->host), bytes, n);
}

int catalog_put_history(struct catalog *catalog, const struct history *history)
{
    struct numbered_history numbered;
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t n;
    int r;

    memset(&numbered, 0, sizeof(numbered));
    numbered.sequence = catalog->header.next_history + catalog->n_staged_history;
    numbered.history = *history;
    n = record_encode_history(&numbered, bytes);
    if (numbered.sequence > CATALOG_HISTORY_MAX) {
        r = stage(catalog,
                  record_key_number(RECORD_HISTORY, numbered.sequence - CATALOG_HISTORY_MAX), NULL,
                  0);
        if (r < 0)
            return r;
    }
    r = stage(catalog, record_key_number(RECORD_HISTORY, numbered.sequence), bytes, n);
    if (r == 0)
        catalog->n_staged_history++;
    return r;
}

int catalog_drop_volume(struct catalog *catalog, const uuid_t uuid)
{
    return stage(catalog, record_key_uuid(RECORD_VOLUME, uuid), NULL, 0);
}

int catalog_drop_copy(struct catalog *catalog, const uuid_t cid)
{
    return stage(catalog, record_key_uuid(RECORD_COPY, cid), NULL, 0);
}

int catalog_drop_job(struct catalog *catalog, uint64_t number)
{
    return stage(catalog, record_key_number(RECORD_JOB, number), NULL, 0);
}

int catalog_drop_evacuation(struct catalog *catalog, const char *host)
{
    return stage(catalog, record_key_host(RECORD_EVACUATION, host), NULL, 0);
}

static struct header next_header(const struct catalog *catalog)
{
    struct header header = catalog_seal(&catalog->header, &catalog->image, &catalog->staged);

    header.generation++;
    header.next_volume = catalog->next_volume;
    header.next_job = catalog->next_job;
    header.next_history += catalog->n_staged_history;
    return header;
}

static int write_staged(struct catalog *catalog, const struct header *header, bool confirmed,
                        bool *ret_unknown, struct err *e)
{
    int r = 0;

    *ret_unknown = false;
    if (catalog->staged.n > 0)
        r = store_commit(&catalog->store, &catalog->image, &catalog->staged, header, ret_unknown,
                         e);
    if (r < 0 || !confirmed)
        return r;
    r = store_confirm(&catalog->store, header->generation, e);
    *ret_unknown = r < 0;
    return r;
}

/* After an unknown outcome. error: the commit's, which is the answer where this succeeds. */
static int restore(struct catalog *catalog, int error, struct err *e)
{
    struct err why = {0};

    if (make_anew(catalog, catalog->header.generation + 2, &why) == 0)
        return error;
    catalog->doubt = true;
    return err_set(e, ENOTRECOVERABLE,
                   "the outcome of a commit is unknown and the catalogue cannot be made anew: %s",
                   why.text);
}

static int commit(struct catalog *catalog, bool confirmed, struct err *e)
{
    struct header header;
    bool unknown;
    int r;

    if (catalog->doubt) {
        catalog_cancel(catalog);
        return err_set(e, ENOTRECOVERABLE, "the catalogue is in doubt until a restart");
    }
    if (catalog->staged.n == 0 && !confirmed)
        return 0;
    r = image_reserve(&catalog->image, catalog->staged.n);
    if (r < 0) {
        catalog_cancel(catalog);
        return err_set(e, -r, "no memory for the catalogue");
    }
    header = catalog->staged.n > 0 ? next_header(catalog) : catalog->header;
    r = write_staged(catalog, &header, confirmed, &unknown, e);
    if (r == 0) {
        image_apply(&catalog->image, &catalog->staged);
        catalog->header = header;
    }
    catalog_cancel(catalog);
    return r < 0 && unknown ? restore(catalog, r, e) : r;
}

int catalog_commit(struct catalog *catalog, struct err *e)
{
    return commit(catalog, false, e);
}

int catalog_commit_confirmed(struct catalog *catalog, struct err *e)
{
    return commit(catalog, true, e);
}
