/*
 * Where bytes come from and go to. A kind of endpoint is a table of operations in a file of its own
 * (copy/endpoint/NAME.c) and a name in copy/endpoint/list.h.
 *
 * Several threads call the operations of one endpoint at a time, all but open and close. They may
 * block. Offsets and lengths stay inside the size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "copy/base/err.h"

/* Data is told from zeroes in pieces of this size, and direct I/O is aligned to it. */
#define ENDPOINT_GRAIN_BYTES     4096

#define ENDPOINT_CONNECTIONS_MAX 64

enum endpoint_mode {
    ENDPOINT_READ,  /* a source: its bytes are taken from wherever they can still be had */
    ENDPOINT_WRITE, /* a destination: written, and read back */
};

struct endpoint_ops;
struct request; /* copy/endpoint/queue.h */

/* The head of each kind's own struct. */
struct endpoint {
    const struct endpoint_ops *ops;
    enum endpoint_mode mode;
};

struct endpoint_ops {
    const char *scheme; /* "SCHEME:ADDRESS" names one; of several there is a blank between two */
    bool takes_uri;     /* open is given all of that, not the address alone */
    mode_t file_type;   /* S_IFBLK: what is opened as a file and is one of these is of this kind */

    /* By address, for a command line. NULL: only a function of its own makes one. */
    int (*open)(const char *address, enum endpoint_mode mode, struct endpoint **ret, struct err *e);
    /* Frees it, whatever it returns: 0, or what closing a thing that was written had to tell. */
    int (*close)(struct endpoint *ep);

    /* Now, asked anew each time. */
    int (*size)(struct endpoint *ep, uint64_t *ret_bytes);

    /*
     * Of a destination, before any transfer: get this size. What has one that cannot be changed
     * answers `size` with this one from now on, and keeps what lies beyond as it is. -ENOSPC: it is
     * smaller.
     */
    int (*resize)(struct endpoint *ep, uint64_t size_bytes);

    /*
     * Up to where the bytes from offset on are of one kind, and which: a hole reads as zeroes and
     * takes no space. *ret_end_bytes is above offset and at most the size; it may be less than the
     * whole of the extent. -ESTALE: offset is not below the size. NULL: everything is data.
     */
    int (*extent)(struct endpoint *ep, uint64_t offset, uint64_t *ret_end_bytes, bool *ret_hole);

    /*
     * One transfer, which may come short; 0 bytes read is the end of the file. *ret_n is written on
     * success. -EINTR is tried again by the caller.
     */
    int (*pread)(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n);
    int (*pwrite)(struct endpoint *ep, const void *buf, size_t n, uint64_t offset, size_t *ret_n);

    /*
     * Make a range read as zeroes without sending them, and free its space if that can be done.
     * What the storage cannot do is tried once and remembered. -EOPNOTSUPP: only writing will do.
     * NULL: the same.
     */
    int (*zero)(struct endpoint *ep, uint64_t offset, uint64_t n_bytes);
    /* Where zero's ranges begin and end: at multiples of this. NULL: anywhere. */
    uint64_t (*zero_unit)(const struct endpoint *ep);

    /*
     * Of a destination: everything whose pwrite or zero had returned is on stable storage. An error
     * means that any of it since the last success may be lost; it is told once. sync: metadata too.
     * Of a source: -EIO where the storage may hold other bytes than those that were written there.
     */
    int (*flush)(struct endpoint *ep);
    int (*sync)(struct endpoint *ep);

    /* Forget what is cached of it, as far as possible: the next read or question about extents asks
     * the storage. Only after a flush. NULL: nothing is cached on our side. */
    int (*drop)(struct endpoint *ep);

    /*
     * A descriptor through which the kernel can carry out a transfer (read, or else write) of all n
     * bytes asynchronously, in the best way there is for just this range; -1: only pread or pwrite.
     * Does not block. NULL: never.
     */
    int (*fd)(struct endpoint *ep, bool read, const void *buf, size_t n, uint64_t offset);

    /*
     * Its own asynchrony: begin a REQUEST_READ or REQUEST_WRITE, and say request_complete when it
     * is over, from any thread, at once too. Does not block. NULL: none.
     */
    void (*submit)(struct endpoint *ep, struct request *request);

    /*
     * Of a destination: make a range hold the source's bytes by sharing their storage. offset and
     * n_bytes: whole grains, or up to the end. -EOPNOTSUPP: these two cannot (any reason that
     * reading and writing would not have too). NULL: never.
     */
    int (*clone)(struct endpoint *ep, struct endpoint *source, uint64_t offset, uint64_t n_bytes);

    /* Before any thread uses it: speak over so many connections, as far as the other side lets us.
     * NULL: it has none. */
    int (*set_connections)(struct endpoint *ep, unsigned n);

    /* 0 while nobody can have changed it behind our back, else -ETXTBSY. NULL: nothing to look at.
     */
    int (*check_claim)(struct endpoint *ep);
};

/*
 * Open "SCHEME:ADDRESS"; without a scheme it is the path of a file or a device.
 * Returns 0; -EPROTONOSUPPORT no such scheme; or as the kind says, in words in e.
 */
int endpoint_open(const char *name, enum endpoint_mode mode, struct endpoint **ret, struct err *e);
int endpoint_close(struct endpoint *ep); /* NULL is allowed */
static inline void owned_endpoint(struct endpoint **ep)
{
    endpoint_close(*ep);
}

/*
 * All n bytes, through short transfers. *ret_n: how far it got, on an error too. Returns 0 or a
 * negative errno: -ESTALE the source ends early, -EIO the destination takes nothing.
 */
int endpoint_read(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n);
int endpoint_write(struct endpoint *ep, const void *buf, size_t n, uint64_t offset, size_t *ret_n);

/* Zero a range, by writing what cannot be had otherwise. */
int endpoint_zero(struct endpoint *ep, uint64_t offset, uint64_t n_bytes);

/* The operations that a kind may lack, with what their lack means. */
int endpoint_extent(struct endpoint *ep, uint64_t offset, uint64_t size_bytes,
                    uint64_t *ret_end_bytes, bool *ret_hole);
int endpoint_resize(struct endpoint *ep, uint64_t size_bytes); /* -EOPNOTSUPP: it cannot */
/* n: 1 to ENDPOINT_CONNECTIONS_MAX, else -EINVAL; not asked for, a kind has its preset. */
int endpoint_set_connections(struct endpoint *ep, unsigned n);
int endpoint_drop(struct endpoint *ep);
int endpoint_check_claim(struct endpoint *ep);

/* 0, or -ESTALE where it has another size by now. */
int endpoint_check_size(struct endpoint *ep, uint64_t size_bytes);
