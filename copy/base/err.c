#include "copy/base/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ERRNO_LAST 133 /* EHWPOISON; source: asm-generic/errno.h */

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    assert(code > 0);
    if (!e)
        return -code;
    e->code = code;
    va_start(ap, fmt);
    if (vsnprintf(e->text, sizeof(e->text), fmt, ap) < 0)
        e->text[0] = '\0';
    va_end(ap);
    return -code;
}

const char *err_name(int code)
{
    const char *name = code > 0 ? strerrorname_np(code) : NULL;

    return name ? name : "E?";
}

int err_number(const char *name)
{
    for (int code = 1; code <= ERRNO_LAST; code++) {
        const char *known = strerrorname_np(code);

        if (known && strcmp(known, name) == 0)
            return code;
    }
    return 0;
}
