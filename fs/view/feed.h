/*
 * A text that only grows, for any number of readers: the lines of .control/events.
 *
 * The owner appends, any thread reads; there is one copy of the bytes. At its limit the text starts
 * anew, as a file does that is truncated and written again. So that a reader who looks once a
 * second loses nothing, it does so earlier if it can: from three quarters of the limit on, at the
 * first moment when each of its readers has read everything.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define FEED_LIMIT_BYTES (UINT64_C(16) << 20) /* INTERFACE.md */
#define FEED_LINE_MAX    16384 /* bytes of one append; the limit is above it by far */

struct feed;
struct feed_run;

/* Empty, with one reference. limit_bytes: a multiple of 64 KiB. NULL: no memory. */
struct feed *feed_open(uint64_t limit_bytes);
struct feed *feed_ref(struct feed *feed);
void feed_put(struct feed *feed); /* NULL is allowed */

/* The owner: add n bytes, at most FEED_LINE_MAX. 0 or -ENOMEM, and nothing is added. */
int feed_append(struct feed *feed, const char *bytes, size_t n);

/* Any thread: how long it is now. */
uint64_t feed_bytes(struct feed *feed);

/* An open file. All of it is the feed's. */
struct feed_reader {
    struct feed *feed; /* NULL: not open */
    struct feed_reader *next, **pprev;
    uint64_t run;        /* number of the one that it reads ... */
    uint64_t base_bytes; /* ... and where in the reader's offsets that begins */
    uint64_t read_bytes; /* of that run: where its last read ended */
};

/* It stays where it is in memory until it is closed. Takes a reference of the feed. */
void feed_reader_init(struct feed_reader *reader, struct feed *feed);
void feed_reader_deinit(struct feed_reader *reader); /* one that was never open is allowed */

/* What one read reads: bytes that stay as they are until it is put. */
struct feed_part {
    struct feed_run *run; /* NULL: none */
    struct iovec iov[8];
    int n_iov; /* 0: the end */
};

/*
 * Read at most n bytes at an offset. When the text has started anew since the reader's last read,
 * its offset goes on at the beginning; offset 0 is the beginning of what is there now.
 */
void feed_read(struct feed_reader *reader, uint64_t offset, size_t n, struct feed_part *ret);
void feed_part_put(struct feed_part *part); /* {0} is allowed */
static inline void owned_feed_part(struct feed_part *part)
{
    feed_part_put(part);
}
