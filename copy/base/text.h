/*
 * Text to numbers and back, names, escapes, and a buffer that grows. Any thread; no locale.
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define TEXT_COMMAND_MAX 4095 /* bytes of one command, blanks and newline included */
#define TEXT_NAME_BYTES  129  /* a volume's name and its NUL: INTERFACE allows 128 */
#define TEXT_HOST_BYTES  65   /* a host's name and its NUL */
#define TEXT_TIME_BYTES  21   /* "2026-11-22T07:17:00Z" and its NUL */

/*
 * Decimal digits and nothing else, no sign, no blank, whole string.
 * Returns 0, -EINVAL, or -ERANGE above 2^64-1. *ret is written on success alone.
 */
int text_parse_u64(const char *s, uint64_t *ret);

/* The same with an optional K, M, G or T (powers of 1024) at the end. */
int text_parse_size(const char *s, uint64_t *ret);

/* Exactly "0" or "1"; else -EINVAL. */
int text_parse_bool(const char *s, bool *ret);

/*
 * One written command: strip blanks (space, tab) at both ends and one final newline, refuse what is
 * empty, holds a NUL or another newline, or is over TEXT_COMMAND_MAX bytes as written.
 * out: room for TEXT_COMMAND_MAX + 1 bytes. Returns 0 or -EINVAL.
 */
int text_command(const char *bytes, size_t n, char *out);

/* [A-Za-z0-9_][A-Za-z0-9._-]{0,127} */
bool text_is_volume_name(const char *s);

/* [A-Za-z0-9_][A-Za-z0-9._-]{0,63}; '@' joins a peer and its pool and is no part of either. */
bool text_is_host_name(const char *s);

/*
 * Make bytes harmless in one line of a message, a log or a table: control characters (below 0x20,
 * 0x7f, U+0080 to U+009F), backslash and invalid UTF-8 become \xNN, byte by byte. Writes at most
 * cap bytes, the NUL among them (cap > 0), never half an escape or half a character. Returns the
 * length written.
 */
size_t text_escape(const char *in, size_t n, char *out, size_t cap);

/* UTC, ISO 8601 to the second. */
void text_time(time_t seconds, char out[TEXT_TIME_BYTES]);

/* A string that grows. {0} is an empty one; failed is set for good when memory ran out. */
struct text {
    char *bytes; /* NUL-terminated once anything was added; NULL before */
    size_t n;    /* without the NUL */
    size_t cap;
    bool failed;
};

/* Append as printf does; on lack of memory the text is left as it was and `failed`. */
void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Append a string through text_escape. */
void text_add_escaped(struct text *t, const char *s);
/* Append a JSON string, quotes and all, that is valid whatever the bytes: what text_escape would
 * escape is the text \xNN in it, but for the backslash, which is itself. */
void text_add_json(struct text *t, const char *s);
void text_deinit(struct text *t);
static inline void owned_text(struct text *t)
{
    text_deinit(t);
}
