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
    uint64_t sum;
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

static int load_record(struct tdb_context *tdb, TDB_DATA key, TDB_DATA data, void *arg)
{
    struct loading *loading = arg;
    struct record_key record_key;
    enum record_kind kind;
    struct entry *entry;
    int r;

    (void)tdb;
    r = check_record(key, data, &kind, &record_key);
    if (r < 0)
        return note_bad(loading, key, r);
    if (kind == RECORD_HEADER) {
        loading->has_header = true;
        return record_decode_header(data.dptr, data.dsize, loading->header);
    }
    entry = image_entry(&record_key, data.dptr, data.dsize);
    if (!entry || image_reserve(loading->image, 1) < 0) {
        free(entry);
        loading->error = err_set(loading->e, ENOMEM, "no memory for the catalogue");
        return -1;
    }
    image_put(loading->image, entry);
    loading->sum += record_checksum(data.dptr, data.dsize);
    return 0;
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
    if (tdb_traverse_read(store->tdb, load_record, loading) < 0 && loading->error == 0)
        return store_fail(store, loading->e, "cannot read the catalogue");
    if (loading->error == 0)
        return check_seal(loading);
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
               struct text *bad, struct err *e)
{
    struct loading loading = {.image = image, .header = header, .bad = bad, .e = e};
    struct store copy = {0};
    int r;

    *ret_tidy = false;
    r = store_open_copy(&copy, tdb_fd(store->tdb), e);
    if (r < 0)
        return r;
    r = read_all(&copy, &loading);
    *ret_tidy = tdb_check(copy.tdb, NULL, NULL) == 0;
    store_close(&copy);
    return r;
}
