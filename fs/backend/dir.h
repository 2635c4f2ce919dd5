/*
 * The parts of the directory driver: every regular file of a directory is a volume.
 *
 * The directory may be hostile: names are looked at without following or opening, then opened by
 * what was looked at, and what is destroyed is proved ours.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <sys/types.h>

#include "fs/backend/backend.h"
#include "fs/backend/name_set.h"

struct dir {
    struct backend base;
    char path[PATH_MAX];
    int root;   /* the directory */
    int marker; /* -1: there was none */
    dev_t device;
    bool local; /* nobody else has this file system: leases are known to tell who has a file open */
    struct io_identity root_is, marker_is;
    uint64_t max_file_bytes;
    int watch, inotify, pause; /* -1 before the watch began; see dir_watch.c */
    int opens;                 /* tells who is opened; -1: nothing does; see dir_held.c */
    bool looked;               /* every file was looked at once, so that `held` is complete */
    struct name_set held;      /* those that somebody held when they were last looked at */
    uint64_t held_ns;          /* when all of them were last looked at */
    struct name_set soon;      /* to be looked at in the next turn */
};

#define DIR_SECTOR_BYTES UINT64_C(512) /* the unit of st_blocks */

extern const struct backend_ops dir_backend;

/* dir_watch.c */
int dir_watch_fd(struct backend *backend);
int dir_changed(struct backend *backend, backend_entry_fn *fn, void *arg);
void dir_unwatch(struct dir *dir);

/* dir_held.c: what others hold. */

/* Does anybody hold the file: look, or say what was seen last. */
bool dir_see_held(struct dir *dir, const char *name, bool look);
/* Is a range locked against readers? *ret_pid: by whom; not above 0: by an open file. */
bool dir_is_locked(int fd, pid_t *ret_pid);
/* Begin to watch who is opened. Where that cannot be, `opens` stays -1. */
void dir_opens_begin(struct dir *dir);
void dir_opens_end(struct dir *dir);
/* Add what others have opened. Returns whether they have opened anything. */
bool dir_opens_drain(struct dir *dir, struct name_set *names);
/* Add what is held, if it is time to look at that again, and the time left until then; 0: nothing
 * is held. */
void dir_held_again(struct dir *dir, struct name_set *names);
uint64_t dir_held_left_ns(const struct dir *dir);

/* dir_scan.c */
int dir_look_again(struct backend *backend, const char *name, backend_entry_fn *fn, void *arg);
int dir_scan(struct backend *backend, backend_entry_fn *fn, void *arg);
/* Look at one name, and with `held` also at who holds it. Returns 0, or -ENODATA for a dot-file,
 * which is not named. */
int dir_look(struct dir *dir, const char *name, bool held, struct pool_entry *ret);

/* One operation of pool.h. */
typedef int dir_operation(struct dir *dir, const struct pool_request *request, int fd,
                          struct pool_reply *reply, int *ret_fd, struct err *e);
dir_operation dir_claim, dir_open, dir_examine; /* dir_claim.c */
dir_operation dir_serve;                        /* dir_serve.c */
dir_operation dir_admit, dir_reserve;           /* dir_reserve.c */
dir_operation dir_publish, dir_adopt;           /* dir_publish.c, dir_adopt.c */
dir_operation dir_remove;                       /* dir_remove.c */
dir_operation dir_retain;                       /* dir_retain.c */
/* dir_retain.c. POOL_EXAMINE with an mtime. */
int dir_examine_retained(const struct dir *dir, const struct pool_request *request,
                         struct pool_reply *reply, struct err *e);

/* dir_remove.c. Before the file at the volume's name is touched, which has the expected identity
 * and is st: it is proved to be the copy, and has that name alone. */
int dir_may_hide(const struct dir *dir, const struct pool_request *request, const struct stat *st,
                 const char *hidden, struct err *e);
/* From the volume's name, if the copy is there, to its hidden name. */
int dir_hide(const struct dir *dir, const struct pool_request *request, const char *hidden,
             struct err *e);

/* dir_xattr.c. Give `to` the xattrs of `from`, but the ACL and POOL_XATTR, and take those of users
 * from it that `from` has not. 0, or what was refused in words in e. */
int dir_copy_xattrs(int from, int to, struct err *e);

/* dir_copy.c: which file is which copy. */

/* The tag in POOL_XATTR. */
#define DIR_TAG_BYTES (2 * UUID_STR_LEN + 21)
void dir_tag(const struct pool_request *request, char out[DIR_TAG_BYTES]);

enum dir_proof {
    DIR_PROOF_NONE,
    DIR_PROOF_EMPTY, /* no tag yet, but 0600, ours, and no byte in it: killed as it was made */
    DIR_PROOF_TAG,   /* it bears the cid */
};

/* What proves that the open file is the copy `cid`? 0 or a negative errno. */
int dir_prove(int fd, const uuid_t cid, enum dir_proof *ret);

/* Is the regular file `name` of this directory that very one? 1, 0, or the negative errno of a disk
 * that does not tell, in words in e. ret_st may be NULL. */
int dir_is_at(const struct dir *dir, const char *name, const struct io_identity *expect,
              struct stat *ret_st, struct err *e);

/*
 * Open the regular file `name`, with one link. Errors in words in e: -ENOENT, -EMEDIUMTYPE
 * (whatever is no regular file of this directory), -EMLINK, or as open(2).
 */
int dir_open_file(const struct dir *dir, const char *name, int flags, int *ret_fd, struct err *e);

/* The same, and it must be `expect`, else -ESTALE. */
int dir_open_expected(const struct dir *dir, const char *name, int flags,
                      const struct io_identity *expect, int *ret_fd, struct err *e);

/* The same by name, opening nothing but a regular file. Nothing there that could be it: NONE. In
 * words in e. */
int dir_prove_at(const struct dir *dir, const char *name, const uuid_t cid, enum dir_proof *ret,
                 struct err *e);

/* Rename a hidden name without replacing anything: -EEXIST. Where the file system has no renameat2
 * it has both names for a moment. 0 or a negative errno. */
int dir_rename(const struct dir *dir, const char *from, const char *to);

/* Fill in sizes and time. */
void dir_describe_stat(const struct stat *st, struct pool_reply *reply);

/* Fill in identity, sizes and time. */
int dir_describe(int fd, struct pool_reply *reply, struct err *e);

uint64_t dir_mtime_ns(const struct stat *st);

/* The errno of an xattr that is not there, or cannot be there. */
static inline bool dir_is_absent(int error)
{
    return error == ENODATA || error == EOPNOTSUPP;
}

/* fsync, in words in e. */
int dir_sync(int fd, const char *what, struct err *e);
