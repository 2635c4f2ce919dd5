/*
 * What an NBD server has said of its export. Plain data.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct nbd_handle;

struct nbd_facts {
    uint64_t size_bytes;
    uint64_t unit_bytes; /* a command begins and ends at a multiple, or at the size */
    uint64_t max_bytes;  /* of one read or write; a multiple of unit_bytes */
    bool read_only;
    bool can_flush;
    bool can_write_through; /* FUA: a write that is answered is on stable storage */
    bool can_zero;
    bool can_tell_extents; /* base:allocation */
    bool can_share;        /* what one connection flushes, or has written, is so for all of them */
};

/* Of a handle whose handshake is over. Returns 0 or -EPROTO: it says what cannot be. */
int facts_ask(struct nbd_handle *handle, struct nbd_facts *ret);

/* Can they be of one export? */
bool facts_alike(const struct nbd_facts *a, const struct nbd_facts *b);
