/*
 * Volumes, found by their names. Owner thread only; the volumes are not its own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct vol;

struct names { /* {0}: none */
    struct vol **buckets;
    size_t n_buckets; /* a power of two, or 0 */
    size_t n;
    uint64_t seed; /* of their hash; another one each time the table grows */
};

void names_deinit(struct names *names);
/* NULL: none has that name. */
struct vol *names_find(const struct names *names, const char *name);
/* 0; -EEXIST: the name is taken; -ENOMEM; errno of getrandom(2). It keeps that name as long as it
 * is here. */
int names_add(struct names *names, struct vol *v);
void names_remove(struct names *names, struct vol *v); /* which is here */
