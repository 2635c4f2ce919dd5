/*
 * Folders to test in: on ext4 (also with blocks that are smaller than a grain), xfs and tmpfs of
 * our own where we may mount (in a mount namespace that ends with the program), else in the
 * temporary folder alone.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "tests/unit/check.h"

struct pool_dir {
    const char *kind;
    char path[128];
};

static struct pool_dir pool_dirs[8];
static unsigned n_pool_dirs;
static char pools_top[64];
static bool pools_in_memory; /* wanted: where nothing is waited for but what a test is about */

/* A line of shell; $A and $B are its arguments. */
static inline int pools_run(const char *script, const char *a, const char *b)
{
    REQUIRE(setenv("A", a, 1) == 0 && setenv("B", b, 1) == 0);
    return system(script);
}

static inline void pools_clear(void)
{
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        if (strcmp(pool_dirs[i].kind, "plain") != 0)
            umount2(pool_dirs[i].path, MNT_DETACH);
    }
    if (pools_in_memory)
        umount2(pools_top, MNT_DETACH);
    pools_run("rm -rf \"$A\"", pools_top, "");
}

static inline void pools_add(const char *kind, const char *make)
{
    struct pool_dir *dir = &pool_dirs[n_pool_dirs];
    char image[128];

    dir->kind = kind;
    snprintf(dir->path, sizeof(dir->path), "%s/%s", pools_top, kind);
    snprintf(image, sizeof(image), "%s/%s.image", pools_top, kind);
    REQUIRE(mkdir(dir->path, 0700) == 0);
    if (make && pools_run(make, image, dir->path) != 0)
        printf("# no %s here\n", kind);
    else
        n_pool_dirs++;
}

/* Before any thread. */
static inline void pools_open(void)
{
    snprintf(pools_top, sizeof(pools_top), "%s/ferryfs-copy-XXXXXX", "/tmp");
    REQUIRE(mkdtemp(pools_top));
    if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0) {
        if (pools_in_memory)
            REQUIRE(mount("ferryfs-test", pools_top, "tmpfs", 0, "size=80%") == 0);
        pools_add("tmpfs", "mount -t tmpfs -o size=512M ferryfs-test $B");
        pools_add("ext4", "truncate -s 1G $A && mkfs.ext4 -q -b 4096 $A && mount -o loop $A $B");
        pools_add("small-blocks",
                  "truncate -s 1G $A && mkfs.ext4 -q -b 1024 $A && mount -o loop $A $B");
        pools_add("xfs", "truncate -s 1G $A && mkfs.xfs -q $A && mount -o loop $A $B");
    }
    if (n_pool_dirs == 0)
        pools_add("plain", NULL);
    atexit(pools_clear);
}
