/*
 * The mount: the only user of FUSE. It answers reads from views and hands written commands to the
 * owner; it decides nothing.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "copy/base/err.h"
#include "fs/migrate/service.h"

struct mount;

struct mount_config {
    const char *path;   /* the mount point */
    const char *source; /* what is mounted there, for those who list mounts */
    gid_t group;        /* of the controls (mode 0664) */
    bool allow_other;   /* everybody may look: as root */
    unsigned n_threads; /* that serve requests; 0: a sensible number */
};

/*
 * Check the mount point and mount there: a directory that is no symlink, is empty and is no mount
 * point. A dead mount of ours (ENOTCONN) is cleared away first. -ENOTDIR, -ELOOP, -ENOTEMPTY,
 * -EBUSY (mounted already), or the errno of mount(2) or fusermount3.
 * The service outlives the mount and has published a view. No request is served before mount_serve.
 */
int mount_open(const struct mount_config *config, struct service *service, struct mount **ret,
               struct err *e);

/* Start the threads that serve. 0 or a negative errno. */
int mount_serve(struct mount *mount);

/* Readable when the mount is over (umount from outside, or the connection was aborted). */
int mount_ended_fd(struct mount *mount);

/*
 * Whether all that serve do: false where a thread is at the request that it was at the last time.
 * Always from the same thread.
 */
bool mount_is_alive(struct mount *mount);

/* Unmount, lazily where it is busy, and let everybody go: for a process that ends at once. Waits
 * for nobody. NULL is allowed. Only _exit(2) may follow. */
void mount_abandon(struct mount *mount);

/*
 * Unmount (lazily where it is busy), end every parked read with EINTR, join the threads. Requests
 * that the owner still holds must have been answered before. NULL is allowed. 0, or -ETIMEDOUT: the
 * storage of a volume's data hangs; everybody is let go, and only _exit(2) is left, and it is safe.
 */
int mount_close(struct mount *mount);

/* service_change_fn; arg: the mount. Wakes polls and blocked reads, touches files for inotify. */
void mount_changed(void *arg, enum about about, uint64_t number, uint32_t events);
