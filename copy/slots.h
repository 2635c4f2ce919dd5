/*
 * Inside the engine: the conducting thread. It has a fixed set of slots, each with the memory of a
 * block and one request in flight at most, and goes round: begin what can be begun, wait for
 * something to end, let it go on.
 *
 * Everything here is called on that thread, but for what a call does on a thread of the queue's.
 */
#pragma once

#include "copy/digest.h"
#include "copy/endpoint/queue.h"
#include "copy/journal.h"
#include "copy/plan.h"
#include "copy/transfer.h"

/* What is steered may change, and so may `stop`: what waits looks again. */
#define SLOTS_LOOK_NS UINT64_C(50000000)

struct pace;
struct slots;
struct slot;

/* One request, and what comes after it; the head of a struct of its own. */
struct task {
    struct slots *slots;
    struct request request;
    void (*then)(struct task *task, int r);
    struct task *next; /* waits for a place in the queue */
};

/* What a slot does next; r: how its request ended. */
typedef void slot_fn(struct slot *slot, int r);

struct slot {
    struct task task;
    unsigned index; /* its lane of a journal */
    unsigned char *buf;
    slot_fn *then;
    int (*call)(struct slot *slot);
    struct slot *next; /* that is idle, or waits */
    /* copy/fetch.h */
    slot_fn *fetched;
    struct endpoint *ep;
    const struct plan_grains *wanted;
    struct pace *pace;
    size_t stride_start, stride_end; /* of the piece: what is fetched at a time */
    size_t n_part;
    /* For those who work with it. */
    void *work;
    struct journal_piece piece;
    struct plan_grains data[2]; /* of the source, of the destination */
    size_t at;                  /* how far it has come in the piece */
    size_t hole_bytes, zero_bytes;
    bool onto_zero; /* what is there reads zero */
    struct digest expected;
    struct transfer_error error; /* of what it did last */
    bool rewritten;              /* a repair touched the destination */
    int flush_error;             /* what its flush had to tell, of everything that was written */
};

struct slots {
    struct queue *queue;
    const atomic_bool *stop;
    unsigned n_slots, n_in_flight;
    struct task *waiting, **waiting_end; /* tasks */
    struct slot *slots, *idle;
    unsigned char *memory;
    uint64_t wake_ns; /* look again by then, whatever ends */
    bool stopped;
    int error; /* the one at the lowest place, if there were several */
    struct transfer_error where;
};

/* Returns 0 or -ENOMEM. */
int slots_init(struct slots *slots, struct queue *queue, const atomic_bool *stop,
               uint64_t size_bytes, size_t block_bytes);
/* Nothing is in flight. Also of zeroes. */
void slots_deinit(struct slots *slots);

/* Go round until nothing is in flight, and step, which begins what it can, brings nothing more. */
void slots_conduct(struct slots *slots, void (*step)(void *arg), void *arg);
/* For a step: let there be another one by then. */
void slots_wake_by(struct slots *slots, uint64_t at_ns);

/* Stopped or failed: nothing new is begun. */
bool slots_are_over(struct slots *slots);
/* It ends for this reason. */
void slots_fail(struct slots *slots, int r, const struct transfer_error *where);

/* Why they are over: returns it, and fills in what of ret is about it. */
int slots_tell(const struct slots *slots, struct engine_result *ret);

/* May anything be begun, at this speed (NULL: any)? Not while it is 0; there will be another step.
 */
bool slots_may_begin(struct slots *slots, const _Atomic uint64_t *bytes_per_s);

/* Begin; its `then` comes later. */
void task_begin(struct slots *slots, struct task *task);

/* An idle slot, for a piece, and back. NULL: there is none. */
struct slot *slots_take(struct slots *slots, void *work);
void slot_release(struct slot *slot);
/* It ends here, and everything with it: for slot->error, or for what is said here. */
void slot_fail(struct slot *slot, int r);
void slot_fail_for(struct slot *slot, int r, uint64_t offset, const char *what);

/*
 * Begin a request for n bytes of the buffer, and of the piece, from slot->at on. `then` is called
 * when it has ended, unless everything has ended for a reason that comes before this piece: then
 * the slot is idle.
 */
void slot_read(struct slot *slot, struct endpoint *ep, size_t n, slot_fn *then);
void slot_write(struct slot *slot, struct endpoint *ep, size_t n, slot_fn *then);
void slot_call(struct slot *slot, int (*call)(struct slot *slot), slot_fn *then);

/* Is it of no use any more? When something has failed, what lies before that place goes on: it may
 * hold the first bad place. */
bool slot_gives_up(const struct slot *slot);

/* Is the claim on ep what it was? If not, the slot has failed. */
bool slot_check_claim(struct slot *slot, struct endpoint *ep);

size_t slot_bytes(const struct slot *slot); /* of its piece */
