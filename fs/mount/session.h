/*
 * The connection to the kernel: mounting, the INIT handshake, requests as they come.
 */
#pragma once

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>

#include "copy/base/err.h"
#include "fs/mount/mount.h"

/* Of a volume's data at once, and above one command by far: a longer one arrives in pieces, and the
 * first of them is refused. */
#define SESSION_IO_BYTES      ((size_t)1024 * 1024)
#define SESSION_REQUEST_BYTES (SESSION_IO_BYTES + 4096)

/* Mount at mount->path as the configuration has it, and answer INIT. 0 or a negative errno; then
 * nothing is mounted. */
int session_open(struct mount *mount, const struct mount_config *config, struct err *e);
/* Wait for a request; buf has room for SESSION_REQUEST_BYTES. 1, or -ENODEV: the mount is over;
 * another errno. A point of cancellation (pthreads(7)). */
int session_receive(struct mount *mount, struct fuse_buf *buf);
/* Let go of the connection: whoever still waits for an answer gets ECONNABORTED. */
void session_close(struct mount *mount);
/* The same of a mount that a thread still uses. Only _exit(2) may follow. */
void session_abort(struct mount *mount);
