/*
 * The `data` of volumes: requests that wait for storage, which no thread does that the others need
 * (serve_leave).
 */
#pragma once

#include "fs/mount/handle.h"

/* Of an open file that is about to be asked for: what will tell of its close. 0 or -ENOMEM. */
int data_prepare(struct handle *handle);
/* The owner has opened it. live: goes into the handle's hands. */
void data_begin(struct mount *mount, struct handle *handle, struct live *live);
/* It is closed: to be called before the handle is removed. */
void data_end(struct mount *mount, struct handle *handle);

/* Requests about a handle that has `live`; struct fuse_lowlevel_ops says what they are. */
void data_read(fuse_req_t req, struct handle *handle, size_t n, off_t offset);
void data_write(fuse_req_t req, struct handle *handle, const char *bytes, size_t n, off_t offset);
void data_fsync(fuse_req_t req, struct handle *handle, bool data_only);
void data_fallocate(fuse_req_t req, struct handle *handle, int mode, off_t offset, off_t n);
void data_lseek(fuse_req_t req, struct handle *handle, off_t offset, int whence);
