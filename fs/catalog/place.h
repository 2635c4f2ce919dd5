/*
 * Where the catalogue lies: a private directory, and a lock that keeps a second daemon out.
 */
#pragma once

#include <stdbool.h>

#include "copy/base/err.h"

#define PLACE_CATALOGUE "catalogue.tdb"
#define PLACE_NEW       "catalogue.tdb.new" /* being made; never read at a start */
#define PLACE_LOCK      "catalogue.lock"    /* holds the pid of who holds the lock */

struct place {
    int dir;  /* the state directory */
    int lock; /* flocked; -1: none */
};

#define PLACE_NONE ((struct place){-1, -1})

/*
 * Take the place. make: the directory (0700) and the lock are made where they are missing, and our
 * pid is noted; otherwise nothing is changed, and where there is no lock none is taken.
 * Returns 0; -EALREADY another process holds it; -EPERM others can get at it; or an errno.
 */
int place_open(const char *state_dir, bool make, struct place *ret, struct err *e);
void place_close(struct place *place);
static inline void owned_place(struct place *place)
{
    place_close(place);
}

/* Is a file of the place a regular one and ours alone? 0, -ENOENT, -EPERM or an errno. */
int place_check_file(const struct place *place, const char *state_dir, const char *name,
                     struct err *e);
