#include "copy/copier.h"

#include <errno.h>

#include "copy/base/crash.h"
#include "copy/base/io.h"
#include "copy/zero.h"

#define HOLE_PIECE_BYTES  (UINT64_C(64) << 20)
#define ZERO_STEP_BYTES   (UINT64_C(4) << 20) /* zeroed between two looks at `stop`, at first */
#define ZERO_STEP_NS      UINT64_C(5000000)   /* if it takes less they may be further apart */
#define CLONE_PIECE_BYTES (UINT64_C(1) << 30)

static int open_plan(struct copier *copier, struct endpoint *ep, struct plan **ret)
{
    const struct engine_job *job = copier->job;
    int r = plan_open(copier->slots, ep, job->size_bytes, copier->block_bytes, job->stop, ret);

    if (r == 0)
        plan_set_limit(*ret, job->size_bytes);
    return r;
}

int copier_init(struct copier *copier, const struct engine_job *job, struct slots *slots,
                uint64_t block_bytes)
{
    int r;

    *copier = (struct copier){.job = job, .slots = slots, .block_bytes = block_bytes};
    copier->pace.bytes_per_s = job->speed_bytes_per_s;
    journal_begin(&copier->journal, job->size_bytes, block_bytes, &job->start);
    tally_begin(&copier->tally, job->progress,
                journal_mark_bytes(&copier->journal.flushed, job->size_bytes, block_bytes));
    atomic_store(&copier->zero_step_bytes, ZERO_STEP_BYTES);
    copier->cloning = job->clone && job->destination->ops->clone;
    copier->zero_known = job->destination_zero && !job->destination->ops->extent;
    r = open_plan(copier, job->source, &copier->plan);
    if (r == 0 && job->destination->ops->extent)
        r = open_plan(copier, job->destination, &copier->there);
    return r;
}

void copier_deinit(struct copier *copier)
{
    plan_close(copier->plan);
    plan_close(copier->there);
    copier->plan = copier->there = NULL;
}

void copier_rewind(struct copier *copier)
{
    struct digests *digests = copier->job->digests;
    uint64_t next_bytes;

    plan_close(copier->there);
    copier->there = NULL;
    copier->zero_known = false;
    journal_rewind(&copier->journal);
    plan_restart(copier->plan);
    next_bytes = copier->journal.next_bytes;
    if (!digests)
        return;
    if (digests_verified_bytes(digests) > next_bytes)
        digests_set_verified(digests, next_bytes);
    digests_forget_from(digests, next_bytes + (JOURNAL_WINDOW + 1) * copier->block_bytes);
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* It is at the destination, though not settled before the whole piece is. */
static void tell(struct slot *slot, struct journal_piece piece, struct tally_step step)
{
    struct copier *copier = slot->work;

    step.fresh = journal_fresh_bytes(&copier->journal, piece);
    copier->unflushed_bytes += step.copied;
    tally_settled(&copier->tally, step);
}

static void settle(struct slot *slot)
{
    struct copier *copier = slot->work;

    journal_settle(&copier->journal, slot->index);
    slot_release(slot);
}

/* On a thread. Where zeroes have to be written, a stop shall not wait for all of them. */
static int zero_part(struct slot *slot)
{
    struct copier *copier = slot->work;
    uint64_t at = slot->piece.start_bytes + slot->at, end = at + slot->n_part;

    while (at < end) {
        uint64_t step = atomic_load(&copier->zero_step_bytes), began_ns = io_now_ns();
        uint64_t n = min_of(step, end - at);
        int r;

        if (atomic_load(copier->job->stop))
            return -ECANCELED;
        r = endpoint_zero(copier->job->destination, at, n);
        if (r < 0)
            return r;
        at += n;
        if (n == step && step < HOLE_PIECE_BYTES && io_now_ns() - began_ns < ZERO_STEP_NS)
            atomic_store(&copier->zero_step_bytes, 2 * step);
    }
    return 0;
}

static void hole_zeroed(struct slot *slot, int r)
{
    struct copier *copier = slot->work;

    if (r < 0) {
        slot_fail_for(slot, r, slot->piece.start_bytes, "cannot zero a hole of the destination");
        return;
    }
    if (copier->job->digests)
        digests_set_zero(copier->job->digests, slot->piece.start_bytes, slot->piece.end_bytes);
    tell(slot, slot->piece, (struct tally_step){.hole = slot_bytes(slot)});
    settle(slot);
}

static void put_rest(struct slot *slot);

static void part_put(struct slot *slot, int r)
{
    if (r < 0) {
        transfer_fail_at(&slot->error, r,
                         slot->piece.start_bytes + slot->at + slot->task.request.n_done,
                         "cannot write");
        slot_fail(slot, r);
        return;
    }
    slot->at += slot->n_part;
    put_rest(slot);
}

static void part_zeroed(struct slot *slot, int r)
{
    if (r < 0) {
        transfer_fail_at(&slot->error, r, slot->piece.start_bytes + slot->at, "cannot zero");
        slot_fail(slot, r);
        return;
    }
    slot->at += slot->n_part;
    put_rest(slot);
}

static void read_next(struct slot *slot);

static void stride_put(struct slot *slot)
{
    struct copier *copier = slot->work;
    uint64_t start = slot->piece.start_bytes;
    struct journal_piece stride = {start + slot->stride_start, start + slot->stride_end};
    size_t holes = copier->job->never_sparse ? 0 : slot->hole_bytes;

    tell(slot, stride,
         (struct tally_step){.hole = holes,
                             .zero = slot->zero_bytes - holes,
                             .copied = slot->stride_end - slot->stride_start - slot->zero_bytes});
    slot->zero_bytes = 0;
    if (stride.end_bytes < slot->piece.end_bytes)
        read_next(slot);
    else
        settle(slot);
}

/* A write a run of grains that are not zero. */
static void put_rest(struct slot *slot)
{
    struct copier *copier = slot->work;
    const struct engine_job *job = copier->job;
    size_t n = slot->stride_end;

    while (slot->at < n) {
        bool zero = false;

        slot->n_part = n - slot->at;
        if (!job->never_sparse)
            slot->n_part = zero_run(slot->buf + slot->at, n - slot->at, &zero);
        if (!zero) {
            slot_write(slot, job->destination, slot->n_part, part_put);
            return;
        }
        slot->zero_bytes += slot->n_part;
        if (!slot->onto_zero) {
            slot_call(slot, zero_part, part_zeroed);
            return;
        }
        slot->at += slot->n_part;
    }
    stride_put(slot);
}

static void stride_read(struct slot *slot, int r)
{
    struct copier *copier = slot->work;
    struct digests *digests = copier->job->digests;

    if (r < 0) {
        slot_fail(slot, r);
        return;
    }
    if (digests && slot->stride_end == slot_bytes(slot)) {
        digest_of(slot->buf, slot_bytes(slot), &slot->expected);
        r = digests_set(digests, slot->piece.start_bytes, &slot->expected);
    }
    if (r < 0) {
        slot_fail_for(slot, r, ENGINE_NO_PLACE, "no memory for digests");
        return;
    }
    slot->at = slot->stride_start;
    put_rest(slot);
}

static void read_next(struct slot *slot)
{
    struct copier *copier = slot->work;

    fetch_next(slot, &copier->pace, copier->job->source, &slot->data[0], stride_read);
}

static void take(struct slot *slot, uint64_t until_bytes)
{
    struct copier *copier = slot->work;

    CRASH_POINT("worker-copy-chunk");
    journal_take(&copier->journal, slot->index, until_bytes);
    slot->piece = copier->journal.lanes[slot->index].piece;
}

/* Returns false where nothing was begun. */
static bool begin_data(struct slot *slot, const struct plan_item *item)
{
    struct copier *copier = slot->work;

    if (copier->job->verify_behind && copier->job->digests &&
        digests_are_many(copier->job->digests))
        return false;
    plan_grains_of(item, &slot->data[0]);
    take(slot, min_of(item->end_bytes, item->start_bytes + copier->block_bytes));
    read_next(slot);
    return true;
}

static bool begin_hole(struct slot *slot, const struct plan_item *item)
{
    struct copier *copier = slot->work;

    take(slot, min_of(item->end_bytes, item->start_bytes + HOLE_PIECE_BYTES));
    if (slot_check_claim(slot, copier->job->source)) {
        slot->n_part = slot_bytes(slot);
        slot_call(slot, zero_part, hole_zeroed);
    }
    return true;
}

/* Zeroes onto zeroes: it is done. */
static void pass_hole(struct copier *copier, const struct plan_item *item)
{
    uint64_t fresh = journal_pass(&copier->journal, item->end_bytes);

    if (copier->job->digests)
        digests_set_zero(copier->job->digests, item->start_bytes, item->end_bytes);
    tally_settled(&copier->tally, (struct tally_step){.fresh = fresh, .hole = fresh});
}

/* On a thread. */
static int clone_piece(struct slot *slot)
{
    struct copier *copier = slot->work;
    const struct engine_job *job = copier->job;

    return job->destination->ops->clone(job->destination, job->source, slot->piece.start_bytes,
                                        slot->piece.end_bytes - slot->piece.start_bytes);
}

/* What shares its storage with the source needs no reading back. It is cloned in order. */
static void piece_cloned(struct slot *slot, int r)
{
    struct copier *copier = slot->work;

    copier->clone_busy = false;
    if (r == -EOPNOTSUPP) {
        copier->cloning = false;
        journal_give_back(&copier->journal, slot->index);
        slot_release(slot);
        return;
    }
    if (r < 0) {
        slot_fail_for(slot, r, slot->piece.start_bytes, "cannot share the source's storage");
        return;
    }
    copier->cloned = true;
    if (copier->job->digests)
        digests_set_verified(copier->job->digests, slot->piece.end_bytes);
    tell(slot, slot->piece, (struct tally_step){.cloned = slot_bytes(slot)});
    settle(slot);
}

static bool begin_clone(struct slot *slot, struct journal_piece next)
{
    struct copier *copier = slot->work;

    take(slot, min_of(next.end_bytes, next.start_bytes + CLONE_PIECE_BYTES));
    if (slot_check_claim(slot, copier->job->source)) {
        copier->clone_busy = true;
        slot_call(slot, clone_piece, piece_cloned);
    }
    return true;
}

/* Returns 1, 0: not known yet, or why the data cannot be found. *ret_onto_zero: what is there reads
 * zero. */
static int find_next(struct copier *copier, struct journal_piece next, struct plan_item *ret,
                     bool *ret_onto_zero)
{
    int r = plan_at(copier->plan, next.start_bytes, ret), r_there = 1;
    struct plan_item there = {.end_bytes = next.end_bytes,
                              .kind = copier->zero_known ? PLAN_HOLE : PLAN_DATA};

    if (copier->there)
        r_there = plan_at(copier->there, next.start_bytes, &there);
    if (r < 0 || r_there < 0)
        return r < 0 ? r : r_there;
    ret->end_bytes = min_of(ret->end_bytes, min_of(there.end_bytes, next.end_bytes));
    *ret_onto_zero = there.kind == PLAN_HOLE;
    return r == 1 && r_there == 1;
}

/* One call clones many extents with the holes between them, but not all of an empty volume. */
static bool is_worth_a_pass(const struct copier *copier, const struct plan_item *item)
{
    return !copier->cloning || item->end_bytes - item->start_bytes >= CLONE_PIECE_BYTES;
}

/* Returns false where nothing was begun: the slot is as it was. */
static bool begin_piece(struct slot *slot)
{
    struct copier *copier = slot->work;
    struct plan_item item;
    struct journal_piece next;

    while (journal_next(&copier->journal, &next)) {
        bool hole;
        int r;

        if (copier->clone_busy)
            return false;
        r = find_next(copier, next, &item, &slot->onto_zero);
        if (r < 0)
            slot_fail_for(slot, r, next.start_bytes, "cannot find the data");
        if (r <= 0)
            return r < 0;
        hole = item.kind == PLAN_HOLE && !copier->job->never_sparse;
        if (hole && slot->onto_zero && is_worth_a_pass(copier, &item))
            pass_hole(copier, &item);
        else if (copier->cloning)
            return begin_clone(slot, next);
        else if (!journal_is_open(&copier->journal))
            return false;
        else
            return hole ? begin_hole(slot, &item) : begin_data(slot, &item);
    }
    return false;
}

void copier_end_blocks(struct copier *copier)
{
    pace_go_on(&copier->pace);
}

void copier_step(struct copier *copier)
{
    if (!slots_may_begin(copier->slots, copier->job->speed_bytes_per_s) ||
        !pace_go_on(&copier->pace))
        return;
    while (!slots_are_over(copier->slots) && !copier->pace.waiting) {
        struct slot *slot = slots_take(copier->slots, copier);

        if (!slot)
            return;
        if (!begin_piece(slot)) {
            slot_release(slot);
            return;
        }
    }
}
