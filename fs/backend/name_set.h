/*
 * A set of names of files. One thread at a time.
 */
#pragma once

#include <stdbool.h>

/* All zero is the empty one. */
struct name_set {
    void *root; /* of tsearch(3) */
};

bool name_set_have(const struct name_set *names, const char *name);
int name_set_add(struct name_set *names, const char *name); /* 0, also if it was there; -ENOMEM */
void name_set_remove(struct name_set *names, const char *name);
/* `each` may not change the set. Returns 0, or the first negative number that it returned. */
int name_set_each(const struct name_set *names, int (*each)(const char *name, void *arg),
                  void *arg);
void name_set_deinit(struct name_set *names);
