/* By themselves, so that a program which wraps descriptors is linked with no other kind. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "copy/base/cleanup.h"
#include "copy/endpoint/endpoint.h"

#define ENDPOINT(name) extern const struct endpoint_ops name##_endpoint;
#include "copy/endpoint/list.h"
#undef ENDPOINT

#define ENDPOINT(name) &name##_endpoint,
static const struct endpoint_ops *const kinds[] = {
#include "copy/endpoint/list.h"
};
#undef ENDPOINT
#define FILE_KIND (&file_endpoint)

/* scheme: one, or several with a blank between two */
static bool has_scheme(const char *scheme, const char *word, size_t n)
{
    for (; *scheme != '\0'; scheme += strspn(scheme, " ")) {
        size_t n_scheme = strcspn(scheme, " ");

        if (n_scheme == n && strncmp(scheme, word, n) == 0)
            return true;
        scheme += n_scheme;
    }
    return false;
}

static const struct endpoint_ops *kind_of_scheme(const char *word, size_t n)
{
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        if (kinds[i]->open && has_scheme(kinds[i]->scheme, word, n))
            return kinds[i];
    }
    return NULL;
}

/* What is neither a file nor anything else we know is left to the file's kind, which says so. */
static const struct endpoint_ops *kind_of_path(const char *path)
{
    struct stat st;

    for (size_t i = 0; stat(path, &st) == 0 && i < ARRAY_N(kinds); i++) {
        if (kinds[i]->file_type != 0 && (st.st_mode & S_IFMT) == kinds[i]->file_type)
            return kinds[i];
    }
    return FILE_KIND;
}

int endpoint_open(const char *name, enum endpoint_mode mode, struct endpoint **ret, struct err *e)
{
    const char *colon = strchr(name, ':'), *slash = strchr(name, '/'), *address = name;
    const struct endpoint_ops *kind = FILE_KIND;

    if (colon && (!slash || colon < slash)) {
        kind = kind_of_scheme(name, (size_t)(colon - name));
        address = colon + 1;
    }
    if (!kind)
        return err_set(e, EPROTONOSUPPORT, "%.*s: no such kind of endpoint", (int)(colon - name),
                       name);
    if (kind == FILE_KIND)
        kind = kind_of_path(address);
    return kind->open(kind->takes_uri ? name : address, mode, ret, e);
}
