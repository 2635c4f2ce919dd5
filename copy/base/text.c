#include "copy/base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_MAX 253402300799 /* 9999-12-31T23:59:59Z */
#define DIGITS   "0123456789"

static int parse_digits(const char *s, size_t n, uint64_t *ret)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s[i] - '0'), &value))
            return -ERANGE;
    }
    *ret = value;
    return 0;
}

int text_parse_u64(const char *s, uint64_t *ret)
{
    size_t n = strspn(s, DIGITS);

    if (n == 0 || s[n] != '\0')
        return -EINVAL;
    return parse_digits(s, n, ret);
}

int text_parse_size(const char *s, uint64_t *ret)
{
    static const char units[] = "KMGT";
    size_t n = strspn(s, DIGITS);
    const char *unit;
    uint64_t value;
    int r;

    if (n == 0)
        return -EINVAL;
    if (s[n] == '\0')
        return parse_digits(s, n, ret);
    unit = strchr(units, s[n]);
    if (!unit || s[n + 1] != '\0')
        return -EINVAL;
    r = parse_digits(s, n, &value);
    if (r < 0)
        return r;
    if (__builtin_mul_overflow(value, UINT64_C(1024) << (10 * (unit - units)), &value))
        return -ERANGE;
    *ret = value;
    return 0;
}

int text_parse_bool(const char *s, bool *ret)
{
    if ((s[0] != '0' && s[0] != '1') || s[1] != '\0')
        return -EINVAL;
    *ret = s[0] == '1';
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

int text_command(const char *bytes, size_t n, char *out)
{
    if (n > TEXT_COMMAND_MAX)
        return -EINVAL;
    if (n > 0 && bytes[n - 1] == '\n')
        n--;
    while (n > 0 && is_blank(bytes[n - 1]))
        n--;
    while (n > 0 && is_blank(bytes[0])) {
        bytes++;
        n--;
    }
    if (n == 0 || memchr(bytes, '\0', n) || memchr(bytes, '\n', n))
        return -EINVAL;
    memcpy(out, bytes, n);
    out[n] = '\0';
    return 0;
}

static bool is_of_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

static bool is_name(const char *s, size_t cap)
{
    size_t n = 0;

    while (is_of_name(s[n]))
        n++;
    return n > 0 && n < cap && s[n] == '\0' && s[0] != '.' && s[0] != '-';
}

bool text_is_volume_name(const char *s)
{
    return is_name(s, TEXT_NAME_BYTES);
}

bool text_is_host_name(const char *s)
{
    return is_name(s, TEXT_HOST_BYTES);
}

/* What may follow the first byte of a UTF-8 sequence. Source: Unicode 15, table 3-7; the row of C2
 * begins later than there, so that the controls U+0080 to U+009F are escaped too. */
static const struct utf8_row {
    uint8_t first, last;               /* the first byte */
    uint8_t n;                         /* bytes in all */
    uint8_t second_first, second_last; /* the second byte; those after it are 80..BF */
} utf8_rows[] = {
    {0x20, 0x5b, 1, 0, 0},       {0x5d, 0x7e, 1, 0, 0},       {0xc2, 0xc2, 2, 0xa0, 0xbf},
    {0xc3, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf}, {0xe1, 0xec, 3, 0x80, 0xbf},
    {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf},
    {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

static bool continues(const struct utf8_row *row, const uint8_t *p)
{
    if (row->n > 1 && (p[1] < row->second_first || p[1] > row->second_last))
        return false;
    for (size_t i = 2; i < row->n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return false;
    }
    return true;
}

/* Bytes of the harmless character at p, of which n are there; 0: the byte is to be escaped. */
static size_t harmless(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < sizeof(utf8_rows) / sizeof(utf8_rows[0]); i++) {
        const struct utf8_row *row = &utf8_rows[i];

        if (p[0] >= row->first && p[0] <= row->last)
            return row->n <= n && continues(row, p) ? row->n : 0;
    }
    return 0;
}

size_t text_escape(const char *in, size_t n, char *out, size_t cap)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *bytes = (const uint8_t *)in;
    size_t at = 0;

    assert(cap > 0);
    for (size_t i = 0; i < n;) {
        size_t whole = harmless(bytes + i, n - i);
        char escape[4] = {'\\', 'x', hex[bytes[i] >> 4], hex[bytes[i] & 15]};
        const char *piece = whole ? in + i : escape;
        size_t length = whole ? whole : sizeof(escape);

        if (length >= cap - at)
            break;
        memcpy(out + at, piece, length);
        at += length;
        i += whole ? whole : 1;
    }
    out[at] = '\0';
    return at;
}

void text_time(time_t seconds, char out[TEXT_TIME_BYTES])
{
    struct tm tm;

    if (seconds < 0)
        seconds = 0;
    if (seconds > TIME_MAX)
        seconds = TIME_MAX;
    if (!gmtime_r(&seconds, &tm) || strftime(out, TEXT_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}

/* Make room for n more bytes and the NUL. */
static bool reserve(struct text *t, size_t n)
{
    size_t needed, cap;
    char *bytes;

    if (t->failed)
        return false;
    if (__builtin_add_overflow(t->n, n, &needed) || __builtin_add_overflow(needed, 1u, &needed))
        goto fail;
    if (needed <= t->cap)
        return true;
    if (__builtin_mul_overflow(needed, 2u, &cap))
        goto fail;
    bytes = realloc(t->bytes, cap);
    if (!bytes)
        goto fail;
    t->bytes = bytes;
    t->cap = cap;
    return true;
fail:
    t->failed = true;
    return false;
}

void text_add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        t->failed = true;
    if (n < 0 || !reserve(t, (size_t)n))
        return;
    va_start(ap, fmt);
    vsnprintf(t->bytes + t->n, t->cap - t->n, fmt, ap);
    va_end(ap);
    t->n += (size_t)n;
}

void text_add_escaped(struct text *t, const char *s)
{
    size_t n = strlen(s), room;

    if (__builtin_mul_overflow(n, 4u, &room)) {
        t->failed = true;
        return;
    }
    if (reserve(t, room))
        t->n += text_escape(s, n, t->bytes + t->n, t->cap - t->n);
}

/* Text that needs no escape of text_escape's, as it stands in a JSON string. */
static void add_quoted(struct text *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"' || s[i] == '\\')
            t->bytes[t->n++] = '\\';
        t->bytes[t->n++] = s[i];
    }
}

void text_add_json(struct text *t, const char *s)
{
    char escape[8];
    size_t n = strlen(s), room;

    /* At worst each byte becomes \\xNN. */
    if (__builtin_mul_overflow(n, 5u, &room) || __builtin_add_overflow(room, 2u, &room)) {
        t->failed = true;
        return;
    }
    if (!reserve(t, room))
        return;
    t->bytes[t->n++] = '"';
    for (size_t i = 0; i < n;) {
        size_t whole = s[i] == '\\' ? 1 : harmless((const uint8_t *)s + i, n - i);
        size_t length = whole ? 0 : text_escape(s + i, 1, escape, sizeof(escape));

        add_quoted(t, whole ? s + i : escape, whole ? whole : length);
        i += whole ? whole : 1;
    }
    t->bytes[t->n++] = '"';
    t->bytes[t->n] = '\0';
}

void text_deinit(struct text *t)
{
    free(t->bytes);
    *t = (struct text){0};
}
