/*
 * What would change the tree: refused with EPERM, each by itself. ENOSYS would be remembered by the
 * kernel, which would not ask again, and would tell users that the system lacks the call.
 */
#pragma once

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>

void tree_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                 struct fuse_file_info *fi);
void tree_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev);
void tree_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void tree_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void tree_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void tree_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void tree_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void tree_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                 const char *new_name, unsigned flags);
