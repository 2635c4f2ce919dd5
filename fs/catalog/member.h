/*
 * The members of a struct as a table, and the one encoder and the one decoder that walk it, so that
 * the two cannot disagree. Members are reached by their offset and moved one by one. Pure; any
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum member_type {
    MEMBER_END, /* ends a table */
    MEMBER_U32, /* int32_t too */
    MEMBER_U64,
    MEMBER_BOOL,
    MEMBER_ENUM,
    MEMBER_BYTES,  /* as many as the array holds */
    MEMBER_TEXT,   /* u16 length and bytes */
    MEMBER_PADDED, /* the whole array, zeroes after the text */
};

struct member {
    enum member_type type;
    size_t offset;
    size_t size;               /* of the member; of an enum: how many values it has */
    bool (*is)(const char *s); /* what a text must be; NULL: anything */
};

#define MEMBER_TEXT_MAX 256 /* bytes of a text, its NUL included */

/* Bytes that are written from the left to the right: n of cap. */
struct out {
    uint8_t *bytes;
    size_t n, cap;
};

/* Bytes that are read from the left to the right: at of n. */
struct in {
    const uint8_t *bytes;
    size_t n, at;
};

/* Little-endian, width bytes of it. Room is asserted. */
void out_number(struct out *out, uint64_t value, size_t width);
uint64_t in_number(const uint8_t *bytes, size_t width);

/* Append the struct at from. What members_get would refuse, and lack of room, are asserted against.
 */
void members_put(struct out *out, const struct member *members, const void *from);

/* Fill the struct at ret, which is zeroed. False: these bytes are no encoding of one. */
bool members_get(struct in *in, const struct member *members, void *ret);
