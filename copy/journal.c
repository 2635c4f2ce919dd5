#include "copy/journal.h"

#include <assert.h>
#include <stddef.h>

static bool is_done(const struct journal *journal, uint64_t offset)
{
    const struct journal_mark *done = &journal->done;
    uint64_t i;

    if (offset <= done->low_bytes)
        return offset < done->low_bytes;
    i = (offset - done->low_bytes) / journal->block_bytes - 1;
    return i < JOURNAL_WINDOW && (done->above >> i & 1);
}

static uint64_t block_end(const struct journal *journal, uint64_t offset)
{
    uint64_t left = journal->size_bytes - offset;

    return offset + (left < journal->block_bytes ? left : journal->block_bytes);
}

static uint64_t skip_done(const struct journal *journal, uint64_t offset)
{
    while (offset < journal->size_bytes && is_done(journal, offset))
        offset = block_end(journal, offset);
    return offset;
}

void journal_begin(struct journal *journal, uint64_t size_bytes, uint64_t block_bytes,
                   const struct journal_mark *start)
{
    struct journal_mark mark = *start;

    if (mark.low_bytes >= size_bytes)
        mark = (struct journal_mark){size_bytes, 0};
    else if (mark.low_bytes % block_bytes != 0)
        mark = (struct journal_mark){mark.low_bytes - mark.low_bytes % block_bytes, 0};
    *journal = (struct journal){
        .size_bytes = size_bytes,
        .block_bytes = block_bytes,
        .next_bytes = mark.low_bytes,
        .counted_bytes = mark.low_bytes,
        .done = mark,
        .flushed = mark,
    };
}

bool journal_next(const struct journal *journal, struct journal_piece *ret)
{
    uint64_t start = journal->next_bytes, end = journal->size_bytes;
    const struct journal_mark *done = &journal->done;

    if (start == end)
        return false;
    for (unsigned i = 0; i < JOURNAL_WINDOW; i++) {
        uint64_t at = done->low_bytes + (i + 1) * journal->block_bytes;

        if ((done->above >> i & 1) && at > start && at < end)
            end = at;
    }
    *ret = (struct journal_piece){start, end};
    return true;
}

/* The lane whose piece begins lowest, or NULL. They were handed out in that order. */
static const struct journal_lane *lowest(const struct journal *journal)
{
    const struct journal_lane *found = NULL;

    for (unsigned i = 0; i < journal->n_lanes; i++) {
        const struct journal_lane *lane = &journal->lanes[i];

        if (lane->piece.start_bytes < lane->piece.end_bytes && (!found || lane->turn < found->turn))
            found = lane;
    }
    return found;
}

bool journal_is_open(const struct journal *journal)
{
    const struct journal_lane *lane = lowest(journal);

    return !lane || journal->n_turns - lane->turn <= JOURNAL_WINDOW;
}

static struct journal_piece go_on(struct journal *journal, uint64_t until_bytes)
{
    struct journal_piece piece = {journal->next_bytes, until_bytes};

    assert(until_bytes > piece.start_bytes && until_bytes <= journal->size_bytes);
    assert(until_bytes % journal->block_bytes == 0 || until_bytes == journal->size_bytes);
    journal->next_bytes = skip_done(journal, until_bytes);
    return piece;
}

void journal_take(struct journal *journal, unsigned lane, uint64_t until_bytes)
{
    struct journal_lane *taker = &journal->lanes[lane];

    assert(lane < JOURNAL_LANES && taker->piece.start_bytes == taker->piece.end_bytes);
    *taker = (struct journal_lane){go_on(journal, until_bytes), journal->n_turns++};
    if (lane >= journal->n_lanes)
        journal->n_lanes = lane + 1;
}

void journal_give_back(struct journal *journal, unsigned lane)
{
    struct journal_lane *giver = &journal->lanes[lane];

    assert(giver->turn == journal->n_turns - 1);
    journal->next_bytes = giver->piece.start_bytes;
    journal->n_turns--;
    *giver = (struct journal_lane){0};
}

/* Nobody is told the same twice. */
uint64_t journal_fresh_bytes(const struct journal *journal, struct journal_piece piece)
{
    if (piece.start_bytes < journal->counted_bytes)
        piece.start_bytes = journal->counted_bytes;
    return piece.end_bytes > piece.start_bytes ? piece.end_bytes - piece.start_bytes : 0;
}

void journal_settle(struct journal *journal, unsigned lane)
{
    journal->lanes[lane] = (struct journal_lane){0};
}

uint64_t journal_pass(struct journal *journal, uint64_t until_bytes)
{
    return journal_fresh_bytes(journal, go_on(journal, until_bytes));
}

uint64_t journal_low(const struct journal *journal)
{
    const struct journal_lane *lane = lowest(journal);

    return lane ? lane->piece.start_bytes : journal->next_bytes;
}

/* Bits for the blocks of [low + block, end); clear those of a piece. */
static uint64_t bits_of(const struct journal *journal, uint64_t low, struct journal_piece piece)
{
    uint64_t first, end;

    if (piece.end_bytes <= low + journal->block_bytes)
        return 0;
    first = piece.start_bytes <= low ? 0 : (piece.start_bytes - low) / journal->block_bytes - 1;
    end = (piece.end_bytes - low - 1) / journal->block_bytes;
    if (first >= JOURNAL_WINDOW)
        return 0;
    return (end >= JOURNAL_WINDOW ? UINT64_MAX : (UINT64_C(1) << end) - 1) & UINT64_MAX << first;
}

struct journal_mark journal_settled(const struct journal *journal)
{
    uint64_t low = journal_low(journal);
    struct journal_mark mark = {.low_bytes = low};

    mark.above = bits_of(journal, low, (struct journal_piece){low, journal->next_bytes});
    for (unsigned i = 0; i < journal->n_lanes; i++) {
        struct journal_piece piece = journal->lanes[i].piece;

        if (piece.start_bytes < piece.end_bytes)
            mark.above &= ~bits_of(journal, low, piece);
    }
    for (unsigned i = 0; i < JOURNAL_WINDOW; i++) {
        uint64_t at = low + (i + 1) * journal->block_bytes;

        if (at < journal->size_bytes && is_done(journal, at))
            mark.above |= UINT64_C(1) << i;
    }
    return mark;
}

void journal_flushed(struct journal *journal, const struct journal_mark *mark)
{
    assert(mark->low_bytes >= journal->flushed.low_bytes);
    journal->flushed = *mark;
}

void journal_rewind(struct journal *journal)
{
    assert(!lowest(journal));
    if (journal->next_bytes > journal->counted_bytes)
        journal->counted_bytes = journal->next_bytes;
    journal->done = journal->flushed;
    journal->next_bytes = journal->flushed.low_bytes;
}

bool journal_same_mark(const struct journal_mark *a, const struct journal_mark *b)
{
    return a->low_bytes == b->low_bytes && a->above == b->above;
}

uint64_t journal_mark_bytes(const struct journal_mark *mark, uint64_t size_bytes,
                            uint64_t block_bytes)
{
    uint64_t n_bytes = mark->low_bytes;

    for (unsigned i = 0; i < JOURNAL_WINDOW; i++) {
        uint64_t at = mark->low_bytes + (i + 1) * block_bytes;

        if ((mark->above >> i & 1) && at < size_bytes)
            n_bytes += size_bytes - at < block_bytes ? size_bytes - at : block_bytes;
    }
    return n_bytes;
}
