/*
 * Written commands and opens that the owner admits, on their way to it and back.
 */
#pragma once

#include "fs/mount/handle.h"

struct mount;

/* Both take over the request and answer it now or later; command_open the handle's reference too.
 */
void command_write(fuse_req_t req, struct handle *handle, const char *bytes, size_t n);
void command_open(fuse_req_t req, struct handle *handle, const struct fuse_file_info *fi);

/* Answer an open at once. The handle's reference is taken over. */
void reply_open(fuse_req_t req, struct mount *mount, struct handle *handle,
                const struct fuse_file_info *fi);
