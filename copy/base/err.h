/*
 * What went wrong, as an errno and as a sentence that a person can act on. Any thread.
 */
#pragma once

#include <errno.h>

#define ERR_TEXT_BYTES 256

struct err {
    int code; /* positive errno; 0: nothing happened */
    char text[ERR_TEXT_BYTES];
};

/*
 * Note an error. e may be NULL. The text is cut to fit, never overrun; control bytes are escaped
 * when it is shown, not here.
 * code: a positive errno. Returns -code, so that `return err_set(e, errno, ...)` reads well.
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * The symbol of an errno, "ENOSPC"; "E?" for a number that names none. Static storage.
 * Source: strerrorname_np(3), glibc 2.32.
 */
const char *err_name(int code);

/* The reverse: 0 where the word names no errno. */
int err_number(const char *name);
