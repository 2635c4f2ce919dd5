#include <assert.h>
#include <endian.h>
#include <string.h>

#include "fs/catalog/member.h"

void out_number(struct out *out, uint64_t value, size_t width)
{
    assert(width <= sizeof(value) && width <= out->cap - out->n);
    value = htole64(value);
    memcpy(out->bytes + out->n, &value, width);
    out->n += width;
}

static void put_bytes(struct out *out, const void *bytes, size_t n)
{
    assert(n <= out->cap - out->n);
    memcpy(out->bytes + out->n, bytes, n);
    out->n += n;
}

uint64_t in_number(const uint8_t *bytes, size_t width)
{
    uint64_t value = 0;

    assert(width <= sizeof(value));
    memcpy(&value, bytes, width);
    return le64toh(value);
}

static bool get_bytes(struct in *in, void *ret, size_t n)
{
    if (in->n - in->at < n)
        return false;
    memcpy(ret, in->bytes + in->at, n);
    in->at += n;
    return true;
}

static bool get_le(struct in *in, uint64_t *ret, size_t n)
{
    uint8_t bytes[sizeof(uint64_t)];

    if (!get_bytes(in, bytes, n))
        return false;
    *ret = in_number(bytes, n);
    return true;
}

static void put_number(struct out *out, const struct member *member, const uint8_t *from)
{
    bool as_bool;
    uint32_t as_u32;
    uint64_t as_u64;

    switch (member->type) {
    case MEMBER_BOOL:
        memcpy(&as_bool, from, sizeof(as_bool));
        out_number(out, as_bool, 1);
        break;
    case MEMBER_U64:
        memcpy(&as_u64, from, sizeof(as_u64));
        out_number(out, as_u64, sizeof(as_u64));
        break;
    default:
        memcpy(&as_u32, from, sizeof(as_u32));
        assert(member->type != MEMBER_ENUM || as_u32 < member->size);
        out_number(out, as_u32, sizeof(as_u32));
        break;
    }
}

static void put_text(struct out *out, const struct member *member, const char *text)
{
    static const uint8_t zeroes[MEMBER_TEXT_MAX];
    size_t n = strnlen(text, member->size);

    assert(n < member->size && member->size <= sizeof(zeroes));
    assert(!member->is || member->is(text));
    if (member->type == MEMBER_TEXT)
        out_number(out, n, sizeof(uint16_t));
    put_bytes(out, text, n);
    if (member->type == MEMBER_PADDED)
        put_bytes(out, zeroes, member->size - n);
}

static void put_member(struct out *out, const struct member *member, const uint8_t *from)
{
    switch (member->type) {
    case MEMBER_BYTES:
        put_bytes(out, from, member->size);
        break;
    case MEMBER_TEXT:
    case MEMBER_PADDED:
        put_text(out, member, (const char *)from);
        break;
    default:
        put_number(out, member, from);
        break;
    }
}

static bool get_number(struct in *in, const struct member *member, uint8_t *ret)
{
    uint64_t value;
    uint32_t as_u32;
    bool as_bool;

    switch (member->type) {
    case MEMBER_BOOL:
        if (!get_le(in, &value, 1) || value > 1)
            return false;
        as_bool = value == 1;
        memcpy(ret, &as_bool, sizeof(as_bool));
        return true;
    case MEMBER_U64:
        if (!get_le(in, &value, sizeof(value)))
            return false;
        memcpy(ret, &value, sizeof(value));
        return true;
    default:
        if (!get_le(in, &value, sizeof(as_u32)))
            return false;
        if (member->type == MEMBER_ENUM && value >= member->size)
            return false;
        as_u32 = (uint32_t)value;
        memcpy(ret, &as_u32, sizeof(as_u32));
        return true;
    }
}

/* ret is zeroed: what is not written there ends the text. */
static bool get_text(struct in *in, const struct member *member, char *ret)
{
    uint64_t n = member->size;
    size_t length;

    if (member->type == MEMBER_TEXT && (!get_le(in, &n, sizeof(uint16_t)) || n >= member->size))
        return false;
    if (!get_bytes(in, ret, n))
        return false;
    length = strnlen(ret, member->size);
    if (length == member->size || (member->type == MEMBER_TEXT && length != n))
        return false;
    for (size_t i = length; i < n; i++)
        if (ret[i] != '\0')
            return false;
    return !member->is || member->is(ret);
}

static bool get_member(struct in *in, const struct member *member, uint8_t *ret)
{
    switch (member->type) {
    case MEMBER_BYTES:
        return get_bytes(in, ret, member->size);
    case MEMBER_TEXT:
    case MEMBER_PADDED:
        return get_text(in, member, (char *)ret);
    default:
        return get_number(in, member, ret);
    }
}

void members_put(struct out *out, const struct member *members, const void *from)
{
    for (const struct member *member = members; member->type != MEMBER_END; member++)
        put_member(out, member, (const uint8_t *)from + member->offset);
}

bool members_get(struct in *in, const struct member *members, void *ret)
{
    for (const struct member *member = members; member->type != MEMBER_END; member++)
        if (!get_member(in, member, (uint8_t *)ret + member->offset))
            return false;
    return true;
}
