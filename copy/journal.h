/*
 * What of a volume was handed out, is settled at the destination, and is on stable storage.
 *
 * The volume is handed out from its start to its end, to lanes that have one piece each. So what is
 * settled is everything below the lowest piece in work, and everything above it that was handed out
 * and is in nobody's work: no map is needed, whatever the size. A mark is what of that can be said
 * in two numbers. For it to be nearly all, nobody gets far ahead of the lowest piece: the window
 * counts what was handed out since that one; what is passed by, a hole that costs nothing to do
 * again, does not count.
 *
 * Plain data; one thread. Offsets are multiples of block_bytes, or the size.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_LANES  256
#define JOURNAL_WINDOW 64 /* pieces, and bits of a mark */

/* What is settled and flushed: everything below low_bytes, and, where bit i of `above` is set, the
 * block that begins at low_bytes + (i + 1) * block_bytes. (The one at low_bytes is not.) */
struct journal_mark {
    uint64_t low_bytes;
    uint64_t above;
};

struct journal_piece {
    uint64_t start_bytes, end_bytes;
};

struct journal_lane {
    struct journal_piece piece; /* start = end: it has none */
    uint64_t turn;              /* so many were handed out before it */
};

struct journal {
    uint64_t size_bytes, block_bytes;
    uint64_t next_bytes; /* below it everything was handed out or passed */
    uint64_t
        counted_bytes; /* below it everything was told as done, in this turn or an earlier one */
    uint64_t n_turns;
    struct journal_mark done;    /* what is not handed out in this turn */
    struct journal_mark flushed; /* what is on stable storage */
    unsigned n_lanes;            /* above it no lane ever had a piece */
    struct journal_lane lanes[JOURNAL_LANES];
};

/* A mark that was made for other blocks is rounded down to what it says of these. */
void journal_begin(struct journal *journal, uint64_t size_bytes, uint64_t block_bytes,
                   const struct journal_mark *start);

/* What is to be handed out next; up to something that is done. false: there is nothing left. */
bool journal_next(const struct journal *journal, struct journal_piece *ret);

/* Is there room in the window for one more? */
bool journal_is_open(const struct journal *journal);

/* Hand the lane, which has none, the next piece, up to until_bytes. */
void journal_take(struct journal *journal, unsigned lane, uint64_t until_bytes);
/* It was the last one taken, and nothing was done to it. */
void journal_give_back(struct journal *journal, unsigned lane);
/* The lane's piece is settled. */
void journal_settle(struct journal *journal, unsigned lane);
/* The next piece, up to until_bytes, is settled without being handed out. Returns its fresh bytes.
 */
uint64_t journal_pass(struct journal *journal, uint64_t until_bytes);

/* How many bytes of what was handed out are told as done for the first time, if each is told once
 * before a rewind. */
uint64_t journal_fresh_bytes(const struct journal *journal, struct journal_piece piece);

/* Below it everything is settled. */
uint64_t journal_low(const struct journal *journal);
/* What is settled. */
struct journal_mark journal_settled(const struct journal *journal);

/* What journal_settled said before the flush began is flushed. */
void journal_flushed(struct journal *journal, const struct journal_mark *mark);

/* Everything that is not flushed is to be done again. No lane has a piece. */
void journal_rewind(struct journal *journal);

bool journal_same_mark(const struct journal_mark *a, const struct journal_mark *b);
/* How many bytes it says are done. */
uint64_t journal_mark_bytes(const struct journal_mark *mark, uint64_t size_bytes,
                            uint64_t block_bytes);
