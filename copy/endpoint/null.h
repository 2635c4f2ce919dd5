/*
 * No storage: `null:` and `null:SIZE`.
 *
 * A source (a size is needed) reads as zeroes, and is one hole. A destination swallows what is
 * written and says that it is flushed; it is as large as it is told to be (`resize`), or SIZE and
 * no larger. It cannot be read back (-EOPNOTSUPP), so a copy to it cannot be verified.
 *
 * A request is over when submit returns.
 */
#pragma once

#include "copy/endpoint/endpoint.h"

extern const struct endpoint_ops null_endpoint;
