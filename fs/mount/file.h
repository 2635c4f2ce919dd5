/*
 * Requests about files; struct fuse_lowlevel_ops says what they are.
 */
#pragma once

#include "fs/mount/node.h"

void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
               struct fuse_file_info *fi);
void file_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t n, off_t offset,
                struct fuse_file_info *fi);
void file_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi);
void file_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t n,
                    struct fuse_file_info *fi);
void file_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                struct fuse_file_info *fi);
void file_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
               struct fuse_pollhandle *poll);
void file_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void file_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

struct mount;

/* The owner: wake those who poll what the change is about. */
void file_changed(struct mount *mount, enum about about, uint64_t number, uint32_t events);
