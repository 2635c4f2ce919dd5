/*
 * libnbd's handle, driven without ever blocking but in handle_wait. One thread a handle. What went
 * wrong, nbd_get_error has in words.
 */
#pragma once

#include <stdbool.h>

struct nbd_handle;

/* Begin: it is through once nbd_aio_is_ready. Looking up a host's name blocks. Returns 0 or a
 * negative errno, also without a handle. */
int handle_connect(struct nbd_handle *handle, const char *uri);

/* Is there no connection (any more)? */
bool handle_is_gone(struct nbd_handle *handle);

/* Wait until the server has something for us or room for more, wake_fd (an eventfd, which is reset)
 * is readable, or timeout_ms are over (-1: never); and go on. Returns below 0 where the connection
 * is lost. */
int handle_wait(struct nbd_handle *handle, int wake_fd, int timeout_ms);

/* A server whose machine has gone says nothing: be told within half a minute. */
void handle_watch_peer(struct nbd_handle *handle);
