#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/catalog/store.h"

/* Of tdb's hash: a dozen records each where there are 100 000 volumes. A commit reads them all. */
#define CHAINS 16381

static void note_complaint(struct tdb_context *tdb, enum tdb_debug_level level, const char *fmt,
                           ...) __attribute__((format(printf, 3, 4)));

/* Put a descriptor that takes no write into the place of tdb's. Closing the file drops its fcntl
 * locks, which nobody waits for: the flock keeps daemons out. */
static void take_file_away(struct store *store, struct tdb_context *tdb)
{
    int r;

    do
        r = dup3(store->dir, tdb_fd(tdb), O_CLOEXEC);
    while (r < 0 && (errno == EINTR || errno == EBUSY));
    assert(r >= 0);
    store->committing = false;
}

static void note_complaint(struct tdb_context *tdb, enum tdb_debug_level level, const char *fmt,
                           ...)
{
    struct store *store = tdb_get_logging_private(tdb);
    int saved = errno;
    va_list args;

    (void)level; /* a retried short write is said at the same level as a lost commit */
    if (store->n_complaints++ == 0) {
        store->complaint_errno = saved;
        va_start(args, fmt);
        vsnprintf(store->complaint, sizeof(store->complaint), fmt, args);
        va_end(args);
        store->complaint[strcspn(store->complaint, "\n")] = '\0';
    }
    if (store->committing)
        take_file_away(store, tdb);
    errno = saved;
}

void store_listen(struct store *store)
{
    store->n_complaints = 0;
    store->complaint_errno = 0;
    store->complaint[0] = '\0';
}

int store_fail(struct store *store, struct err *e, const char *what)
{
    int code = store->complaint_errno != 0 ? store->complaint_errno : EIO;
    const char *why = store->complaint[0] ? store->complaint : "no reason given";

    if (store->tdb && tdb_error(store->tdb) == TDB_ERR_OOM)
        code = ENOMEM;
    return err_set(e, code, "%s: %s (%s)", what, strerror(code), why);
}

static int open_path(struct store *store, const char *path, const char *name, int tdb_flags,
                     int flags, struct err *e)
{
    struct tdb_logging_context log = {note_complaint, store};
    int code;

    store_listen(store);
    errno = 0;
    store->tdb = tdb_open_ex(path, CHAINS, tdb_flags | TDB_DISALLOW_NESTING, flags | O_CLOEXEC,
                             0600, &log, NULL);
    code = errno != 0 ? errno : EIO;
    if (!store->tdb && code == EIO && !store->complaint[0])
        return err_set(e, EUCLEAN, "%s is no tdb file", name);
    if (!store->tdb)
        return err_set(e, code, "cannot open %s: %s (%s)", name, strerror(code), store->complaint);
    tdb_remove_flags(store->tdb, TDB_NOSYNC); /* TDB_NO_FSYNC in the environment is not obeyed */
    return 0;
}

int store_open(struct store *store, int dir, const char *name, int flags, struct err *e)
{
    char path[128];

    /* By the directory that was checked, wherever the daemon's working directory goes. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
    store->dir = dir;
    return open_path(store, path, name, TDB_NOMMAP, flags | O_NOFOLLOW, e);
}

int store_open_memory(struct store *store, int memory, struct err *e)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
    store->dir = -1;
    return open_path(store, path, "the catalogue", TDB_NOLOCK, O_RDWR, e);
}

/* What cannot be closed cleanly was written before its fsync, or is going to be made anew. */
void store_close(struct store *store)
{
    if (store->tdb)
        (void)tdb_close(store->tdb);
    store->tdb = NULL;
}

static TDB_DATA data_of(const void *bytes, size_t n)
{
    /* tdb has no const; it does not write to what it stores. */
    return (TDB_DATA){.dptr = (unsigned char *)(uintptr_t)bytes, .dsize = n};
}

static int write_header(struct store *store, const struct header *header)
{
    struct record_key key = record_key_header();
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t n = record_encode_header(header, bytes);

    return tdb_store(store->tdb, data_of(key.bytes, key.n), data_of(bytes, n), TDB_REPLACE);
}

static int write_change(struct store *store, const struct image *committed,
                        const struct image *change)
{
    for (const struct entry *e = image_next(change, NULL); e; e = image_next(change, e)) {
        TDB_DATA key = data_of(e->data, e->n_key);
        int r = 0;

        if (e->n_bytes > 0)
            r = tdb_store(store->tdb, key, data_of(entry_bytes(e), e->n_bytes), TDB_REPLACE);
        else if (image_find(committed, e->data, e->n_key))
            r = tdb_delete(store->tdb, key);
        if (r != 0)
            return r;
    }
    return 0;
}

int store_commit(struct store *store, const struct image *committed, const struct image *change,
                 const struct header *header, bool *ret_unknown, struct err *e)
{
    int r;

    store_listen(store);
    *ret_unknown = true;
    if (tdb_transaction_start(store->tdb) != 0)
        return store_fail(store, e, "cannot start a transaction");
    if (write_change(store, committed, change) != 0 || write_header(store, header) != 0) {
        r = store_fail(store, e, "cannot write in a transaction");
        /* Only memory was written so far. But a file that cannot be read had better be made anew.
         */
        *ret_unknown = tdb_transaction_cancel(store->tdb) != 0 || r != -ENOMEM;
        return r;
    }
    store->committing = true;
    r = tdb_transaction_commit(store->tdb);
    store->committing = false;
    if (r != 0 || store->n_complaints > 0)
        return store_fail(store, e, "cannot commit");
    *ret_unknown = false;
    return 0;
}

static int read_generation(struct store *store, uint64_t *ret)
{
    struct record_key key = record_key_header();
    TDB_DATA data = tdb_fetch(store->tdb, data_of(key.bytes, key.n));
    struct header header;
    int r;

    if (!data.dptr)
        return -EIO;
    r = record_decode_header(data.dptr, data.dsize, &header);
    free(data.dptr);
    if (r < 0)
        return r;
    *ret = header.generation;
    return 0;
}

int store_confirm(struct store *store, uint64_t generation, struct err *e)
{
    uint64_t found = 0;
    int r;

    store_listen(store);
    if (tdb_transaction_start(store->tdb) != 0)
        return store_fail(store, e, "cannot start the confirming transaction");
    r = read_generation(store, &found);
    if (tdb_transaction_cancel(store->tdb) != 0 || r < 0 || store->n_complaints > 0)
        return store_fail(store, e, "cannot read the catalogue back");
    if (found != generation)
        return err_set(e, EIO, "the catalogue went back from generation %" PRIu64 " to %" PRIu64,
                       generation, found);
    return 0;
}
