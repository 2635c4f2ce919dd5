#include "copy/fetch.h"

#include <errno.h>
#include <string.h>

#include "copy/base/io.h"

#define STRIDES_PER_S 16 /* or more */

static void fetch_rest(struct slot *slot);

static void part_fetched(struct slot *slot, int r)
{
    if (r < 0) {
        slot->fetched(slot, r);
        return;
    }
    slot->at += slot->n_part;
    fetch_rest(slot);
}

/* On a thread. */
static int fetch_in_grains(struct slot *slot)
{
    return transfer_read_in_grains(slot->ep, slot->buf + slot->at, slot->n_part,
                                   slot->piece.start_bytes + slot->at, slot->task.slots->stop,
                                   &slot->error);
}

static void read_ended(struct slot *slot, int r)
{
    uint64_t bad_bytes = slot->piece.start_bytes + slot->at + slot->task.request.n_done;

    if (r == -ESTALE)
        transfer_fail_at(&slot->error, r, bad_bytes, "ends early");
    if (r == 0 || r == -ESTALE)
        part_fetched(slot, r);
    else
        slot_call(slot, fetch_in_grains, part_fetched);
}

static void fetch_rest(struct slot *slot)
{
    while (slot->at < slot->stride_end) {
        bool data;
        size_t end = plan_run(slot->wanted, slot->at, slot->stride_end, &data);

        slot->n_part = end - slot->at;
        if (data) {
            slot_read(slot, slot->ep, slot->n_part, read_ended);
            return;
        }
        memset(slot->buf + slot->at, 0, slot->n_part);
        slot->hole_bytes += slot->n_part;
        slot->at = end;
    }
    slot->fetched(slot, 0);
}

static void fetch_until(struct slot *slot, size_t until)
{
    slot->stride_start = slot->at;
    slot->stride_end = until;
    slot->hole_bytes = 0;
    fetch_rest(slot);
}

void fetch_all(struct slot *slot, struct endpoint *ep, const struct plan_grains *wanted,
               slot_fn *then)
{
    slot->ep = ep;
    slot->wanted = wanted;
    slot->fetched = then;
    slot->at = 0;
    fetch_until(slot, slot_bytes(slot));
}

/* May n bytes be read now? Then they are spent; else there will be another step. */
static bool may_read(struct slots *slots, struct throttle *throttle, uint64_t speed, size_t n_bytes)
{
    uint64_t now_ns, at_ns;

    if (n_bytes == 0)
        return true;
    now_ns = io_now_ns();
    at_ns = speed > 0 ? throttle_next_ns(throttle, speed, now_ns) : UINT64_MAX;
    if (at_ns <= now_ns) {
        throttle_spend(throttle, n_bytes);
        return true;
    }
    if (at_ns > now_ns + SLOTS_LOOK_NS)
        at_ns = now_ns + SLOTS_LOOK_NS;
    slots_wake_by(slots, at_ns);
    return false;
}

/* Whole grains. */
static size_t stride_bytes(uint64_t speed)
{
    size_t n_bytes = ENDPOINT_GRAIN_BYTES;

    while (n_bytes < ENGINE_BLOCK_MAX_BYTES && n_bytes <= speed / STRIDES_PER_S / 2)
        n_bytes *= 2;
    return n_bytes;
}

/* false: not yet. */
static bool begin_stride(struct slot *slot)
{
    struct pace *pace = slot->pace;
    bool over = slots_are_over(slot->task.slots); /* soon, at any speed */
    uint64_t speed = pace->bytes_per_s && !over ? atomic_load(pace->bytes_per_s) : THROTTLE_NONE;
    size_t data_bytes;
    size_t until =
        plan_stride(slot->wanted, slot->at, slot_bytes(slot), stride_bytes(speed), &data_bytes);

    if (!may_read(slot->task.slots, &pace->throttle, speed, data_bytes))
        return false;
    if (slot_check_claim(slot, slot->ep))
        fetch_until(slot, until);
    return true;
}

/* The lowest one comes first: the mark stands where it does. */
static void let_wait(struct slot *slot)
{
    struct slot **at = &slot->pace->waiting;

    while (*at && (*at)->piece.start_bytes < slot->piece.start_bytes)
        at = &(*at)->next;
    slot->next = *at;
    *at = slot;
}

void fetch_next(struct slot *slot, struct pace *pace, struct endpoint *ep,
                const struct plan_grains *wanted, slot_fn *then)
{
    slot->ep = ep;
    slot->wanted = wanted;
    slot->fetched = then;
    slot->pace = pace;
    if (pace->waiting || !begin_stride(slot))
        let_wait(slot);
}

bool pace_go_on(struct pace *pace)
{
    struct slot *slot;

    while ((slot = pace->waiting)) {
        pace->waiting = slot->next;
        if (slot_gives_up(slot)) {
            slot_release(slot);
        } else if (!begin_stride(slot)) {
            let_wait(slot);
            return false;
        }
    }
    return true;
}
