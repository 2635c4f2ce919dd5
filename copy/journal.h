/*
 * What of a volume was handed out, is settled at the destination, and is on stable storage.
 *
 * The volume is handed out from its start to its end, to lanes that have one piece each. So what is
 * settled is everything below the lowest piece in work: no map is needed, whatever the size.
 * Plain data: the caller sees to locking.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_LANES       16
#define JOURNAL_CHUNK_BYTES (1u << 20)

struct journal_piece {
    uint64_t start_bytes, end_bytes;
};

struct journal {
    uint64_t size_bytes;
    uint64_t next_bytes;    /* below it everything was handed out */
    uint64_t flushed_bytes; /* below it everything is settled and flushed */
    uint64_t
        counted_bytes; /* below it everything was told as done, in this turn or an earlier one */
    struct journal_piece work[JOURNAL_LANES]; /* start = end: the lane has none */
};

/* start_bytes: below it all is settled and flushed; the chunk it lies in is done again. */
void journal_begin(struct journal *journal, uint64_t size_bytes, uint64_t start_bytes);

/* Hand the lane, which has none, the next chunk. false: there is none left. */
bool journal_take(struct journal *journal, unsigned lane, struct journal_piece *ret);
/* The same up to until_bytes, whole chunks; the last one of the volume may be cut short. */
bool journal_take_until(struct journal *journal, unsigned lane, uint64_t until_bytes,
                        struct journal_piece *ret);

/* The lane's piece is settled. Returns how many bytes of it are told as done for the first time. */
uint64_t journal_settle(struct journal *journal, unsigned lane);

/* Below it everything is settled. */
uint64_t journal_low(const struct journal *journal);

/* Everything below `low`, as journal_low said before the flush began, is flushed. */
void journal_flushed(struct journal *journal, uint64_t low);

/* Everything that is not flushed is to be done again. No lane has a piece. */
void journal_rewind(struct journal *journal);
