#include "copy/slots.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "copy/base/io.h"
#include "copy/refuse.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define SPEED_LOOK_NS   UINT64_C(50000000) /* the speed may change, and so may `stop` */

static void free_all(struct slots *slots)
{
    free(slots->slots);
    free(slots->memory);
    slots->slots = NULL;
    slots->memory = NULL;
}

/* A place in the queue is left for what is no block's, a flush above all: it shall not wait for
 * blocks that hang. */
static unsigned slots_wanted(unsigned depth, uint64_t size_bytes, size_t block_bytes)
{
    unsigned n = depth > 2 ? depth - 1 : depth;

    return size_bytes / block_bytes < n ? (unsigned)(size_bytes / block_bytes) + 1 : n;
}

/* Contiguous memory: direct I/O in few, large requests. */
int slots_init(struct slots *slots, struct queue *queue, const atomic_bool *stop,
               uint64_t size_bytes, size_t block_bytes)
{
    unsigned n = slots_wanted(queue_depth(queue), size_bytes, block_bytes);
    size_t memory_bytes =
        (n * block_bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;

    *slots = (struct slots){.queue = queue, .stop = stop, .n_slots = n};
    slots->waiting_end = &slots->waiting;
    slots->slots = calloc(n, sizeof(slots->slots[0]));
    slots->memory = aligned_alloc(HUGE_PAGE_BYTES, memory_bytes);
    if (!slots->slots || !slots->memory) {
        free_all(slots);
        return -ENOMEM;
    }
    madvise(slots->memory, memory_bytes, MADV_HUGEPAGE); /* a wish */
    for (unsigned i = n; i-- > 0;) {
        struct slot *slot = &slots->slots[i];

        slot->task.slots = slots;
        slot->index = i;
        slot->buf = slots->memory + i * block_bytes;
        slot_release(slot);
    }
    return 0;
}

void slots_deinit(struct slots *slots)
{
    free_all(slots);
}

void slots_conduct(struct slots *slots, void (*step)(void *arg), void *arg)
{
    for (;;) {
        slots->wake_ns = UINT64_MAX;
        step(arg);
        if (slots->n_in_flight == 0 && slots->wake_ns == UINT64_MAX)
            return;
        queue_wait(slots->queue, slots->wake_ns);
    }
}

void slots_wake_by(struct slots *slots, uint64_t at_ns)
{
    if (at_ns < slots->wake_ns)
        slots->wake_ns = at_ns;
}

bool slots_are_over(struct slots *slots)
{
    if (atomic_load(slots->stop))
        slots->stopped = true;
    return slots->stopped || slots->error < 0;
}

void slots_fail(struct slots *slots, int r, const struct transfer_error *where)
{
    if (slots->error < 0 && where->bad_bytes >= slots->where.bad_bytes)
        return;
    slots->error = r;
    slots->where = *where;
}

int slots_tell(const struct slots *slots, struct engine_result *ret)
{
    if (slots->error == 0)
        return engine_refuse(ret, -ECANCELED, "stopped");
    ret->bad_bytes = slots->where.bad_bytes;
    ret->err = slots->where.err;
    return slots->error;
}

bool slots_may_begin(struct slots *slots, const _Atomic uint64_t *bytes_per_s)
{
    if (!bytes_per_s || atomic_load(bytes_per_s) > 0)
        return true;
    slots_wake_by(slots, io_now_ns() + SPEED_LOOK_NS);
    return false;
}

bool slots_may_read(struct slots *slots, struct throttle *throttle,
                    const _Atomic uint64_t *bytes_per_s, size_t n_bytes)
{
    uint64_t now_ns, at_ns, speed;

    if (!bytes_per_s || n_bytes == 0)
        return true;
    now_ns = io_now_ns();
    speed = atomic_load(bytes_per_s);
    at_ns = speed > 0 ? throttle_next_ns(throttle, speed, now_ns) : UINT64_MAX;
    if (at_ns <= now_ns) {
        throttle_spend(throttle, n_bytes);
        return true;
    }
    if (at_ns > now_ns + SPEED_LOOK_NS)
        at_ns = now_ns + SPEED_LOOK_NS;
    slots_wake_by(slots, at_ns);
    return false;
}

static void begun(struct slots *slots, struct task *task)
{
    slots->n_in_flight++;
    queue_submit(slots->queue, &task->request);
}

static void task_ended(struct request *request, int r)
{
    struct task *task = (struct task *)((char *)request - offsetof(struct task, request));
    struct slots *slots = task->slots;
    struct task *next = slots->waiting;

    slots->n_in_flight--;
    if (next) {
        slots->waiting = next->next;
        if (!slots->waiting)
            slots->waiting_end = &slots->waiting;
        begun(slots, next);
    }
    task->then(task, r);
}

void task_begin(struct slots *slots, struct task *task)
{
    task->slots = slots;
    task->request.done = task_ended;
    task->next = NULL;
    if (slots->n_in_flight < queue_depth(slots->queue)) {
        begun(slots, task);
        return;
    }
    *slots->waiting_end = task;
    slots->waiting_end = &task->next;
}

struct slot *slots_take(struct slots *slots, void *work)
{
    struct slot *slot = slots->idle;

    if (slot) {
        slots->idle = slot->next;
        slot->work = work;
        slot->at = slot->hole_bytes = slot->zero_bytes = 0;
    }
    return slot;
}

void slot_release(struct slot *slot)
{
    slot->next = slot->task.slots->idle;
    slot->task.slots->idle = slot;
}

void slot_fail(struct slot *slot, int r)
{
    bool gave_up = r == -ECANCELED && atomic_load(slot->task.slots->stop);

    if (!gave_up) /* else an endpoint says it, and it was no stop of ours */
        slots_fail(slot->task.slots, r == -ECANCELED ? -EIO : r, &slot->error);
    slot_release(slot);
}

void slot_fail_for(struct slot *slot, int r, uint64_t offset, const char *what)
{
    transfer_fail(&slot->error, r, offset, what);
    slot_fail(slot, r);
}

/* What lies before the place where it failed goes on: it may hold the first bad place. */
static bool gives_up(const struct slot *slot)
{
    struct slots *slots = slot->task.slots;

    return slots_are_over(slots) &&
           (slots->stopped || slot->piece.start_bytes >= slots->where.bad_bytes);
}

static void slot_ended(struct task *task, int r)
{
    struct slot *slot = (struct slot *)task;

    if (gives_up(slot))
        slot_release(slot);
    else
        slot->then(slot, r);
}

static void begin(struct slot *slot, struct request request, slot_fn *then)
{
    slot->then = then;
    slot->task.then = slot_ended;
    slot->task.request = request;
    task_begin(slot->task.slots, &slot->task);
}

static void transfer(struct slot *slot, enum request_kind kind, struct endpoint *ep, size_t n,
                     slot_fn *then)
{
    struct request request = {.kind = kind,
                              .ep = ep,
                              .buf = slot->buf + slot->at,
                              .n_bytes = n,
                              .offset = slot->piece.start_bytes + slot->at,
                              .arg = slot};

    begin(slot, request, then);
}

void slot_write(struct slot *slot, struct endpoint *ep, size_t n, slot_fn *then)
{
    transfer(slot, REQUEST_WRITE, ep, n, then);
}

static int call_slot(struct request *request)
{
    struct slot *slot = request->arg;

    return slot->call(slot);
}

void slot_call(struct slot *slot, int (*call)(struct slot *slot), slot_fn *then)
{
    slot->call = call;
    begin(slot, (struct request){.kind = REQUEST_CALL, .call = call_slot, .arg = slot}, then);
}

size_t slot_bytes(const struct slot *slot)
{
    return (size_t)(slot->piece.end_bytes - slot->piece.start_bytes);
}

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
    size_t n = slot_bytes(slot);

    while (slot->at < n) {
        bool data;
        size_t end = plan_run(slot->wanted, slot->at, n, &data);

        slot->n_part = end - slot->at;
        if (data) {
            transfer(slot, REQUEST_READ, slot->ep, slot->n_part, read_ended);
            return;
        }
        memset(slot->buf + slot->at, 0, slot->n_part);
        slot->hole_bytes += slot->n_part;
        slot->at = end;
    }
    slot->fetched(slot, 0);
}

void slot_fetch(struct slot *slot, struct endpoint *ep, const struct plan_grains *wanted,
                slot_fn *then)
{
    slot->ep = ep;
    slot->wanted = wanted;
    slot->fetched = then;
    slot->at = slot->hole_bytes = 0;
    fetch_rest(slot);
}
