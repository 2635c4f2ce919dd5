#include "copy/endpoint/nbd_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "copy/base/cleanup.h"

#define LIBRARY "libnbd.so.0"

struct nbd_library libnbd;

static const struct {
    const char *name;
    size_t offset;
} calls[] = {
#define CALL(name) {"nbd_" #name, offsetof(struct nbd_library, name)},
    NBD_CALLS(CALL)
#undef CALL
};

static struct err missing;

static void load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW);

    for (size_t i = 0; library && i < ARRAY_N(calls); i++) {
        /* A pointer to a function out of dlsym: as POSIX says that it is to be had */
        void **call = (void **)((char *)&libnbd + calls[i].offset);

        *call = dlsym(library, calls[i].name);
        if (!*call)
            library = NULL;
    }
    if (!library)
        err_set(&missing, ELIBACC, "%s; NBD needs libnbd 1.14 or newer (package libnbd0)",
                dlerror());
}

int nbd_library_load(struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return missing.code ? err_set(e, missing.code, "%s", missing.text) : 0;
}
