#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "fs/catalog/store.h"

struct loading {
    struct image *image;
    struct header *header;
    bool has_header;
    unsigned format;        /* of the records; 0: none was read yet */
    uint64_t sum, sum_anew; /* as they are in the file, and as they are in memory */
    size_t n_bad;
    int error; /* the first record's that was refused; -ENOMEM ends the reading */
    struct text *bad;
    struct err *e;
};

static void add_key(struct text *text, TDB_DATA key)
{
    text_add(text, "%s ", record_kind_names[record_kind_of_key(key.dptr, key.dsize)]);
    for (size_t i = 1; i < key.dsize && i < RECORD_KEY_BYTES; i++)
        text_add(text, "%02x", key.dptr[i]);
}

static int check_record(TDB_DATA key, TDB_DATA data, enum record_kind *ret_kind,
                        struct record_key *ret_key)
{
    int r;

    r = record_identify(data.dptr, data.dsize, ret_kind, ret_key);
    if (r < 0)
        return r;
    if (ret_key->n != key.dsize || memcmp(ret_key->bytes, key.dptr, key.dsize) != 0)
        return -EUCLEAN;
    return 0;
}

static int note_bad(struct loading *loading, TDB_DATA key, int error)
{
    OWNED(text) struct text line = {0};

    add_key(&line, key);
    if (loading->bad)
        text_add(loading->bad, "bad %s: %s\n", line.bytes ? line.bytes : "record",
                 error == -EPROTONOSUPPORT ? "of a newer format" : "fails its checks");
    /* A newer format says more than a record that looks broken: it is the reason. */
    if (loading->n_bad++ == 0 || error == -EPROTONOSUPPORT)
        loading->error =
            err_set(loading->e, -error, "the record %s %s", line.bytes ? line.bytes : "(no memory)",
                    error == -EPROTONOSUPPORT ? "is of a newer format: use the newer program"
                                              : "fails its checks: see --check-catalogue");
    return 0;
}

/* A file is of one format: what has another was not put there by a commit. */
static bool is_of_format(struct loading *loading, TDB_DATA data)
{
    if (loading->format == 0)
        loading->format = record_format(data.dptr);
    return loading->format == record_format(data.dptr);
}

/* NULL: no memory. */
static struct entry *entry_of(const struct record_key *key, TDB_DATA data)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t n;

    if (record_format(data.dptr) == RECORD_FORMAT)
        return image_entry(key, data.dptr, data.dsize);
    n = record_renew(data.dptr, data.dsize, bytes);
    return image_entry(key, bytes, n);
}

static int keep_record(struct loading *loading, const struct record_key *key, TDB_DATA data)
{
    struct entry *entry = entry_of(key, data);

    if (!entry || image_reserve(loading->image, 1) < 0) {
        free(entry);
        loading->error = err_set(loading->e, ENOMEM, "no memory for the catalogue");
        return -1;
    }
    image_put(loading->image, entry);
    loading->sum += record_checksum(data.dptr, data.dsize);
    loading->sum_anew += record_checksum(entry_bytes(entry), entry->n_bytes);
    return 0;
}

static int load_record(struct tdb_context *tdb, TDB_DATA key, TDB_DATA data, void *arg)
{
    struct loading *loading = arg;
    struct record_key record_key;
    enum record_kind kind;
    int r;

    (void)tdb;
    r = check_record(key, data, &kind, &record_key);
    if (r == 0 && !is_of_format(loading, data))
        r = -EUCLEAN;
    if (r < 0)
        return note_bad(loading, key, r);
    if (kind == RECORD_HEADER) {
        loading->has_header = true;
        return record_decode_header(data.dptr, data.dsize, loading->header);
    }
    return keep_record(loading, &record_key, data);
}

static int check_seal(const struct loading *loading)
{
    const struct header *header = loading->header;

    if (loading->has_header && loading->image->n == header->n_records &&
        loading->sum == header->sum)
        return 0;
    if (loading->bad)
        text_add(loading->bad, "bad seal: the records are not those of one commit\n");
    if (!loading->has_header)
        return err_set(loading->e, EUCLEAN, "the catalogue has no header");
    return err_set(loading->e, EUCLEAN,
                   "the catalogue holds %zu records, which are not the %" PRIu64
                   " of generation %" PRIu64 ": see --check-catalogue",
                   loading->image->n, header->n_records, header->generation);
}

static int read_all(struct store *store, struct loading *loading)
{
    int r;

    if (tdb_traverse_read(store->tdb, load_record, loading) < 0 && loading->error == 0)
        return store_fail(store, loading->e, "cannot read the catalogue");
    if (loading->error == 0) {
        r = check_seal(loading);
        loading->header->sum = loading->sum_anew;
        return r;
    }
    loading->e = NULL; /* the first thing that is wrong has been said */
    if (loading->error != -ENOMEM)
        (void)check_seal(loading);
    return loading->error;
}

static int copy_bytes(int from, int to)
{
    uint8_t bytes[65536];
    uint64_t offset = 0;
    size_t n;
    int r;

    do {
        r = io_pread(from, bytes, sizeof(bytes), offset, &n);
        if (r == 0)
            r = io_pwrite(to, bytes, n, offset);
        offset += n;
    } while (r == 0 && n == sizeof(bytes));
    return r;
}

int store_open_copy(struct store *store, int fd, struct err *e)
{
    OWNED(fd) int memory = memfd_create("catalogue", MFD_CLOEXEC);
    int r;

    if (memory < 0)
        return err_set(e, errno, "cannot copy the catalogue to memory: %s", strerror(errno));
    r = copy_bytes(fd, memory);
    if (r < 0)
        return err_set(e, -r, "cannot copy the catalogue to memory: %s", strerror(-r));
    return store_open_memory(store, memory, e);
}

/*
 * tdb reads a file record by record, and tdb_check a stretch that it does not know byte by byte:
 * with a system call each, a start after a kill would take seconds. Mapping the file instead turns
 * a read error into a SIGBUS. So it is read in one go, with errors, and then walked in memory.
 */
int store_load(struct store *store, struct image *image, struct header *header, bool *ret_tidy,
               unsigned *ret_format, struct text *bad, struct err *e)
{
    struct loading loading = {.image = image, .header = header, .bad = bad, .e = e};
    struct store copy = {0};
    int r;

    *ret_tidy = false;
    *ret_format = 0;
    r = store_open_copy(&copy, tdb_fd(store->tdb), e);
    if (r < 0)
        return r;
    r = read_all(&copy, &loading);
    *ret_format = loading.format;
    *ret_tidy = tdb_check(copy.tdb, NULL, NULL) == 0;
    store_close(&copy);
    return r;
}
