/*
 * Open files. fi->fh is a place in a table and the generation of what is there, and is checked.
 */
#pragma once

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/migrate/request.h"
#include "fs/mount/node.h"

#define HANDLES_MAX          65536 /* open files in all */
#define HANDLES_USER_MAX     16384 /* of one user that is not root */
#define HANDLES_BLOCKING_MAX 256   /* of them, of files that block */

struct mount;

/* What a reader reads, whole and never changed. */
struct snapshot {
    atomic_uint refs;
    struct text text;
};

struct handle {
    atomic_uint refs;
    uint64_t fh;
    struct node node;
    struct caller caller; /* as it was opened */
    bool own;             /* opened by the thread that touches files: what it writes is nothing */
    struct handle *next_due;   /* in the owner's hands */
    struct feed_reader reader; /* of a file that grows */
    struct stat stat;   /* of `data`, as it was opened: what is told once the volume has gone */
    atomic_uint errors; /* of `data`: those that its user was told of (live_sync) */
    struct request *closing; /* of `data`: what tells the owner that it was closed */

    /* Guarded by the mount's lock: */
    struct snapshot *snapshot;    /* NULL: nothing was read yet */
    struct fuse_pollhandle *poll; /* who sleeps in poll; NULL: nobody */
    bool due;                     /* the event of its row came since the last read at 0 */
    struct live *live;            /* of `data`; set once, when the open is answered */
};

struct handle_user {
    uid_t uid;
    uint32_t n, n_blocking;
};

struct handle_slot {
    struct handle *handle; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* place + 1; 0: none */
};

struct handles {
    struct handle_slot *slots;
    uint32_t n_slots, first_free; /* place + 1 */
    struct handle_user *users;    /* who has files open */
    uint32_t n_users;
};

/* 0; -ENFILE, -EMFILE (of this user) or -ENOMEM. One reference is the table's, until handle_remove,
 * one the caller's. */
int handle_open(struct mount *mount, const struct node *node, const struct caller *caller, bool own,
                struct handle **ret);
void handle_remove(struct mount *mount, struct handle *handle);
/* With a reference; NULL: no such handle, or not of that inode. */
struct handle *handle_get(struct mount *mount, uint64_t fh, fuse_ino_t ino);
/* One of that inode that has `live`, with a reference; NULL: none has. */
struct handle *handle_get_live(struct mount *mount, fuse_ino_t ino);
struct handle *handle_ref(struct handle *handle);
void handle_put(struct handle *handle); /* NULL is allowed */
static inline void owned_handle(struct handle **handle)
{
    handle_put(*handle);
}
/* All that are left. No other thread is there any more. */
void handles_deinit(struct mount *mount);

/*
 * What a read at this offset reads: rendered anew at 0 and where nothing was read yet. With a
 * reference. 0, -ENODEV the thing is gone, -ENOMEM.
 */
int handle_read(struct mount *mount, struct handle *handle, uint64_t offset, struct snapshot **ret);
/* Whether something was read already, and there is a rest. */
bool handle_was_read(struct mount *mount, struct handle *handle);
void snapshot_put(struct snapshot *snapshot); /* NULL is allowed */
static inline void owned_snapshot(struct snapshot **snapshot)
{
    snapshot_put(*snapshot);
}
