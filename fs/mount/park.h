/*
 * Reads that wait until their file is ready: answered by the thread that brings the news, ended by
 * a signal to the reader, by the close of its descriptor, or with the mount.
 */
#pragma once

#include "fs/mount/handle.h"

struct mount;

/* Whether a blocking file can be read now: 1, 0, or -ENODEV. */
int park_ready(struct mount *mount, const struct node *node);

/* Answer the read when the file is ready. The request is taken over; the handle is not. */
void park_read(struct mount *mount, fuse_req_t req, struct handle *handle, size_t size,
               uint64_t offset, uint64_t lock_owner);

/* The owner: look again at those that the change may have made ready. */
void park_stir(struct mount *mount, enum about about, uint64_t number, uint32_t events);

/* End with EINTR what this owner of a descriptor reads through the handle. */
void park_end_owner(struct mount *mount, const struct handle *handle, uint64_t lock_owner);
/* End all, and every later one at once. */
void park_end_all(struct mount *mount);

/* Answer a read from a snapshot. */
void reply_read(fuse_req_t req, struct mount *mount, struct handle *handle, size_t size,
                uint64_t offset);
