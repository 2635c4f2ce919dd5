/*
 * What becomes of a destination: its size, its name, its end.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/cli/name.h"
#include "copy/cli/place.h"
#include "copy/cli/window.h"

#define MODE_BITS 0777

static int open_parent(const struct place *place)
{
    char parent[PATH_MAX];

    cli_name_parent(place->path, parent);
    return open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int place_sync_parent(const struct place *place, struct cli_result *ret)
{
    OWNED(fd) int parent = open_parent(place);
    int r = parent < 0 ? -errno : io_sync(parent);

    /* One that may be written but not read cannot be flushed; some file systems flush none. */
    if (r == 0 || r == -EACCES || r == -EINVAL)
        return 0;
    return cli_fail(ret, -r, "cannot flush the directory of %.100s: %s", place->shown,
                    strerror(-r));
}

static int set_file_size(struct place *place, uint64_t size_bytes, struct cli_result *ret)
{
    int r = 0;

    if (size_bytes > INT64_MAX)
        return cli_fail(ret, EFBIG, "%.100s cannot be so large", place->shown);
    if (place->size_bytes < size_bytes && ftruncate(place->fd, (off_t)size_bytes) < 0)
        return cli_fail(ret, errno, "cannot give %.100s its size: %s", place->shown,
                        strerror(errno));
    if (place->size_bytes > size_bytes)
        r = cli_window_put(&place->ep, size_bytes);
    return r < 0 ? cli_fail(ret, -r, "no memory") : 0;
}

/* What was allocated ahead of its data takes space, and reads as a hole does. Only space is lost
 * where this fails. */
static void free_holes(int fd, off_t size)
{
    off_t hole, data = 0;

    while (data < size && (hole = lseek(fd, data, SEEK_HOLE)) >= 0 && hole < size) {
        data = lseek(fd, hole, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
            return;
        if (data < 0)
            data = size;
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, hole, data - hole);
    }
}

int place_cut(struct place *place, uint64_t size_bytes, bool sparse, struct cli_result *ret)
{
    struct stat st;
    int r = 0;

    if (place->kind != PLACE_FILE || place->made)
        return 0;
    if (fstat(place->fd, &st) < 0 ||
        ((uint64_t)st.st_size > size_bytes && ftruncate(place->fd, (off_t)size_bytes) < 0))
        return cli_fail(ret, errno, "cannot cut %.100s: %s", place->shown, strerror(errno));
    if (sparse)
        free_holes(place->fd, (off_t)size_bytes);
    r = io_sync(place->fd);
    return r < 0 ? cli_fail(ret, -r, "cannot flush %.100s: %s", place->shown, strerror(-r)) : 0;
}

int place_set_size(struct place *place, uint64_t size_bytes, struct cli_result *ret)
{
    char wanted[CLI_SIZE_BYTES], there[CLI_SIZE_BYTES];
    int r;

    if (place->kind == PLACE_FILE)
        return set_file_size(place, size_bytes, ret);
    if (place->size_bytes < size_bytes)
        return cli_refuse(ret, ENOSPC, "%.100s is too small: it has %s, and %s are needed",
                          place->shown, cli_size_text(place->size_bytes, there),
                          cli_size_text(size_bytes, wanted));
    if (place->size_bytes > size_bytes && !cli_name_is_null(place->name))
        cli_say("%.100s is larger than the source: beyond %s it stays as it is", place->shown,
                cli_size_text(size_bytes, wanted));
    r = endpoint_resize(place->ep, size_bytes);
    if (r < 0 && place->size_bytes != size_bytes)
        return cli_fail(ret, -r, "cannot use a part of %.100s: %s", place->shown, strerror(-r));
    return 0;
}

int place_grow(struct place *place, uint64_t size_bytes, struct cli_result *ret)
{
    char size[CLI_SIZE_BYTES];

    if (place->size_bytes >= size_bytes)
        return 0;
    if (place->kind != PLACE_FILE)
        return cli_fail(ret, ENOSPC, "%.100s is too small: it has %s, and more has come",
                        place->shown, cli_size_text(place->size_bytes, size));
    if (ftruncate(place->fd, (off_t)size_bytes) < 0)
        return cli_fail(ret, errno, "cannot make %.100s larger: %s", place->shown, strerror(errno));
    place->size_bytes = size_bytes;
    return 0;
}

int place_set_mode(const struct place *place, const struct place *source)
{
    mode_t missing = S_ISREG(source->st.st_mode) ? 0600 & ~source->st.st_mode : 0;
    struct stat st;

    if (!missing)
        return 0;
    if (fstat(place->fd, &st) < 0 || fchmod(place->fd, st.st_mode & MODE_BITS & ~missing) < 0)
        return -errno;
    return 0;
}

int place_complete(struct place *place, const struct place *source, struct cli_result *ret)
{
    char handle[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
    int r;

    if (!place->made)
        return 0;
    snprintf(handle, sizeof(handle), "/proc/self/fd/%d", place->fd);
    if (place->nameless && linkat(AT_FDCWD, handle, AT_FDCWD, place->path, AT_SYMLINK_FOLLOW) < 0)
        return cli_fail(ret, errno, "the copy is whole, but cannot be named %.100s: %s",
                        place->shown, strerror(errno));
    place->nameless = false;
    r = place_set_mode(place, source);
    if (r == 0)
        r = io_sync(place->fd);
    if (r < 0)
        return cli_fail(ret, -r, "cannot complete %.100s: %s", place->shown, strerror(-r));
    if (place_sync_parent(place, ret) < 0)
        return -ret->err.code;
    place->made = false;
    return 0;
}

/* Its name may be another's by now. */
void place_unlink(const struct place *place)
{
    struct stat now, ours;

    if (place->made && !place->nameless && fstat(place->fd, &ours) == 0 &&
        lstat(place->path, &now) == 0 && now.st_dev == ours.st_dev && now.st_ino == ours.st_ino)
        unlink(place->path);
}

bool place_discard(struct place *place)
{
    bool made = place->made;

    place_unlink(place);
    place->made = false;
    return made;
}

int place_close(struct place *place)
{
    int r = endpoint_close(place->ep);

    if (place->owns_fd && close(place->fd) < 0 && r == 0)
        r = -errno;
    *place = PLACE_NONE;
    return r;
}
