#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/backend/dir.h"

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool dir_names_have(const struct dir_names *names, const char *name)
{
    return tfind(name, &names->root, compare) != NULL;
}

int dir_names_add(struct dir_names *names, const char *name)
{
    OWNED(mem) char *copy = NULL;

    if (dir_names_have(names, name))
        return 0;
    copy = strdup(name);
    if (!copy || !tsearch(copy, &names->root, compare))
        return -ENOMEM;
    take_ptr(copy);
    return 0;
}

void dir_names_remove(struct dir_names *names, const char *name)
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

int dir_names_each(const struct dir_names *names, int (*each)(const char *name, void *arg),
                   void *arg)
{
    struct walk walk = {.each = each, .arg = arg};

    twalk_r(names->root, visit, &walk);
    return walk.r;
}

void dir_names_deinit(struct dir_names *names)
{
    tdestroy(names->root, free);
    names->root = NULL;
}
