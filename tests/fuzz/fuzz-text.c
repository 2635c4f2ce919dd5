/*
 * Whatever is written into the mount or stands in a name, text.h keeps its promises: this target
 * checks them by other means than text.c does.
 */
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/err.h"
#include "copy/base/text.h"
#include "tests/fuzz/promise.h"

#define INPUT_MAX 8192

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void check_command(const char *in, size_t n)
{
    char out[TEXT_COMMAND_MAX + 1], again[TEXT_COMMAND_MAX + 1];
    size_t length;

    if (text_command(in, n, out) < 0)
        return;
    length = strlen(out);
    PROMISE(n <= TEXT_COMMAND_MAX && length > 0 && length <= n);
    PROMISE(!strchr(out, '\n') && !is_blank(out[0]) && !is_blank(out[length - 1]));
    PROMISE(memmem(in, n, out, length) != NULL);
    PROMISE(text_command(out, length, again) == 0 && strcmp(out, again) == 0);
}

static void check_number(const char *word)
{
    uint64_t number = 77, size = 77;
    char digits[32];
    int r = text_parse_u64(word, &number);

    if (r == 0) {
        snprintf(digits, sizeof(digits), "%ju", (uintmax_t)number);
        word += strspn(word, "0");
        PROMISE(strcmp(*word ? word : "0", digits) == 0);
        PROMISE(text_parse_size(digits, &size) == 0 && size == number);
    } else {
        PROMISE(number == 77);
        if (text_parse_size(word, &size) < 0)
            PROMISE(size == 77);
        else
            PROMISE(size % 1024 == 0 && strchr("KMGT", word[strlen(word) - 1]));
    }
}

static void check_names(const char *word)
{
    if (text_is_host_name(word))
        PROMISE(text_is_volume_name(word) && strlen(word) < TEXT_HOST_BYTES);
    if (text_is_volume_name(word))
        PROMISE(strlen(word) < TEXT_NAME_BYTES && !strpbrk(word, "/@ \n\\") && word[0] != '.');
    PROMISE(err_number(word) == 0 || strcmp(err_name(err_number(word)), word) == 0);
}

/* Length of the character at p; aborts on what is no character, or one that does harm. */
static size_t character(const uint8_t *p)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t code = n == 1 ? p[0] : p[0] & (0x7fu >> n);

    PROMISE(p[0] < 0x80 || (p[0] >= 0xc0 && p[0] < 0xf8));
    for (size_t i = 1; i < n; i++) {
        PROMISE((p[i] & 0xc0) == 0x80);
        code = code << 6 | (p[i] & 0x3f);
    }
    PROMISE(code >= least[n] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff));
    PROMISE(code >= 0x20 && (code < 0x7f || code > 0x9f));
    return n;
}

static void check_escape(const char *in, size_t n, size_t cap)
{
    static char whole[4 * INPUT_MAX + 1], cut[4 * INPUT_MAX + 1];
    size_t whole_n = text_escape(in, n, whole, sizeof(whole));
    size_t cut_n = text_escape(in, n, cut, cap);

    PROMISE(whole_n >= n && whole_n <= 4 * n && strlen(whole) == whole_n);
    PROMISE(cut_n < cap && strlen(cut) == cut_n && memcmp(cut, whole, cut_n) == 0);
    PROMISE(cut_n == whole_n || cut_n + 4 >= cap);
    for (size_t i = 0; i < cut_n;)
        i += character((const uint8_t *)cut + i);
}

static void check_growing(const char *word)
{
    OWNED(text) struct text t = {0};

    text_add(&t, "%s|", word);
    text_add_escaped(&t, word);
    PROMISE(!t.failed && strlen(t.bytes) == t.n && t.n < t.cap && t.bytes[strlen(word)] == '|');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char word[INPUT_MAX + 1] = "";

    if (size < 2 || size > INPUT_MAX)
        return 0;
    memcpy(word, data + 2, size - 2);
    check_command(word, size - 2);
    check_escape(word, size - 2, 1 + (size_t)(data[0] | data[1] << 8) % (4 * INPUT_MAX));
    check_number(word);
    check_names(word);
    check_growing(word);
    return 0;
}
