/*
 * A ring of slots, each with a buffer, in the order of the bytes: planned at its head, taken at its
 * tail. A hole takes a slot too, so that order needs no thought.
 */
#include "copy/cli/sequence.h"

#include <errno.h>
#include <stdlib.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/transfer.h"

#define LOOK_NS UINT64_C(50000000) /* at `stop`, while a read hangs */

struct slot {
    struct request request;
    struct sequence_piece piece;
    char *buf;
    bool ready;
    int r;
};

struct sequence {
    struct sequence_terms terms;
    uint64_t next_bytes; /* to be planned */
    uint64_t extent_end; /* what is known of it: from next_bytes on */
    bool extent_hole;
    struct throttle throttle;
    char *buffers;
    unsigned n_slots, n_used;
    unsigned tail; /* the first in use */
    bool taken;    /* it was handed out */
    struct slot slots[];
};

int sequence_open(const struct sequence_terms *terms, struct sequence **ret)
{
    unsigned n = queue_depth(terms->queue);
    OWNED(sequence)
    struct sequence *sequence = calloc(1, sizeof(*sequence) + n * sizeof(sequence->slots[0]));

    if (!sequence)
        return -ENOMEM;
    sequence->terms = *terms;
    sequence->n_slots = n;
    sequence->buffers = io_buffers(n * (size_t)terms->block_bytes);
    if (!sequence->buffers)
        return -ENOMEM;
    for (unsigned i = 0; i < n; i++)
        sequence->slots[i].buf = sequence->buffers + i * (size_t)terms->block_bytes;
    *ret = take_ptr(sequence);
    return 0;
}

static bool in_flight(const struct sequence *sequence)
{
    for (unsigned i = 0; i < sequence->n_used; i++) {
        if (!sequence->slots[(sequence->tail + i) % sequence->n_slots].ready)
            return true;
    }
    return false;
}

void sequence_close(struct sequence *sequence)
{
    if (!sequence)
        return;
    while (in_flight(sequence))
        queue_wait(sequence->terms.queue, UINT64_MAX);
    free(sequence->buffers);
    free(sequence);
}

static void on_read(struct request *request, int r)
{
    struct slot *slot = request->arg;

    slot->ready = true;
    slot->r = r;
}

/* What is at next_bytes, and up to where. */
static int look(struct sequence *sequence)
{
    const struct sequence_terms *terms = &sequence->terms;

    if (sequence->extent_end > sequence->next_bytes)
        return 0;
    return endpoint_extent(terms->ep, sequence->next_bytes, terms->size_bytes,
                           &sequence->extent_end, &sequence->extent_hole);
}

/* Of a hole: how much of it is handed out as one. 0: none of it, there is data in the block. */
static uint64_t hole_bytes(const struct sequence *sequence)
{
    const struct sequence_terms *terms = &sequence->terms;
    uint64_t end = sequence->extent_end;

    if (!sequence->extent_hole)
        return 0;
    if (terms->whole_blocks && end < terms->size_bytes)
        end -= end % terms->block_bytes;
    return end > sequence->next_bytes ? end - sequence->next_bytes : 0;
}

static uint64_t data_bytes(const struct sequence *sequence)
{
    const struct sequence_terms *terms = &sequence->terms;
    uint64_t at = sequence->next_bytes, n = terms->block_bytes - at % terms->block_bytes;
    uint64_t end = terms->whole_blocks ? terms->size_bytes : sequence->extent_end;

    return n < end - at ? n : end - at;
}

static void plan_one(struct sequence *sequence)
{
    struct slot *slot = &sequence->slots[(sequence->tail + sequence->n_used) % sequence->n_slots];
    uint64_t at = sequence->next_bytes, n;
    int r = endpoint_check_claim(sequence->terms.ep);

    if (r == 0)
        r = look(sequence);
    sequence->n_used++;
    *slot = (struct slot){.buf = slot->buf, .ready = true, .r = r, .piece = {.offset = at}};
    if (r < 0) {
        sequence->next_bytes = sequence->terms.size_bytes; /* nothing comes after it */
        return;
    }
    n = hole_bytes(sequence);
    if (n == 0) {
        n = data_bytes(sequence);
        slot->ready = false;
        slot->piece.data = slot->buf;
        slot->request = (struct request){.kind = REQUEST_READ,
                                         .ep = sequence->terms.ep,
                                         .buf = slot->buf,
                                         .n_bytes = (size_t)n,
                                         .offset = at,
                                         .done = on_read,
                                         .arg = slot};
        throttle_spend(&sequence->throttle, n);
        queue_submit(sequence->terms.queue, &slot->request);
    }
    slot->piece.n_bytes = n;
    sequence->next_bytes += n;
}

/* Returns when more may be planned: UINT64_MAX where only a free slot is missing. */
static uint64_t plan(struct sequence *sequence)
{
    const struct sequence_terms *terms = &sequence->terms;

    while (sequence->n_used < sequence->n_slots && sequence->next_bytes < terms->size_bytes) {
        uint64_t now = io_now_ns(), next = now;

        if (terms->speed_bytes_per_s)
            next =
                throttle_next_ns(&sequence->throttle, atomic_load(terms->speed_bytes_per_s), now);
        if (next > now)
            return next;
        plan_one(sequence);
    }
    return UINT64_MAX;
}

/* A request that failed says where it began; which byte it is, smaller ones tell. */
static int pin_down(struct sequence *sequence, struct slot *slot)
{
    const struct sequence_terms *terms = &sequence->terms;
    struct sequence_piece *piece = &slot->piece;
    struct transfer_error error = {.bad_bytes = piece->offset};
    int r = slot->r;

    if (piece->data)
        r = transfer_read_in_grains(terms->ep, slot->buf, (size_t)piece->n_bytes, piece->offset,
                                    terms->stop, &error);
    piece->offset = r < 0 ? error.bad_bytes : piece->offset;
    return r;
}

int sequence_next(struct sequence *sequence, struct sequence_piece *ret)
{
    const struct sequence_terms *terms = &sequence->terms;
    struct slot *slot;

    if (sequence->taken) {
        sequence->tail = (sequence->tail + 1) % sequence->n_slots;
        sequence->n_used--;
        sequence->taken = false;
    }
    for (;;) {
        uint64_t more_ns = plan(sequence), look_ns = io_now_ns() + LOOK_NS;

        slot = &sequence->slots[sequence->tail];
        if (atomic_load(terms->stop))
            return -ECANCELED;
        if (sequence->n_used > 0 && slot->ready)
            break;
        if (sequence->n_used == 0 && more_ns == UINT64_MAX)
            return 0;
        queue_wait(terms->queue, more_ns < look_ns ? more_ns : look_ns);
    }
    if (slot->r < 0)
        slot->r = pin_down(sequence, slot);
    *ret = slot->piece;
    sequence->taken = true;
    return slot->r < 0 ? slot->r : 1;
}
