/*
 * libnbd, loaded when the first NBD volume is opened: with the libraries that it needs for TLS and
 * URIs, that alone takes as long as to copy a small volume. Who copies files needs none of them.
 */
#pragma once

#include <libnbd.h>

#include "copy/base/err.h"

/* What we call, without its nbd_: libnbd(3) has their contracts. */
#define NBD_CALLS(CALL)                                                                            \
    CALL(add_meta_context)                                                                         \
    CALL(aio_block_status)                                                                         \
    CALL(aio_connect_uri)                                                                          \
    CALL(aio_disconnect)                                                                           \
    CALL(aio_flush)                                                                                \
    CALL(aio_get_direction)                                                                        \
    CALL(aio_get_fd)                                                                               \
    CALL(aio_is_closed)                                                                            \
    CALL(aio_is_dead)                                                                              \
    CALL(aio_is_ready)                                                                             \
    CALL(aio_notify_read)                                                                          \
    CALL(aio_notify_write)                                                                         \
    CALL(aio_pread_structured)                                                                     \
    CALL(aio_pwrite)                                                                               \
    CALL(aio_zero)                                                                                 \
    CALL(can_flush)                                                                                \
    CALL(can_fua)                                                                                  \
    CALL(can_meta_context)                                                                         \
    CALL(can_multi_conn)                                                                           \
    CALL(can_zero)                                                                                 \
    CALL(close)                                                                                    \
    CALL(create)                                                                                   \
    CALL(get_block_size)                                                                           \
    CALL(get_errno)                                                                                \
    CALL(get_error)                                                                                \
    CALL(get_size)                                                                                 \
    CALL(get_strict_mode)                                                                          \
    CALL(is_read_only)                                                                             \
    CALL(set_pread_initialize)                                                                     \
    CALL(set_strict_mode)                                                                          \
    CALL(set_uri_allow_local_file)

struct nbd_library {
#define CALL(name) __typeof__(&nbd_##name) name;
    NBD_CALLS(CALL)
#undef CALL
};

/* To be used once nbd_library_load has returned 0. */
extern struct nbd_library libnbd;

/* Load it, unless it was already. Returns 0, or -ELIBACC with what is missing in *e. Any thread. */
int nbd_library_load(struct err *e);
