/*
 * The directory we are mounted on: what it must be like, and finding our own mount there again.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "copy/base/err.h"

#define MOUNTPOINT_FSTYPE "fuse.ferryfs"

/*
 * Check that we can mount at path, and clear dead mounts of ours away first. *ret_path: absolute,
 * malloced. Returns 0; -ENOTDIR, -ELOOP, -ENOTEMPTY, -EBUSY, or the errno of a system call.
 */
int mountpoint_check(const char *path, char **ret_path, struct err *e);

/*
 * Mount an empty FUSE connection at path: by mount(2), or by fusermount3 where we may not. source
 * is what lists of mounts show, to fusermount3 "ferryfs": it would have to be escaped. Returns its
 * descriptor, or the negative errno of open(2) of /dev/fuse, of mount(2) or of running fusermount3.
 * Source: fusermount3 passes the descriptor through the socket that _FUSE_COMMFD names.
 */
int mountpoint_mount(const char *path, const char *source, bool allow_other, struct err *e);

/* The device of the file system mounted at path, without asking its daemon. 0 or a negative errno.
 */
int mountpoint_device(const char *path, dev_t *ret);

/* O_PATH descriptor of path, if the file system there is dev; -EXDEV: another is. Never asks a
 * daemon. */
int mountpoint_open(const char *path, dev_t dev);

/* Unmount, lazily, what is at path, if it is dev. 0, or a negative errno: it was not there. */
int mountpoint_unmount(const char *path, dev_t dev);
