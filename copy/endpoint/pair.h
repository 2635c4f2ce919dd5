/*
 * Two descriptors of one file or device, and the operations of an endpoint on them: whole grains
 * pass the page cache by where that is possible, through the second one; what is not aligned goes
 * through the first, and so do the ranges of a source that are in the page cache already. A kind's
 * struct begins with a pair, and its table names these functions.
 */
#pragma once

#include <stdatomic.h>

#include "copy/endpoint/cached.h"
#include "copy/endpoint/endpoint.h"

struct pair {
    struct endpoint ep;
    int fd;
    int direct_fd; /* -1: it has no direct I/O */
    bool owns_fd;
    atomic_bool direct_off; /* refused in the middle: from now on everything is buffered */
    struct cached cached;   /* of a source that can be read both ways */
};

/* fd: the caller's; pair_deinit closes it once owns_fd is set. Needs /proc for the second one. */
void pair_init(struct pair *pair, const struct endpoint_ops *ops, enum endpoint_mode mode, int fd);
/* What a close had to tell. */
int pair_deinit(struct pair *pair);

/* As endpoint_ops has them. */
int pair_pread(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n);
int pair_pwrite(struct endpoint *ep, const void *buf, size_t n, uint64_t offset, size_t *ret_n);
int pair_flush(struct endpoint *ep);
int pair_sync(struct endpoint *ep);
int pair_drop(struct endpoint *ep);
bool pair_is_direct(const struct endpoint *ep);
int pair_fd(struct endpoint *ep, bool read, const void *buf, size_t n, uint64_t offset);
