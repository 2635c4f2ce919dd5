/*
 * A fetch asks for some items, on a thread of the queue's, while those that were fetched before are
 * used. It ends early when the endpoint is slow to answer, so that nothing waits for answers that
 * it does not need yet.
 *
 * No answer outlives its fetch: a destination changes above the limit.
 */
#include "copy/plan.h"

#include <stdlib.h>
#include <string.h>

#include "copy/base/io.h"
#include "copy/slots.h"

#define FETCH_NS UINT64_C(1000000)

struct plan {
    struct task task;
    struct extent_map map;
    uint64_t size_bytes, block_bytes;
    const atomic_bool *stop;
    uint64_t limit_bytes;
    bool fetching;
    struct plan_item items[2 * PLAN_ITEMS];
    unsigned n_items;
    int error; /* what comes behind the items */
    /* The fetch's, while it is under way. */
    uint64_t at_bytes, until_bytes; /* behind the items */
    struct plan_item fetched[PLAN_ITEMS];
    unsigned n_fetched;
};

int plan_open(struct slots *slots, struct endpoint *ep, uint64_t size_bytes, uint64_t block_bytes,
              const atomic_bool *stop, struct plan **ret)
{
    struct plan *plan = calloc(1, sizeof(*plan));

    if (!plan)
        return -ENOMEM;
    plan->task.slots = slots;
    plan->size_bytes = size_bytes;
    plan->block_bytes = block_bytes;
    plan->stop = stop;
    extent_map_init(&plan->map, ep, size_bytes);
    *ret = plan;
    return 0;
}

void plan_close(struct plan *plan)
{
    free(plan);
}

void plan_set_limit(struct plan *plan, uint64_t limit_bytes)
{
    plan->limit_bytes = limit_bytes;
}

void plan_restart(struct plan *plan)
{
    plan->n_items = 0;
    plan->at_bytes = 0;
    plan->error = 0;
}

static void set_data(struct plan_grains *grains, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        grains->bits[i / 64] |= UINT64_C(1) << i % 64;
}

static uint64_t block_end(const struct plan *plan, uint64_t offset)
{
    uint64_t left = plan->until_bytes - offset;

    return offset + (left < plan->block_bytes ? left : plan->block_bytes);
}

/* A block that is of both kinds. */
static int fetch_mixed(struct plan *plan, struct plan_item *item)
{
    uint64_t at = item->start_bytes;

    item->kind = PLAN_MIXED;
    item->data = (struct plan_grains){0};
    item->end_bytes = block_end(plan, at);
    while (at < item->end_bytes) {
        uint64_t end, first = (at - item->start_bytes) / ENDPOINT_GRAIN_BYTES;
        bool hole;
        int r = extent_map_at(&plan->map, at, &end, &hole);

        if (r < 0)
            return r;
        if (end > item->end_bytes)
            end = item->end_bytes;
        at = end;
        end = (end - item->start_bytes + ENDPOINT_GRAIN_BYTES - 1) / ENDPOINT_GRAIN_BYTES;
        if (!hole)
            set_data(&item->data, first, end);
    }
    return 0;
}

static int fetch_item(struct plan *plan, struct plan_item *item)
{
    uint64_t end;
    bool hole;
    int r = extent_map_at(&plan->map, plan->at_bytes, &end, &hole);

    if (r < 0)
        return r;
    item->start_bytes = plan->at_bytes;
    if (end < plan->until_bytes)
        end -= end % plan->block_bytes;
    else
        end = plan->until_bytes;
    if (end <= plan->at_bytes) {
        r = fetch_mixed(plan, item);
    } else {
        item->kind = hole ? PLAN_HOLE : PLAN_DATA;
        item->end_bytes = end;
    }
    if (r == 0)
        plan->at_bytes = item->end_bytes;
    return r;
}

/* On a thread. */
static int fetch(struct request *request)
{
    struct plan *plan = request->arg;
    uint64_t end_ns = io_now_ns() + FETCH_NS;
    int r = 0;

    extent_map_init(&plan->map, plan->map.ep, plan->size_bytes);
    while (plan->n_fetched < PLAN_ITEMS && plan->at_bytes < plan->until_bytes && r == 0) {
        r = fetch_item(plan, &plan->fetched[plan->n_fetched]);
        if (r == 0)
            plan->n_fetched++;
        if (io_now_ns() >= end_ns || atomic_load(plan->stop))
            break;
    }
    return r;
}

static void fetch_ended(struct task *task, int r)
{
    struct plan *plan = (struct plan *)task;

    plan->fetching = false;
    memcpy(plan->items + plan->n_items, plan->fetched, plan->n_fetched * sizeof(plan->fetched[0]));
    plan->n_items += plan->n_fetched;
    plan->error = r;
}

static void begin_fetch(struct plan *plan, uint64_t offset)
{
    if (plan->fetching || plan->error < 0 || plan->n_items > PLAN_ITEMS)
        return;
    if (plan->at_bytes < offset)
        plan->at_bytes = offset;
    if (plan->at_bytes >= plan->limit_bytes)
        return;
    plan->fetching = true;
    plan->until_bytes = plan->limit_bytes;
    plan->n_fetched = 0;
    plan->task.then = fetch_ended;
    plan->task.request = (struct request){.kind = REQUEST_CALL, .call = fetch, .arg = plan};
    task_begin(plan->task.slots, &plan->task);
}

int plan_at(struct plan *plan, uint64_t offset, struct plan_item *ret)
{
    unsigned n_used = 0;

    while (n_used < plan->n_items && plan->items[n_used].end_bytes <= offset)
        n_used++;
    plan->n_items -= n_used;
    if (n_used > 0)
        memmove(plan->items, plan->items + n_used, plan->n_items * sizeof(plan->items[0]));
    begin_fetch(plan, offset);
    if (plan->n_items == 0)
        return plan->error;
    *ret = plan->items[0];
    ret->start_bytes = offset;
    return 1;
}

static bool is_data(const struct plan_grains *grains, size_t grain)
{
    return grains->bits[grain / 64] >> grain % 64 & 1;
}

size_t plan_run(const struct plan_grains *grains, size_t at, size_t n, bool *ret_data)
{
    size_t grain = at / ENDPOINT_GRAIN_BYTES, end = (n - 1) / ENDPOINT_GRAIN_BYTES + 1;
    bool data = is_data(grains, grain);

    while (grain < end && is_data(grains, grain) == data)
        grain++;
    *ret_data = data;
    return grain * ENDPOINT_GRAIN_BYTES < n ? grain * ENDPOINT_GRAIN_BYTES : n;
}

void plan_grains_of(const struct plan_item *item, struct plan_grains *ret)
{
    if (item->kind == PLAN_MIXED)
        *ret = item->data;
    else
        memset(ret, item->kind == PLAN_DATA ? 0xff : 0, sizeof(*ret));
}

size_t plan_stride(const struct plan_grains *grains, size_t at, size_t n, size_t most,
                   size_t *ret_data_bytes)
{
    size_t left = most;

    while (at < n) {
        bool data;
        size_t end = plan_run(grains, at, n, &data);

        if (data && left == 0)
            break;
        if (data && end - at > left)
            end = at + left;
        left -= data ? end - at : 0;
        at = end;
    }
    *ret_data_bytes = most - left;
    return at;
}
