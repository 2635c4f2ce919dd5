#include "copy/slots.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/io.h"
#include "copy/refuse.h"

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

int slots_init(struct slots *slots, struct queue *queue, const atomic_bool *stop,
               uint64_t size_bytes, size_t block_bytes)
{
    unsigned n = slots_wanted(queue_depth(queue), size_bytes, block_bytes);

    *slots = (struct slots){.queue = queue, .stop = stop, .n_slots = n};
    slots->waiting_end = &slots->waiting;
    slots->slots = calloc(n, sizeof(slots->slots[0]));
    slots->memory = io_buffers(n * block_bytes);
    if (!slots->slots || !slots->memory) {
        free_all(slots);
        return -ENOMEM;
    }
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
    slots_wake_by(slots, io_now_ns() + SLOTS_LOOK_NS);
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

bool slot_check_claim(struct slot *slot, struct endpoint *ep)
{
    int r = endpoint_check_claim(ep);

    if (r < 0)
        slot_fail_for(slot, r, slot->piece.start_bytes + slot->at,
                      "the source was opened for writing");
    return r == 0;
}

bool slot_gives_up(const struct slot *slot)
{
    struct slots *slots = slot->task.slots;

    return slots_are_over(slots) &&
           (slots->stopped || slot->piece.start_bytes >= slots->where.bad_bytes);
}

static void slot_ended(struct task *task, int r)
{
    struct slot *slot = (struct slot *)task;

    if (slot_gives_up(slot))
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

void slot_read(struct slot *slot, struct endpoint *ep, size_t n, slot_fn *then)
{
    transfer(slot, REQUEST_READ, ep, n, then);
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
