#include "copy/journal.h"

#include <assert.h>

void journal_begin(struct journal *journal, uint64_t size_bytes, uint64_t start_bytes)
{
    if (start_bytes < size_bytes)
        start_bytes -= start_bytes % JOURNAL_CHUNK_BYTES;
    *journal = (struct journal){
        .size_bytes = size_bytes,
        .next_bytes = start_bytes,
        .flushed_bytes = start_bytes,
        .counted_bytes = start_bytes,
    };
}

bool journal_take_until(struct journal *journal, unsigned lane, uint64_t until_bytes,
                        struct journal_piece *ret)
{
    struct journal_piece *piece = &journal->work[lane];

    assert(piece->start_bytes == piece->end_bytes);
    if (until_bytes < journal->size_bytes)
        until_bytes -= until_bytes % JOURNAL_CHUNK_BYTES;
    if (until_bytes <= journal->next_bytes)
        return false;
    *piece = (struct journal_piece){journal->next_bytes, until_bytes};
    journal->next_bytes = until_bytes;
    *ret = *piece;
    return true;
}

bool journal_take(struct journal *journal, unsigned lane, struct journal_piece *ret)
{
    uint64_t left = journal->size_bytes - journal->next_bytes;
    uint64_t n = left < JOURNAL_CHUNK_BYTES ? left : JOURNAL_CHUNK_BYTES;

    return journal_take_until(journal, lane, journal->next_bytes + n, ret);
}

uint64_t journal_settle(struct journal *journal, unsigned lane)
{
    struct journal_piece piece = journal->work[lane];

    journal->work[lane] = (struct journal_piece){0};
    if (piece.start_bytes < journal->counted_bytes)
        piece.start_bytes = journal->counted_bytes;
    return piece.end_bytes > piece.start_bytes ? piece.end_bytes - piece.start_bytes : 0;
}

uint64_t journal_low(const struct journal *journal)
{
    uint64_t low = journal->next_bytes;

    for (unsigned i = 0; i < JOURNAL_LANES; i++) {
        const struct journal_piece *piece = &journal->work[i];

        if (piece->start_bytes < piece->end_bytes && piece->start_bytes < low)
            low = piece->start_bytes;
    }
    return low;
}

void journal_flushed(struct journal *journal, uint64_t low)
{
    assert(low >= journal->flushed_bytes);
    journal->flushed_bytes = low;
}

void journal_rewind(struct journal *journal)
{
    assert(journal_low(journal) == journal->next_bytes);
    if (journal->next_bytes > journal->counted_bytes)
        journal->counted_bytes = journal->next_bytes;
    journal->next_bytes = journal->flushed_bytes;
}
