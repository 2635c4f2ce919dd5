/*
 * Records: a struct of the catalogue as bytes, and back. Pure; any thread.
 *
 *     offset 0   u32  magic "FFCR"
 *            4   u16  format version
 *            6   u16  kind
 *            8   u32  length of the whole, the checksum included
 *           12        the members, in the order of tables.c's table of the kind
 *     length-4   u32  CRC-32C of all before it
 *
 * All numbers are little-endian. A text is a u16 length and its bytes; in a job it fills its whole
 * array instead, padded with zeroes, so that the journal's records never change their size.
 * There is one encoding of a struct and one struct of an encoding.
 *
 * Format 1: what is not listed here.
 * Format 2: of a copy the role `retained`, expires_s, volume_mtime_ns, hidden; of a job keep_s,
 * restore; the kind `evacuation`. The new members of a record of format 1 are 0.
 *
 * How the format grows. Magic, version, length and checksum stay where they are for ever; that is
 * all a program needs to know that a record is whole and too new for it: -EPROTONOSUPPORT, nothing
 * is guessed and nothing is touched. Format 2 keeps the tables of format 1 to read by:
 * record_decode takes the table of the version that it finds and presets the members that are new.
 * It writes format 2 alone: a start that meets a header of format 1 rewrites the whole catalogue
 * into a new file (catalog's rebuild, one rename) before the first commit, so that no file ever
 * mixes two formats and the old program either finds its own file or refuses the new one. A member
 * is never removed or given another meaning within a version; kinds and the numbers of enums are
 * never given twice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/catalog/volume.h"

#define RECORD_FORMAT     2    /* what is written */
#define RECORD_FORMAT_MIN 1    /* what can be read */
#define RECORD_MAX_BYTES  1024 /* no record is longer */
#define RECORD_KEY_BYTES  80   /* no key is longer */

enum record_kind {
    RECORD_HEADER = 1,
    RECORD_VOLUME,
    RECORD_COPY,
    RECORD_JOB,
    RECORD_HISTORY,
    RECORD_POOL,
    RECORD_EVACUATION,
    RECORD_KIND_N
};
extern const char *const record_kind_names[RECORD_KIND_N]; /* "volume" ...; of 0: "unknown" */

/* One a catalogue, written by every transaction; it seals all others. */
struct header {
    uint64_t generation; /* one more at every commit */
    uint64_t next_volume, next_job, next_history;
    uint64_t n_records; /* without this one */
    uint64_t sum;       /* of their checksums (record_checksum), modulo 2^64 */
};

/* A line of the history and its place in it. */
struct numbered_history {
    uint64_t sequence;
    struct history history;
};

/* bytes: the kind, then the member of the record that names it. */
struct record_key {
    uint8_t bytes[RECORD_KEY_BYTES];
    size_t n;
};

struct record_key record_key_header(void);
struct record_key record_key_uuid(enum record_kind kind, const uuid_t uuid); /* volume, copy */
struct record_key record_key_number(enum record_kind kind, uint64_t number); /* job, history */
struct record_key record_key_host(enum record_kind kind, const char *host);  /* pool, evacuation */

/*
 * Return the length. What record_decode would refuse (a text that does not end or is no name where
 * a name must be, an enum out of range) is asserted against: it must not reach a disk.
 */
size_t record_encode_header(const struct header *header, uint8_t out[RECORD_MAX_BYTES]);
size_t record_encode_volume(const struct volume *volume, uint8_t out[RECORD_MAX_BYTES]);
size_t record_encode_copy(const struct copy *copy, uint8_t out[RECORD_MAX_BYTES]);
size_t record_encode_job(const struct job *job, uint8_t out[RECORD_MAX_BYTES]);
size_t record_encode_history(const struct numbered_history *history, uint8_t out[RECORD_MAX_BYTES]);
size_t record_encode_pool(const struct pool *pool, uint8_t out[RECORD_MAX_BYTES]);
size_t record_encode_evacuation(const struct evacuation *evacuation, uint8_t out[RECORD_MAX_BYTES]);

/*
 * From any bytes at all. 0; -EUCLEAN they are no sound record of that kind; -EPROTONOSUPPORT a
 * whole record of a newer format. Every text ends, every enum is in range, padding of the struct is
 * zero.
 */
int record_decode_header(const void *bytes, size_t n, struct header *ret);
int record_decode_volume(const void *bytes, size_t n, struct volume *ret);
int record_decode_copy(const void *bytes, size_t n, struct copy *ret);
int record_decode_job(const void *bytes, size_t n, struct job *ret);
int record_decode_history(const void *bytes, size_t n, struct numbered_history *ret);
int record_decode_pool(const void *bytes, size_t n, struct pool *ret);
int record_decode_evacuation(const void *bytes, size_t n, struct evacuation *ret);

/* The same for a record of whatever kind: which it is, and the key that it must stand under. */
int record_identify(const void *bytes, size_t n, enum record_kind *ret_kind,
                    struct record_key *ret_key);

/* A sound record, of whatever format, in RECORD_FORMAT. Returns the length. */
size_t record_renew(const void *bytes, size_t n, uint8_t out[RECORD_MAX_BYTES]);

/* The format that a sound record has. */
unsigned record_format(const void *bytes);

/* The kind a key is of; 0 where it is of none. */
enum record_kind record_kind_of_key(const void *key, size_t n);

/* Of a sound record: it is one of a copy, and not of a primary one. */
bool record_is_hidden_copy(const void *bytes, size_t n);

/* The checksum inside a sound record. */
uint32_t record_checksum(const void *bytes, size_t n);
