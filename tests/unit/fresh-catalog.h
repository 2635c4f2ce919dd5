/*
 * A catalogue in a temporary folder, and records to put into it.
 */
#pragma once

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/catalog/catalog.h"
#include "tests/unit/check.h"

#define FOLDER_BYTES 64

struct world {
    char folder[FOLDER_BYTES]; /* a temporary one */
    char state[FOLDER_BYTES + 16];
    char file[FOLDER_BYTES + 48];
    struct err e;
};

static struct world make_world(void)
{
    struct world world = {0};

    snprintf(world.folder, sizeof(world.folder), "/tmp/test-catalog-XXXXXX");
    REQUIRE(mkdtemp(world.folder));
    snprintf(world.state, sizeof(world.state), "%s/state", world.folder);
    snprintf(world.file, sizeof(world.file), "%s/catalogue.tdb", world.state);
    return world;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_world(struct world *world)
{
    REQUIRE(nftw(world->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

#define WORLD __attribute__((cleanup(remove_world))) struct world

static struct catalog *open_catalog(struct world *world)
{
    struct catalog *catalog = NULL;
    int r = catalog_open(world->state, &catalog, &world->e);

    if (r < 0)
        printf("# %s\n", world->e.text);
    REQUIRE(r == 0);
    return catalog;
}

static struct volume volume_number(uint64_t number)
{
    struct volume volume = {.number = number, .status = VOLUME_AVAILABLE, .epoch = 1};

    memcpy(volume.uuid, &number, sizeof(number));
    memcpy(volume.primary, &number, sizeof(number));
    volume.primary[15] = 1;
    snprintf(volume.name, sizeof(volume.name), "volume-%" PRIu64, number);
    strcpy(volume.host, "ssd");
    return volume;
}

static inline struct copy copy_number(uint64_t number)
{
    struct volume volume = volume_number(number);
    struct copy copy = {.role = COPY_PRIMARY, .state = COPY_SEALED, .size_bytes = number << 20};

    uuid_copy(copy.cid, volume.primary);
    uuid_copy(copy.volume, volume.uuid);
    strcpy(copy.name, volume.name);
    strcpy(copy.host, volume.host);
    return copy;
}

static inline struct job job_number(uint64_t number)
{
    struct job job = {.number = number, .verify = true, .error_offset = UINT64_MAX};
    struct volume volume = volume_number(number);

    uuid_copy(job.volume, volume.uuid);
    strcpy(job.source, "ssd");
    strcpy(job.destination, "hdd");
    strcpy(job.phase, "copying");
    return job;
}

static inline struct history history_of(uint64_t job)
{
    struct history history = {.job = job, .result = RESULT_SUCCESS};

    strcpy(history.name, "db1");
    strcpy(history.source, "ssd");
    strcpy(history.destination, "hdd");
    return history;
}
