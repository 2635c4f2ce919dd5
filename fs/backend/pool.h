/*
 * What the daemon and the agent of a pool say to each other over a SOCK_SEQPACKET socket.
 *
 * An agent is a process of its own, one a host (`ferryfs --pool-agent`, the socket is its
 * descriptor 3): it holds the pool's marker under flock, watches and scans the pool, and forks a
 * short-lived child for every operation, so that a disk that hangs stops that child and nothing
 * else. Every child inherits the locked marker: while one is stuck, nobody else can take the pool
 * (a fence).
 *
 * All messages start with `kind`. Names in entries are raw bytes of the pool but never hold a NUL.
 */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <uuid/uuid.h>

#include "copy/base/err.h"
#include "copy/base/io.h"
#include "copy/base/text.h"

#define POOL_FD_SOCKET    3
#define POOL_MARKER       ".ferryfs-pool"
#define POOL_HIDDEN       ".ferryfs-" /* + cid + ".copy": a hidden copy */
#define POOL_HIDDEN_BYTES (sizeof(POOL_HIDDEN) + 36 + sizeof(".copy"))
#define POOL_XATTR        "user.ferryfs.copy" /* "VOLUME-UUID CID EPOCH" */

/* daemon -> agent */
enum pool_op {
    POOL_ATTACH = 1, /* first: struct pool_attach, fd = the names in use (POOL_SERVE), each with a
                        NUL behind it; none: none is */
    POOL_MARK,   /* there was no marker: make one with `volume` as the pool's uuid; then as ATTACH
                    goes on */
    POOL_RESCAN, /* look at everything again, and at the space */
    POOL_UNUSE,  /* name: what SERVE began is over */

    /* The operations: struct pool_request, answered once by POOL_REPLY with the same id.
     * All are idempotent: a second run, after part or all of a first, ends the same way.
     * An answer with an id that is not awaited is to be ignored: a child that is killed right after
     * its answer is answered for again. Before POOL_UP: EAGAIN. A malformed request: EINVAL.
     * What is replied is a parcel (io_wrap); what is sent may be one. */

    POOL_CLAIM, /* name [expect]: open the volume for reading, hold it still. Replies the claim's
                   descriptor (the lease lives as long as it does), identity, size, allocated,
                   mtime, weak. EBUSY: somebody writes it (text: who, where the kernel tells);
                   ESTALE: not `expect`; ENOENT; EMEDIUMTYPE or EMLINK; EACCES: another's file and
                   we are not root, so its copy could not get its owner */
    POOL_SERVE, /* name expect: open it for reading and writing, with a write lease: nobody else has
                   it open, and whoever opens it waits. From now on, whatever the answer, until
                   UNUSE, no look asks who holds it, which would break that lease. Replies
                   descriptor and identity, sizes. EBUSY and who; EOPNOTSUPP: no lease can be had
                   there, so nothing would keep others away; EPERM: setuid or setgid; otherwise as
                   CLAIM */
    POOL_OPEN,  /* as CLAIM, without a lease and whoever has it open; also finds it as the hidden
                   `cid`, and says so in `found` */
    POOL_ADMIT, /* name size, fd = the source: could a volume of that name, size, owner and mode be
                   made here? EEXIST something is there; EROFS; EFBIG; EDQUOT; EACCES it cannot have
                   its owner ... It tries with O_TMPFILE where there is that */
    POOL_RESERVE, /* name cid volume epoch size [expect]: the hidden file, made if it is not there
                     (O_EXCL, 0600, xattr, size, fsync of file and directory), or at `name` if it
                     was published; replies its descriptor (O_RDWR) and identity. ESTALE: what is
                     there is not ours, or `expect` is not there any more */
    POOL_EXAMINE, /* name cid [expect] [mtime]: `found` tells where that copy is; its size. An
                     absent expect means that the copy is proved by cid alone. With mtime: a copy
                     that is retained; ESTALE where it is not hidden, of that size and time and, if
                     the pool keeps xattrs, tagged */
    POOL_PUBLISH, /* name cid volume expect, fd = the source: xattrs but the ACL copied, fsync,
                     hidden -> name without replacing, fsync of the directory. Done already: 0.
                     EEXIST: another's file is at name; ESTALE: no such copy */
    POOL_ADOPT,  /* name expect, fd = the source: owner, xattrs, ACL, mode, mtime as the source's by
                    now, POOL_XATTR removed, fsync. Replies identity, sizes, mtime */
    POOL_REMOVE, /* name cid [expect] [mtime]: destroy that copy, wherever it is: renamed to its
                    hidden name first if it is at name, unlinked, directory fsynced. Not there: 0.
                    Another's file at name: left alone, 0. With mtime: EBUSY while somebody writes
                    it or it has another hard link, ESTALE where it was written since; both leave it
                    hidden. Without expect only the hidden name is looked at, and only what the
                    xattr, or being empty and 0600 and ours, proves */
    POOL_RETAIN, /* name cid volume epoch expect [mtime]: keep that copy under its hidden name: the
                    tag, the name, owner and mode 0600, fsync of file and directory. The mtime
                    proves it where there are neither birth times nor xattrs. Replies identity,
                    sizes, mtime. ESTALE: it is at neither name, or hidden without the tag */
};

struct pool_attach {
    uint32_t kind;
    char driver[16];
    uuid_t expect; /* null: any; another pool than this is POOL_LOST with ESTALE, after HELLO */
    char path[PATH_MAX];
};

struct pool_request {
    uint32_t kind;
    uint32_t id;
    char name[TEXT_NAME_BYTES];
    uint8_t has_expect, has_mtime;
    uuid_t cid, volume;
    struct io_identity expect;
    uint64_t epoch, size_bytes, mtime_ns;
};

/* agent -> daemon */
enum pool_event {
    POOL_HELLO =
        1,   /* struct pool_hello, after ATTACH (again after MARK), before it waits for the lock */
    POOL_UP, /* the pool is ours; comes with a parcel of the locked marker, which the daemon hands
                to its workers (they are part of the fence); entries and POOL_SCANNED follow */
    POOL_ENTRIES, /* struct pool_entries: there, new or changed */
    POOL_SCANNED, /* struct pool_scanned: what was not named since the last one is gone */
    POOL_SPACE, /* struct pool_space, when it changed and every few seconds: also a sign of life. A
                   POOL_REPLY brings it too */
    POOL_LOST,  /* struct pool_lost: the pool cannot be had; the agent ends */
    POOL_REPLY, /* struct pool_reply */
};

enum pool_marker {
    POOL_MARKER_FREE, /* its uuid; the lock is ours with POOL_UP */
    POOL_MARKER_HELD, /* its uuid; somebody else has it, the agent waits until it is let go */
    POOL_MARKER_NONE, /* no marker: the daemon may say POOL_MARK */
};

struct pool_hello {
    uint32_t kind;
    uint32_t marker; /* enum pool_marker */
    uuid_t uuid;
    char text[ERR_TEXT_BYTES]; /* HELD: by whom */
};

enum pool_entry_kind {
    POOL_ENTRY_VOLUME,
    POOL_ENTRY_UNLISTED, /* a symlink, a directory, a device, a name that no volume may have ... */
    POOL_ENTRY_GONE,     /* it was there and is not now */
};

struct pool_entry {
    uint32_t kind;
    char name[NAME_MAX + 1]; /* raw bytes */
    struct io_identity identity;
    uint64_t size_bytes, allocated_bytes;
    uint32_t mode, uid, gid; /* mode: what others than its owner may do through the directory too */
    uint32_t mtime_s;        /* unix time, or 0 */
    uint32_t held; /* 1: somebody else has it open for writing, or locked; it cannot be claimed */
    char why[24];  /* UNLISTED: "symlink" "directory" "hard links" "name" ... */
};

/* Dot-files are never named at all. */
struct pool_entries {
    uint32_t kind;
    uint32_t n;
    struct pool_entry entries[32]; /* the message ends after the n-th */
};

struct pool_scanned {
    uint32_t kind;
    uint32_t
        complete; /* 0: changes as they happened; 1: a whole scan: what it did not name is gone */
};

/*
 * Operations run side by side, and what they saw may come out of order: a look that began later
 * sees all that was done before it, so the one with the greatest at_ns counts.
 */
struct pool_space {
    uint32_t kind;
    uint32_t read_only;
    uint64_t at_ns;                      /* io_now_ns() as the look began; 0: none was had */
    uint64_t capacity_bytes, free_bytes; /* free: to an ordinary user, statvfs f_bavail */
    uint64_t max_file_bytes;             /* no file there can be larger; 0: not known */
};

struct pool_lost {
    uint32_t kind;
    int32_t error;
    char text[ERR_TEXT_BYTES];
};

enum pool_found {
    POOL_FOUND_NONE,      /* neither name is there */
    POOL_FOUND_HIDDEN,    /* under its hidden name */
    POOL_FOUND_PUBLISHED, /* under the volume's name */
    POOL_FOUND_OTHER,     /* not there, and another file has the volume's name */
};

struct pool_reply {
    uint32_t kind;
    uint32_t id;
    int32_t error;   /* positive errno; 0: done */
    uint32_t found;  /* EXAMINE: enum pool_found */
    uint32_t weak;   /* CLAIM: 1: no lease there */
    uint32_t leased; /* 1: what is in the parcel has a lease, which its last descriptor ends: it is
                        to be taken out, for the sender may have the parcel for a while yet */
    uint32_t empty;  /* RESERVE: 1: no data was ever written to it */
    struct io_identity identity;
    uint64_t size_bytes, allocated_bytes, mtime_ns;
    struct pool_space space;   /* after the operation, whether or not it failed */
    char text[ERR_TEXT_BYTES]; /* of an error */
};
