/*
 * Inode numbers and what they mean. They are computed, there is no table: a daemon that takes over
 * a live mount understands those its predecessor gave out.
 *
 * number of the volume or host << 16 | directory << 8 | place of the row + 1; 0: the directory
 * itself. The root is FUSE_ROOT_ID.
 */
#pragma once

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>

#include "fs/attr/attr.h"

struct mount;

#define NODE_NAME_BYTES 255 /* of a name, at most */

struct node {
    const struct attr_dir *dir;
    const struct attr *attr; /* NULL: the directory itself */
    uint64_t number;         /* 0: about the service */
};

fuse_ino_t node_ino(const struct node *node);

/* 0, or -ESTALE for a number that never was one. */
int node_decode(fuse_ino_t ino, struct node *ret);

/* What a node is about in this view. 0, or -ESTALE: it is gone. */
int node_find(const struct view *view, const struct node *node, struct attr_of *ret);

/* True if a change may have changed what is shown of the node. */
bool node_wakes(const struct node *node, enum about about, uint64_t number, uint32_t events);

/* 0, or -ENOMEM. */
int node_stat(const struct mount *mount, const struct attr_of *of, const struct node *node,
              struct stat *ret);

/* Requests; struct fuse_lowlevel_ops says what they are. */
void node_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void node_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void node_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *to, int what,
                  struct fuse_file_info *fi);

/* The owner: tell the kernel of what it remembers and has changed, or is gone. */
void node_changed(struct mount *mount, enum about about, uint64_t number, uint32_t events);

/* How long the kernel may remember, in seconds. */
double node_entry_timeout(void);
double node_attr_timeout(const struct node *node);
