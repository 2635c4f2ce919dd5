#include "copy/verifier.h"

#include <errno.h>

#include "copy/base/crash.h"
#include "copy/repair.h"

enum { SOURCE, DESTINATION }; /* slot->data */

static int open_plan(const struct verifier *verifier, struct endpoint *ep, struct plan **ret)
{
    const struct engine_job *job = verifier->job;

    return plan_open(verifier->slots, ep, job->size_bytes, verifier->block_bytes, job->stop, ret);
}

int verifier_init(struct verifier *verifier, const struct engine_job *job, struct slots *slots,
                  uint64_t block_bytes, struct tally *tally, bool behind)
{
    const struct journal_mark nothing = {0};
    int r;

    *verifier =
        (struct verifier){.job = job, .slots = slots, .block_bytes = block_bytes, .tally = tally};
    verifier->pace.bytes_per_s = job->speed_bytes_per_s;
    journal_begin(&verifier->journal, job->size_bytes, block_bytes, &nothing);
    r = open_plan(verifier, job->destination, &verifier->plan);
    if (r == 0 && job->compare_source && !behind)
        r = open_plan(verifier, job->source, &verifier->source_plan);
    return r;
}

void verifier_deinit(struct verifier *verifier)
{
    plan_close(verifier->plan);
    plan_close(verifier->source_plan);
    verifier->plan = verifier->source_plan = NULL;
}

void verifier_set_limit(struct verifier *verifier, uint64_t limit_bytes)
{
    verifier->limit_bytes = limit_bytes;
    plan_set_limit(verifier->plan, limit_bytes);
    if (verifier->source_plan)
        plan_set_limit(verifier->source_plan, limit_bytes);
}

void verifier_rewind(struct verifier *verifier, uint64_t below_bytes)
{
    const struct journal_mark mark = {.low_bytes = below_bytes};

    if (journal_low(&verifier->journal) <= below_bytes)
        return;
    journal_flushed(&verifier->journal, &mark);
    journal_rewind(&verifier->journal);
    plan_restart(verifier->plan);
}

static void settled(struct verifier *verifier, uint64_t fresh)
{
    if (verifier->job->digests)
        digests_set_verified(verifier->job->digests, journal_low(&verifier->journal));
    tally_verified(verifier->tally, fresh);
}

static void settle(struct slot *slot)
{
    struct verifier *verifier = slot->work;

    verifier->n_busy--;
    journal_settle(&verifier->journal, slot->index);
    settled(verifier, journal_fresh_bytes(&verifier->journal, slot->piece));
    slot_release(slot);
}

/* On a thread. It is noted here, since nobody may wait for the slot any more. */
static int repair(struct slot *slot)
{
    struct verifier *verifier = slot->work;
    int r = repair_block(verifier->job, slot);

    if (slot->rewritten)
        atomic_store(&verifier->repaired, true);
    if (slot->flush_error < 0)
        atomic_store(&verifier->flush_error, slot->flush_error);
    return r;
}

static void repair_ended(struct slot *slot, int r)
{
    struct verifier *verifier = slot->work;

    verifier->n_repairs--;
    if (r < 0)
        slot_fail(slot, r);
    else
        settle(slot);
}

static void begin_repair(struct slot *slot)
{
    struct verifier *verifier = slot->work;

    verifier->n_repairs++;
    slot_call(slot, repair, repair_ended);
}

/* On a thread. */
static int tell_difference(struct slot *slot)
{
    struct verifier *verifier = slot->work;

    return repair_tell_difference(verifier->job, slot);
}

static void block_differs(struct slot *slot)
{
    struct verifier *verifier = slot->work;

    if (verifier->job->no_repair) {
        slot_call(slot, tell_difference, slot_fail);
    } else if (verifier->held) {
        slot->next = verifier->unsound;
        verifier->unsound = slot;
    } else {
        begin_repair(slot);
    }
}

void verifier_hold(struct verifier *verifier)
{
    verifier->held = true;
}

void verifier_go_on(struct verifier *verifier)
{
    verifier->held = false;
    while (verifier->unsound) {
        struct slot *slot = verifier->unsound;

        verifier->unsound = slot->next;
        if (slots_are_over(verifier->slots))
            slot_release(slot);
        else
            begin_repair(slot);
    }
}

static void block_found(struct slot *slot, int r)
{
    struct verifier *verifier = slot->work;
    struct digest found;

    if (r == 0) {
        digest_of(slot->buf, slot_bytes(slot), &found);
        r = digest_same(&found, &slot->expected) ? 0 : -EILSEQ;
    }
    if (r == 0)
        settle(slot);
    else if (r == -EILSEQ || (r == -EIO && !verifier->job->no_repair))
        block_differs(slot); /* a bad sector may be well after it was written */
    else
        slot_fail(slot, r);
}

static void find_block(struct slot *slot)
{
    const struct verifier *verifier = slot->work;

    fetch_all(slot, verifier->job->destination, &slot->data[DESTINATION], block_found);
}

static void read_next(struct slot *slot);

static void stride_read(struct slot *slot, int r)
{
    const struct verifier *verifier = slot->work;
    struct digests *digests = verifier->job->digests;

    if (r < 0) {
        slot_fail(slot, r);
        return;
    }
    if (slot->stride_end < slot_bytes(slot)) {
        tally_beat(verifier->tally);
        read_next(slot);
        return;
    }
    digest_of(slot->buf, slot_bytes(slot), &slot->expected);
    if (digests)
        r = digests_set(digests, slot->piece.start_bytes, &slot->expected);
    if (r < 0)
        slot_fail_for(slot, r, ENGINE_NO_PLACE, "no memory for digests");
    else
        find_block(slot);
}

static void read_next(struct slot *slot)
{
    struct verifier *verifier = slot->work;

    fetch_next(slot, &verifier->pace, verifier->job->source, &slot->data[SOURCE], stride_read);
}

/* What is at one place of the two. */
struct place {
    struct plan_item found, expected; /* the second one: of the source, when it is compared */
    uint64_t end_bytes;               /* of what is to be looked at together */
};

/* Returns 1, 0: not known yet, or why not. */
static int look(const struct verifier *verifier, struct journal_piece next, struct place *ret)
{
    int r = plan_at(verifier->plan, next.start_bytes, &ret->found), r_source = 1;

    if (verifier->source_plan)
        r_source = plan_at(verifier->source_plan, next.start_bytes, &ret->expected);
    if (r < 0 || r_source < 0)
        return r < 0 ? r : r_source;
    if (r == 0 || r_source == 0)
        return 0;
    ret->end_bytes = ret->found.end_bytes;
    if (verifier->source_plan && ret->expected.end_bytes < ret->end_bytes)
        ret->end_bytes = ret->expected.end_bytes;
    return 1;
}

/* Up to where zeroes are expected and there is a hole; the start: not even there. */
static uint64_t zero_until(const struct verifier *verifier, const struct place *place)
{
    uint64_t start = place->found.start_bytes;

    if (place->found.kind != PLAN_HOLE)
        return start;
    if (!verifier->source_plan)
        return digests_next_data(verifier->job->digests, start, place->end_bytes);
    return place->expected.kind == PLAN_HOLE ? place->end_bytes : start;
}

static void pass_zeroes(struct verifier *verifier, uint64_t start, uint64_t end)
{
    if (verifier->source_plan && verifier->job->digests)
        digests_set_zero(verifier->job->digests, start, end);
    settled(verifier, journal_pass(&verifier->journal, end));
}

static void take(struct slot *slot, uint64_t until_bytes)
{
    struct verifier *verifier = slot->work;

    CRASH_POINT("worker-verify-chunk");
    verifier->n_busy++;
    journal_take(&verifier->journal, slot->index, until_bytes);
    slot->piece = verifier->journal.lanes[slot->index].piece;
}

static void begin_block(struct slot *slot, const struct place *place)
{
    struct verifier *verifier = slot->work;
    const struct engine_job *job = verifier->job;
    uint64_t start = place->found.start_bytes, end = start + verifier->block_bytes;

    if (end > place->end_bytes)
        end = place->end_bytes;
    take(slot, end);
    plan_grains_of(&place->found, &slot->data[DESTINATION]);
    if (verifier->source_plan) {
        plan_grains_of(&place->expected, &slot->data[SOURCE]);
        read_next(slot);
    } else if (slot_check_claim(slot, job->source)) {
        digests_get(job->digests, start, &slot->expected);
        find_block(slot);
    }
}

/* What needs no proof is passed. Returns whether there is something below the limit. */
static bool find_next(struct verifier *verifier, struct journal_piece *ret)
{
    uint64_t trusted = verifier->source_plan ? 0 : digests_verified_bytes(verifier->job->digests);

    if (journal_next(&verifier->journal, ret) && ret->start_bytes < trusted)
        settled(verifier, journal_pass(&verifier->journal, trusted));
    return journal_next(&verifier->journal, ret) && ret->start_bytes < verifier->limit_bytes;
}

/* Returns false where nothing was begun: the slot is as it was. */
static bool begin_piece(struct slot *slot)
{
    struct verifier *verifier = slot->work;
    struct journal_piece next;
    struct place place;

    while (find_next(verifier, &next)) {
        int r = look(verifier, next, &place);
        uint64_t zero_end;

        if (r < 0)
            slot_fail_for(slot, r, next.start_bytes, "cannot find the data");
        if (r <= 0)
            return r < 0;
        zero_end = zero_until(verifier, &place);
        if (zero_end == next.start_bytes && !journal_is_open(&verifier->journal))
            return false;
        if (zero_end == next.start_bytes) {
            begin_block(slot, &place);
            return true;
        }
        pass_zeroes(verifier, next.start_bytes, zero_end);
    }
    return false;
}

void verifier_end_blocks(struct verifier *verifier)
{
    pace_go_on(&verifier->pace);
}

void verifier_step(struct verifier *verifier, unsigned n_slots_max)
{
    if (!slots_may_begin(verifier->slots, verifier->job->speed_bytes_per_s) ||
        !pace_go_on(&verifier->pace))
        return;
    while (!slots_are_over(verifier->slots) && !verifier->pace.waiting &&
           verifier->n_busy < n_slots_max) {
        struct slot *slot = slots_take(verifier->slots, verifier);

        if (!slot)
            return;
        if (!begin_piece(slot)) {
            slot_release(slot);
            return;
        }
    }
}
