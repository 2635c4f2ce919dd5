/*
 * Pools on real file systems for the tests of the storage drivers: ext4 and xfs on loop files,
 * tmpfs. They are mounted in a mount namespace of the test's own, so nothing of them outlives it.
 */
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"

enum { POOLS_EXT4, POOLS_XFS, POOLS_TMPFS, POOLS_N };

static const char *const pools_names[POOLS_N] = {"ext4", "xfs", "tmpfs"};
static char pools_base[64];
static pid_t pools_owner;

static inline void pools_clear(void)
{
    char command[512];

    if (getpid() != pools_owner) /* a child that gave up */
        return;
    snprintf(command, sizeof(command),
             "cd / && umount -l %s/ext4 %s/xfs %s/tmpfs 2>/dev/null; rm -rf %s", pools_base,
             pools_base, pools_base, pools_base);
    if (system(command) != 0)
        printf("# %s is left behind\n", pools_base);
}

/* Once, first. Exits 77 where it cannot be. */
static inline void pools_make(void)
{
    static const char *const commands[] = {
        "truncate -s 64M ext4.img && mkfs.ext4 -q ext4.img && mkdir ext4 && "
        "mount -o loop ext4.img ext4",
        "truncate -s 320M xfs.img && mkfs.xfs -q xfs.img && mkdir xfs && mount -o loop xfs.img xfs",
        "mkdir tmpfs && mount -t tmpfs -o size=64M none tmpfs",
    };
    char command[512];

    if (geteuid() != 0) {
        puts("1..0 # SKIP only root can mount");
        exit(77);
    }
    pools_owner = getpid();
    snprintf(pools_base, sizeof(pools_base), "/tmp/ferryfs-pools-XXXXXX");
    REQUIRE(mkdtemp(pools_base));
    REQUIRE(unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    for (size_t i = 0; i < POOLS_N; i++) {
        snprintf(command, sizeof(command), "cd %s && %s", pools_base, commands[i]);
        if (system(command) != 0) {
            printf("1..0 # SKIP there is no %s\n", pools_names[i]);
            pools_clear();
            exit(77);
        }
    }
    REQUIRE(atexit(pools_clear) == 0);
}

/* A directory of its own for a test, empty. */
static inline void pools_fresh(unsigned fs, char *path, size_t cap)
{
    static unsigned n;

    snprintf(path, cap, "%s/%s/pool%u", pools_base, pools_names[fs], ++n);
    REQUIRE(mkdir(path, 0755) == 0);
}

/* PATH/NAME holds these bytes. */
static inline void pools_write(const char *path, const char *name, const char *bytes)
{
    char file[8192];
    int fd;

    snprintf(file, sizeof(file), "%s/%s", path, name);
    fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    REQUIRE(fd >= 0);
    REQUIRE(write(fd, bytes, strlen(bytes)) == (ssize_t)strlen(bytes) && close(fd) == 0);
}
