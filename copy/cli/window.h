/*
 * The beginning of a file as an endpoint that has just this size, whatever lies beyond: an old file
 * is cut once the copy is whole, not before, since until then it may be what the source reads.
 */
#pragma once

#include "copy/endpoint/endpoint.h"

/* Of *ep, a file's, which becomes the window's and closes with it. size_bytes: at most the file's.
 * 0 or -ENOMEM. */
int cli_window_put(struct endpoint **ep, uint64_t size_bytes);
