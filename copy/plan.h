/*
 * Inside the engine: which blocks of an endpoint have data, and in which grains, found out on
 * another thread, ahead of the reads, and never for the whole of it first.
 */
#pragma once

#include "copy/engine.h"
#include "copy/extent.h"

#define PLAN_GRAINS (ENGINE_BLOCK_MAX_BYTES / ENDPOINT_GRAIN_BYTES)
#define PLAN_ITEMS  16

/* Of a block; a bit that is set: data. */
struct plan_grains {
    uint64_t bits[PLAN_GRAINS / 64];
};

enum plan_kind {
    PLAN_HOLE,  /* blocks without data */
    PLAN_DATA,  /* blocks full of data */
    PLAN_MIXED, /* one block with both */
};

struct plan_item {
    uint64_t start_bytes, end_bytes; /* whole blocks; the last one may be cut short */
    enum plan_kind kind;
    struct plan_grains data; /* PLAN_MIXED */
};

struct plan;
struct slots;

/* block_bytes: ENGINE_BLOCK_MAX_BYTES at most. 0 or -ENOMEM. */
int plan_open(struct slots *slots, struct endpoint *ep, uint64_t size_bytes, uint64_t block_bytes,
              const atomic_bool *stop, struct plan **ret);
/* Nothing is in flight. NULL is allowed. */
void plan_close(struct plan *plan);

/* What lies above is not asked about yet: 0 at first. Only goes up. */
void plan_set_limit(struct plan *plan, uint64_t limit_bytes);

/*
 * What is at offset, which is the start of a block, is below the limit, and not below an earlier
 * one, unless there was a plan_restart.
 * Returns 1; 0: not known yet, a task for it is under way; or the errno of the endpoint.
 */
int plan_at(struct plan *plan, uint64_t offset, struct plan_item *ret);

/* Forget everything. Nothing is in flight. */
void plan_restart(struct plan *plan);

/* Up to where from grain `at` on they are of one kind, and which; n: of the block. Below n. */
size_t plan_run(const struct plan_grains *grains, size_t at, size_t n, bool *ret_data);
/* A block's grains of an item. */
void plan_grains_of(const struct plan_item *item, struct plan_grains *ret);
/* The end of the longest run of grains from `at` on that has no more than `most` bytes of data,
 * whole grains; n, of the block, is the end of all. And how many it has. */
size_t plan_stride(const struct plan_grains *grains, size_t at, size_t n, size_t most,
                   size_t *ret_data_bytes);
