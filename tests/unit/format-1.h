/*
 * Records as format 1 writes them.
 */
#pragma once

#include <fcntl.h>
#include <tdb.h>

#include "copy/base/crc.h"
#include "fs/catalog/tables.h"
#include "tests/unit/check.h"

union any_record {
    struct header header;
    struct volume volume;
    struct copy copy;
    struct job job;
    struct numbered_history history;
    struct pool pool;
};

static int decode_any(const void *bytes, size_t n, enum record_kind kind, union any_record *ret)
{
    memset(ret, 0, sizeof(*ret));
    switch (kind) {
    case RECORD_HEADER:
        return record_decode_header(bytes, n, &ret->header);
    case RECORD_VOLUME:
        return record_decode_volume(bytes, n, &ret->volume);
    case RECORD_COPY:
        return record_decode_copy(bytes, n, &ret->copy);
    case RECORD_JOB:
        return record_decode_job(bytes, n, &ret->job);
    case RECORD_HISTORY:
        return record_decode_history(bytes, n, &ret->history);
    default:
        return record_decode_pool(bytes, n, &ret->pool);
    }
}

/* inline: not every test that includes this makes old records. */
static inline size_t encode_format_1(enum record_kind kind, const void *from, uint8_t *bytes)
{
    struct out frame = {bytes, 0, 12}, out = {bytes, 12, RECORD_MAX_BYTES};

    members_put(&out, record_tables[1][kind], from);
    out_number(&frame, 0x52434646u, 4);
    out_number(&frame, 1, 2);
    out_number(&frame, kind, 2);
    out_number(&frame, out.n + 4, 4);
    out_number(&out, crc32c(0, bytes, out.n), 4);
    return out.n;
}

struct aging {
    uint64_t sum;
    struct header header;
};

static inline void store_record(struct tdb_context *tdb, TDB_DATA key, enum record_kind kind,
                                const void *from, uint64_t *sum)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t n = encode_format_1(kind, from, bytes);

    REQUIRE(tdb_store(tdb, key, (TDB_DATA){bytes, n}, TDB_REPLACE) == 0);
    *sum += record_checksum(bytes, n);
}

static inline int make_record_old(struct tdb_context *tdb, TDB_DATA key, TDB_DATA data, void *arg)
{
    enum record_kind kind = record_kind_of_key(key.dptr, key.dsize);
    struct aging *aging = arg;
    union any_record any;

    REQUIRE(decode_any(data.dptr, data.dsize, kind, &any) == 0);
    if (kind == RECORD_HEADER)
        aging->header = any.header;
    else
        store_record(tdb, key, kind, &any, &aging->sum);
    return 0;
}

/* Turn a catalogue into the one that a program of format 1 would have left. */
static inline void make_format_1(const char *file)
{
    struct tdb_context *tdb = tdb_open(file, 0, TDB_NOMMAP, O_RDWR, 0);
    struct record_key key = record_key_header();
    struct aging aging = {0};
    uint64_t unsealed = 0;

    REQUIRE(tdb && tdb_traverse(tdb, make_record_old, &aging) > 0);
    aging.header.sum = aging.sum;
    store_record(tdb, (TDB_DATA){key.bytes, key.n}, RECORD_HEADER, &aging.header, &unsealed);
    REQUIRE(tdb_close(tdb) == 0);
}
