/*
 * Inside the engine: reading what a slot's piece has at an endpoint; at a pace, if there is a
 * limit.
 */
#pragma once

#include "copy/slots.h"
#include "copy/throttle.h"

/*
 * Reads that share a limit. A piece is read in strides, so small that they are smooth at the limit
 * as it is by then: 16 a second at least, a grain at least, all that is left at most.
 * Plain data; all 0 at first but for the limit.
 */
struct pace {
    const _Atomic uint64_t *bytes_per_s; /* of data; 0: nothing is begun; NULL: no limit */
    struct throttle throttle;
    struct slot *waiting; /* for their next stride */
};

/* Read the whole piece: the grains that are wanted, and zeroes for the rest of them. then: r is 0
 * or what slot->error is about. */
void fetch_all(struct slot *slot, struct endpoint *ep, const struct plan_grains *wanted,
               slot_fn *then);

/* Read the next stride of it, from slot->at on, as soon as the pace lets it, if the claim on ep is
 * what it was: up to slot->stride_end, which is the end of the piece or not. */
void fetch_next(struct slot *slot, struct pace *pace, struct endpoint *ep,
                const struct plan_grains *wanted, slot_fn *then);

/* In each step: let those that wait go on; when they are over without a limit, as far as they are
 * of use. false: one waits still, and there will be another step; until then nothing new shall be
 * begun at this pace. */
bool pace_go_on(struct pace *pace);
