#include "fs/backend/name_set.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool name_set_have(const struct name_set *names, const char *name)
{
    return tfind(name, &names->root, compare) != NULL;
}

int name_set_add(struct name_set *names, const char *name)
{
    OWNED(mem) char *copy = NULL;

    if (name_set_have(names, name))
        return 0;
    copy = strdup(name);
    if (!copy || !tsearch(copy, &names->root, compare))
        return -ENOMEM;
    take_ptr(copy);
    return 0;
}

void name_set_remove(struct name_set *names, const char *name)
{
    char **at = tfind(name, &names->root, compare);
    OWNED(mem) char *copy = at ? *at : NULL;

    if (copy)
        tdelete(name, &names->root, compare);
}

struct walk {
    int (*each)(const char *name, void *arg);
    void *arg;
    int r;
};

static void visit(const void *node, VISIT order, void *arg)
{
    struct walk *walk = arg;

    if ((order == postorder || order == leaf) && walk->r >= 0)
        walk->r = walk->each(*(const char *const *)node, walk->arg);
}

int name_set_each(const struct name_set *names, int (*each)(const char *name, void *arg), void *arg)
{
    struct walk walk = {.each = each, .arg = arg};

    twalk_r(names->root, visit, &walk);
    return walk.r;
}

void name_set_deinit(struct name_set *names)
{
    tdestroy(names->root, free);
    names->root = NULL;
}
