/*
 * A regular file as an endpoint.
 *
 * Whole grains are read and written past the page cache where the file system allows it, through a
 * second descriptor; what is not aligned goes through the given one.
 */
#pragma once

#include "copy/endpoint/endpoint.h"

extern const struct endpoint_ops file_endpoint;

/*
 * Wrap a descriptor, which stays the caller's and must outlive the endpoint; its file position
 * moves. Needs /proc for direct I/O, now and not later: a sandbox may close after it.
 *
 * Returns 0; -EMEDIUMTYPE no regular file; -ENOMEM; or the errno of fstat(2).
 */
int file_endpoint_wrap(int fd, enum endpoint_mode mode, struct endpoint **ret);

/* What check_claim looks at. */
enum file_claim {
    FILE_UNCLAIMED,
    FILE_LEASED, /* the read lease that the caller holds through this open file description */
    FILE_TIMED,  /* no lease is to be had: mtime, as it was when this was set for the first time */
};

/* Before any thread uses it. Returns 0 or the errno of fstat(2). */
int file_endpoint_set_claim(struct endpoint *ep, enum file_claim claim);
