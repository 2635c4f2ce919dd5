/*
 * The file is made whole under another name and then given its own, so that nobody ever finds half
 * of one. From then on it is written in place: a state is a page, two pages take turns, and a turn
 * ends with fdatasync. So the page that is not being written holds the last state that is on stable
 * storage, whatever becomes of the other one. After a failure the same page is written again: what
 * the kernel kept of the first attempt is not known, and the other page is all there is to rely on.
 */
#include "copy/map.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/map_record.h"

#define SAMPLE_GRAINS UINT64_C(64)
#define NAME_TRIES    100
#define OPEN_TRIES    10

struct map {
    bool made;
    int fd, dir_fd; /* the map, locked, and the directory that its name is in */
    char name[NAME_MAX + 1];
    struct map_key key;
    struct map_state state; /* the last one that is on stable storage */
};

static int sample_grain(struct endpoint *ep, void *buf, size_t n, uint64_t offset, struct err *e)
{
    size_t got;
    int r = endpoint_read(ep, buf, n, offset, &got);

    if (r == -ESTALE)
        return err_set(e, ESTALE, "ends early, at byte %" PRIu64, offset + got);
    if (r < 0)
        return err_set(e, -r, "cannot read at byte %" PRIu64 ": %s", offset, strerror(-r));
    return 0;
}

/* Evenly spread over the grains, the first and the last among them. */
static uint64_t sample_place(uint64_t i, uint64_t n_samples, uint64_t n_grains)
{
    uint64_t stride = n_samples > 1 ? (n_grains - 1) / (n_samples - 1) : 0;

    return (i + 1 == n_samples ? n_grains - 1 : i * stride) * ENDPOINT_GRAIN_BYTES;
}

int map_sample(struct endpoint *ep, uint64_t size_bytes, struct digest *ret, struct err *e)
{
    uint64_t n_grains = size_bytes / ENDPOINT_GRAIN_BYTES + (size_bytes % ENDPOINT_GRAIN_BYTES > 0);
    uint64_t n = n_grains < SAMPLE_GRAINS ? n_grains : SAMPLE_GRAINS;
    OWNED(mem)
    char *all = aligned_alloc(ENDPOINT_GRAIN_BYTES, SAMPLE_GRAINS * ENDPOINT_GRAIN_BYTES);

    if (!all)
        return err_set(e, ENOMEM, "no memory for samples of the source");
    memset(all, 0, SAMPLE_GRAINS * ENDPOINT_GRAIN_BYTES);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = sample_place(i, n, n_grains), left = size_bytes - at;
        size_t grain = left < ENDPOINT_GRAIN_BYTES ? (size_t)left : ENDPOINT_GRAIN_BYTES;
        int r = sample_grain(ep, all + i * ENDPOINT_GRAIN_BYTES, grain, at, e);

        if (r < 0)
            return r;
    }
    digest_of(all, n * ENDPOINT_GRAIN_BYTES, ret);
    return 0;
}

bool map_exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* The directory, held open, and the name in it: a later chdir or rename of a parent changes
 * nothing.
 */
static int split(struct map *map, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    OWNED(mem) char *dir = NULL;

    if (strlen(name) > NAME_MAX || !*name)
        return err_set(e, strlen(name) ? ENAMETOOLONG : EISDIR, "%s: no name for a map", path);
    memcpy(map->name, name, strlen(name) + 1);
    dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!dir)
        return err_set(e, ENOMEM, "no memory for a map");
    map->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (map->dir_fd < 0)
        return err_set(e, errno, "cannot open the directory of %s: %s", path, strerror(errno));
    return 0;
}

static int lock(int fd)
{
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    return 0;
}

/* A file of a name that nobody has; its descriptor, or a negative errno. */
static int open_new(int dir_fd, const char *name, char new_name[NAME_MAX + 1])
{
    int fd = -1;

    for (unsigned i = 0; i < NAME_TRIES && fd < 0; i++) {
        if (snprintf(new_name, NAME_MAX + 1, "%.200s.new%u", name, i) > NAME_MAX)
            return -ENAMETOOLONG;
        fd = openat(dir_fd, new_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            return -errno;
    }
    return fd < 0 ? -errno : fd;
}

/* Takes new_name away, and no other file's name. */
static int give_name(const struct map *map, const char *new_name)
{
    if (renameat2(map->dir_fd, new_name, map->dir_fd, map->name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    /* A file system without it, NFS. */
    if (linkat(map->dir_fd, new_name, map->dir_fd, map->name, 0) < 0 ||
        unlinkat(map->dir_fd, new_name, 0) < 0)
        return -errno;
    return 0;
}

static int fill(const struct map *map, int fd, const char *new_name)
{
    uint8_t bytes[MAP_FILE_BYTES];
    int r = lock(fd);

    map_encode(&map->key, bytes);
    if (r == 0)
        r = io_pwrite(fd, bytes, sizeof(bytes), 0);
    if (r == 0)
        r = io_sync(fd);
    if (r == 0)
        r = give_name(map, new_name);
    return r;
}

/* -EEXIST: there is something of that name. */
static int make(struct map *map)
{
    char new_name[NAME_MAX + 1];
    OWNED(fd) int fd = open_new(map->dir_fd, map->name, new_name);
    int r;

    if (fd < 0)
        return fd;
    r = fill(map, fd, new_name);
    if (r < 0) {
        unlinkat(map->dir_fd, new_name, 0);
        return r;
    }
    r = io_sync(map->dir_fd);
    if (r < 0) {
        unlinkat(map->dir_fd, map->name, 0);
        return r;
    }
    map->fd = take_fd(&fd);
    map->made = true;
    map->state =
        (struct map_state){.sequence = MAP_N_STATES - 1, .block_bytes = map->key.block_bytes};
    return 0;
}

/* -ENOENT: there is nothing of that name, or no more. */
static int open_locked(const struct map *map, int *ret_fd)
{
    OWNED(fd) int fd = -1;
    struct stat st;
    int r;

    if (fstatat(map->dir_fd, map->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode)) /* not opened: opening may do something */
        return -EBADMSG;
    fd = openat(map->dir_fd, map->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = lock(fd);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_nlink == 0) /* removed by the one that had it locked */
        return -ENOENT;
    *ret_fd = take_fd(&fd);
    return 0;
}

/* What was asked for, against what the map is of. */
static int compare(const char *path, const struct map_key *now, const struct map_key *then,
                   struct err *e)
{
    if (now->size_bytes != then->size_bytes)
        return err_set(e, ESTALE,
                       "%s is the map of another source: that had %" PRIu64
                       " bytes, this one has %" PRIu64,
                       path, then->size_bytes, now->size_bytes);
    if (now->mtime_ns != then->mtime_ns)
        return err_set(e, ESTALE,
                       "%s is the map of another source, or this one was changed since: its "
                       "modification time is another one",
                       path);
    if (!digest_same(&now->sample, &then->sample))
        return err_set(e, ESTALE,
                       "%s is the map of another source, or this one was changed since: its "
                       "contents differ",
                       path);
    if (memcmp(now->destination, then->destination, MAP_NAME_BYTES) != 0)
        return err_set(e, ESTALE, "%s is the map of a copy to another destination", path);
    return 0;
}

static int load(struct map *map, const char *path, struct err *e)
{
    uint8_t bytes[MAP_FILE_BYTES + 1]; /* one more, to see that there is no more */
    struct map_key then;
    const char *why;
    size_t n;
    int r = io_pread(map->fd, bytes, sizeof(bytes), 0, &n);

    if (r < 0)
        return err_set(e, -r, "cannot read %s: %s", path, strerror(-r));
    if (map_decode(bytes, n, &then, &map->state, &why) < 0)
        return err_set(e, EBADMSG, "cannot resume from %s: %s", path, why);
    return compare(path, &map->key, &then, e);
}

static int make_or_load(struct map *map, const char *path, struct err *e)
{
    int r = -EEXIST;

    for (unsigned i = 0; i < OPEN_TRIES && r == -EEXIST; i++) {
        r = open_locked(map, &map->fd);
        if (r == 0)
            return load(map, path, e);
        if (r == -ENOENT)
            r = make(map);
    }
    if (r == -EBUSY)
        return err_set(e, EBUSY, "%s is in use by another copy", path);
    if (r == -EBADMSG)
        return err_set(e, EBADMSG, "cannot resume from %s: it is no regular file", path);
    return r < 0 ? err_set(e, -r, "cannot use %s: %s", path, strerror(-r)) : 0;
}

int map_open(const char *path, const struct map_key *key, struct map **ret,
             struct journal_mark *ret_mark, struct err *e)
{
    OWNED(map) struct map *map = malloc(sizeof(*map));
    int r;

    assert(key->destination[MAP_NAME_BYTES - 1] == '\0');
    if (!map)
        return err_set(e, ENOMEM, "no memory for a map");
    *map = (struct map){.fd = -1, .dir_fd = -1, .key = *key};
    r = split(map, path, e);
    if (r == 0)
        r = make_or_load(map, path, e);
    if (r < 0)
        return r;
    *ret_mark =
        map_convert(&map->state.mark, key->size_bytes, map->state.block_bytes, key->block_bytes);
    *ret = take_ptr(map);
    return 0;
}

bool map_is_new(const struct map *map)
{
    return map->made;
}

int map_update(struct map *map, const struct journal_mark *mark)
{
    struct map_state state = {
        .sequence = map->state.sequence + 1, .block_bytes = map->key.block_bytes, .mark = *mark};
    uint8_t page[MAP_PAGE_BYTES];
    int r;

    map_encode_state(&map->key, &state, page);
    r = io_pwrite(map->fd, page, sizeof(page), map_state_offset(&state));
    if (r < 0)
        return r;
    if (fdatasync(map->fd) < 0)
        return -errno;
    map->state = state;
    return 0;
}

/* Is the file of that name still this one? */
static bool has_name(const struct map *map)
{
    struct stat st, named;

    return fstat(map->fd, &st) == 0 &&
           fstatat(map->dir_fd, map->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_dev == named.st_dev && st.st_ino == named.st_ino;
}

int map_remove(struct map *map)
{
    int r = 0;

    if (has_name(map) && unlinkat(map->dir_fd, map->name, 0) < 0)
        r = -errno;
    if (r == 0)
        r = io_sync(map->dir_fd);
    map_close(map);
    return r;
}

void map_close(struct map *map)
{
    if (!map)
        return;
    owned_fd(&map->fd);
    owned_fd(&map->dir_fd);
    free(map);
}
