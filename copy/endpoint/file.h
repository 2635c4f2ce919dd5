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
 * leased: the caller holds a read lease through this open file description (check_claim looks at
 * it). Returns 0; -EMEDIUMTYPE no regular file; -ENOMEM; or the errno of fstat(2).
 */
int file_endpoint_wrap(int fd, enum endpoint_mode mode, bool leased, struct endpoint **ret);
/* The same decided later, before any thread uses it. */
void file_endpoint_set_leased(struct endpoint *ep, bool leased);
