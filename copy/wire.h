/*
 * What the daemon and its copy-worker say to each other: messages of one struct each over the
 * SOCK_SEQPACKET socket that is the worker's descriptor 3, and progress in memory they share.
 *
 * The worker's descriptors: 3 the socket; 4 the shared memory (struct wire_memory,
 * WIRE_MEMORY_BYTES); 5 the source, read-only; 6 the destination, read and write; each a file or a
 * parcel (io_wrap); from 7 on whatever must stay open as long as it lives (the destination pool's
 * lock). It opens nothing by name. Both ends are one build; a worker refuses another WIRE_VERSION.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "copy/base/err.h"

#define WIRE_VERSION 4

enum wire_fd {
    WIRE_FD_SOCKET = 3,
    WIRE_FD_MEMORY,
    WIRE_FD_SOURCE,
    WIRE_FD_DESTINATION,
    WIRE_FD_HELD
};

/* Written by the worker alone, read by the daemon at any time; lock-free. Only grows in a run. */
struct progress {
    /* Settled at the destination, of size_bytes; 0 at the start of a run, start_bytes included once
     * it began. */
    _Atomic uint64_t done_bytes;
    _Atomic uint64_t copied_bytes;   /* written */
    _Atomic uint64_t zero_bytes;     /* read, found zero, left out */
    _Atomic uint64_t hole_bytes;     /* never read: holes of the source */
    _Atomic uint64_t skipped_bytes;  /* settled by an earlier run */
    _Atomic uint64_t verified_bytes; /* read back and compared */
    /* One more at every stride of a block, and whenever nothing is asked of a disk: it stands still
     * while one does not answer. */
    _Atomic uint64_t beats;
    _Atomic uint64_t cloned_bytes; /* share the source's storage */
};

/* Written by the daemon alone, heeded by the worker at every request. */
struct steering {
    /* Of data read from the source; 0: nothing is begun; UINT64_MAX: no limit. */
    _Atomic uint64_t speed_bytes_per_s;
};

struct wire_memory {
    struct progress progress;
    _Alignas(64) struct steering steering;
};
#define WIRE_MEMORY_BYTES 4096

/* daemon -> worker */
enum wire_command {
    WIRE_COPY = 1,   /* copy, from start_bytes on, then flush; answered by WIRE_COPIED */
    WIRE_VERIFY = 2, /* compare, past the page cache; answered by WIRE_VERIFIED */
    WIRE_STOP = 3,   /* give up within a request; answered by WIRE_FAILED with ECANCELED */
};

struct wire_request {
    uint32_t version; /* WIRE_VERSION */
    uint32_t command;
    uint64_t size_bytes;
    uint64_t start_bytes;      /* WIRE_COPY: below it the destination is settled and flushed */
    uint64_t checkpoint_ns;    /* WIRE_COPY: not more often than this */
    uint32_t destination_zero; /* 1: where nothing is written it reads zero (made empty by us);
                                  0: zeroes are punched or written */
    uint32_t lease; /* look before each read, 1: at the read lease that the source is under; 0: at
                       its mtime, as no lease is to be had */
    uint32_t compare_source; /* WIRE_VERIFY: 1: with the source; 0: with the digests of WIRE_COPY,
                                which must have run in this process from start_bytes 0 */
    uint32_t verify_behind;  /* WIRE_COPY from 0: 1: read back what was flushed while the rest is
                                copied; WIRE_VERIFY with the digests has that much less to do */
    uint32_t no_repair;      /* WIRE_VERIFY with the source: 1: nothing is ever written, the first
                                difference is EILSEQ */
};

/* worker -> daemon */
enum wire_event {
    /* Everything below offset_bytes is settled, and was flushed by fdatasync. */
    WIRE_CHECKPOINT = 1,
    /* All is settled and flushed by fsync. */
    WIRE_COPIED = 2,
    /* digest is valid; what differed was written again, compared and flushed. */
    WIRE_VERIFIED = 3,
    /* error: ETXTBSY the lease was broken; EILSEQ it still differs after being written again;
     * ECANCELED stopped; ENOSPC, EDQUOT, EIO ... as the system said. */
    WIRE_FAILED = 4,
};

struct wire_reply {
    uint32_t version;
    uint32_t event;
    int32_t error;         /* WIRE_FAILED: positive errno */
    uint32_t flushed;      /* WIRE_FAILED: 1: offset_low_bytes is flushed as for WIRE_CHECKPOINT */
    uint64_t offset_bytes; /* WIRE_FAILED: where; UINT64_MAX: no single place */
    uint64_t offset_low_bytes; /* WIRE_FAILED: below it everything is settled */
    uint8_t digest[16];        /* WIRE_VERIFIED: of the volume (digests_total in copy/digest.h) */
    char text[ERR_TEXT_BYTES];
};
