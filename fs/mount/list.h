/*
 * Listing directories. A cursor is made of what it names, so that an entry that comes or goes moves
 * no other: files and fixed directories first, then volumes or hosts by their number.
 */
#pragma once

#include "fs/mount/node.h"

void list_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t cursor,
                  struct fuse_file_info *fi);
void list_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t cursor,
                      struct fuse_file_info *fi);
void list_statfs(fuse_req_t req, fuse_ino_t ino);
