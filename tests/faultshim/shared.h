/*
 * What the fault shim in every process of a program's tree and its control (faultctl) share: one
 * mapped file.
 */
#pragma once

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

/* In the order of call_names. A call stands for its kin too: pread for read at an offset of any
 * kind. */
enum call {
    CALL_OPENAT, /* open, openat, openat2 */
    CALL_PREAD,  /* pread, preadv, preadv2 */
    CALL_READ,
    CALL_PWRITE, /* pwrite, pwritev, pwritev2 */
    CALL_WRITE,
    CALL_FSYNC,
    CALL_FDATASYNC,
    CALL_FTRUNCATE,
    CALL_FALLOCATE, /* fallocate, posix_fallocate */
    CALL_RENAMEAT2, /* rename, renameat, renameat2 */
    CALL_LINKAT,    /* link, linkat */
    CALL_UNLINKAT,  /* unlink, unlinkat */
    CALL_FSETXATTR,
    CALL_MALLOC, /* malloc, calloc, realloc, posix_memalign, aligned_alloc; not under ASan */
    CALL_N
};

#define CALL_NAMES                                                                                 \
    {                                                                                              \
        "openat", "pread", "read", "pwrite", "write", "fsync", "fdatasync", "ftruncate",           \
            "fallocate", "renameat2", "linkat", "unlinkat", "fsetxattr", "malloc"                  \
    }

#define SHARED_BYTES 262144
#define SHARED_MAGIC 0xfa017541U

/* All zero is a good beginning. */
struct shared {
    _Atomic uint32_t hits;     /* faults so far; a futex */
    _Atomic uint32_t released; /* not 0: nobody is held any more; a futex */
    _Atomic uint32_t passes;   /* so many of those that are held may go on; a futex */
    _Atomic uint32_t kill;     /* not 0: the whole tree is to be killed; a futex */
    _Atomic uint32_t armed;    /* rules with `armed` hold only while this is not 0 */
    _Atomic uint32_t log_bytes;
    _Atomic uint64_t counts[CALL_N]; /* calls that `under` and `program` let count */
    char log[];                      /* a line a fault */
};

#define SHARED_LOG_MAX (SHARED_BYTES - sizeof(struct shared))
