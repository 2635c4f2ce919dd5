/*
 * Names of volumes, and numbers in words.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copy/digest.h"

#define CLI_NAME_BYTES   81
#define CLI_SIZE_BYTES   32
#define CLI_DIGEST_BYTES (2 * DIGEST_BYTES + 1)

/* The path in a name: PATH, file:PATH or block:PATH; NULL: it is a URI of another kind. */
const char *cli_name_path(const char *name);
/* Does it say that it is a block device? */
bool cli_name_is_block(const char *name);
/* Is it a null: volume, which holds nothing? */
bool cli_name_is_null(const char *name);
/* The directory that a path is in; "." where it names none. */
void cli_name_parent(const char *path, char out[PATH_MAX]);

/* As it is shown: of a long one the end, which tells more than the beginning. Returns out. */
const char *cli_name_shown(const char *name, char out[CLI_NAME_BYTES]);

/* "1.5 GiB", "3 bytes". Returns out. */
const char *cli_size_text(uint64_t bytes, char out[CLI_SIZE_BYTES]);
/* In hexadecimal. Returns out. */
const char *cli_digest_text(const struct digest *digest, char out[CLI_DIGEST_BYTES]);
