#include "fs/backend/backend.h"

#include <stdio.h>
#include <string.h>

#include "fs/backend/dir.h"

const struct backend_ops *const backends[] = {
    &dir_backend,
    NULL,
};

const struct backend_ops *backend_by_name(const char *name)
{
    for (size_t i = 0; backends[i]; i++) {
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    }
    return NULL;
}

void backend_hidden_name(const uuid_t cid, char out[POOL_HIDDEN_BYTES])
{
    char text[UUID_STR_LEN];

    uuid_unparse_lower(cid, text);
    snprintf(out, POOL_HIDDEN_BYTES, POOL_HIDDEN "%s.copy", text);
}
