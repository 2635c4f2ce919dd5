/*
 * What a server has told of where its zeroes are. Plain data.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NBD_EXTENTS_N 1024

/* Runs of zeroes and of data by turns, from start_bytes on. */
struct nbd_extents {
    uint64_t start_bytes;
    size_t n;
    struct {
        uint64_t end_bytes;
        bool zero;
    } run[NBD_EXTENTS_N];
};

/* Add the next n_bytes. false: there is no room. */
bool extents_add(struct nbd_extents *extents, uint64_t n_bytes, bool zero);

/* The run that holds offset. false: it is not in there. */
bool extents_find(const struct nbd_extents *extents, uint64_t offset, uint64_t *ret_end,
                  bool *ret_zero);
