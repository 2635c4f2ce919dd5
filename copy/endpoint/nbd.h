/*
 * An export of an NBD server, by libnbd's URIs: nbd://HOST/EXPORT, nbd+unix:///EXPORT?socket=PATH,
 * and nbds:, nbds+unix: with TLS. Source: nbd_connect_uri(3), the NBD project's doc/uri.md.
 *
 * Connections: four where the server says that they see each other's writes and flushes
 * (NBD_FLAG_CAN_MULTI_CONN), else one; set_connections asks for another number. The first one is
 * there when open returns; the others join when the server lets them in, and what it does not let
 * in is done without.
 *
 * queue.h's contract for `submit` holds: it does not block, many requests are in flight on each
 * connection, and each is completed once, by a connection's thread. Blocking operations use the
 * same threads.
 *
 * A lost connection ends all that is in flight on it with -ENOTCONN, at once; it is not made again.
 * A source goes on by those that are left. A destination is at an end: from then on everything is
 * -ENOTCONN, the flush above all, since a server that has started anew may have lost writes.
 *
 * A destination must be writable (else -EROFS), and be able to say when what was written is on
 * stable storage: by flush, or else by FUA, with which then everything is written; a server that
 * can do neither is refused (-EOPNOTSUPP). A flush goes over all connections.
 *
 * Sizes need not be multiples of anything. What does not begin and end at the server's minimal
 * block is read, changed and written, one at a time on the first connection; transfers above its
 * maximum are split. Zeroing lets the server free the space (NBD_CMD_WRITE_ZEROES); NBD_CMD_TRIM
 * promises nothing about what is read afterwards and is not used. What base:allocation calls zero
 * is a hole; a server that does not know it, or fails to tell, has data all over. Reads come from
 * the server, whatever it has cached.
 */
#pragma once

#include "copy/endpoint/endpoint.h"

extern const struct endpoint_ops nbd_endpoint;
