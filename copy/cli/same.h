/*
 * Two names for the same bytes, as far as the system tells.
 */
#pragma once

#include "copy/cli/place.h"

/* A file and a loop device over it, or over a part of it, are the same. What is reached through a
 * server, or through other layers of the kernel, is not seen. */
bool cli_is_same(const struct place *a, const struct place *b);
