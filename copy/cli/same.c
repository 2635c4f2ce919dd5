#include "copy/cli/same.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>

#include "copy/base/cleanup.h"

/* The file that the bytes of a place are in. */
struct backing {
    uint64_t dev, ino;
    uint64_t offset_bytes; /* of the device's first byte in it */
    int64_t loop;          /* the number of the device, which its partitions share; -1: no device */
};

/* Source: loop(4), LOOP_GET_STATUS64; a partition answers as its device does. */
static bool find_loop(const struct place *place, struct backing *ret)
{
    OWNED(fd) int fd = -1;
    struct loop_info64 info;

    if (place->path)
        fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (ioctl(fd >= 0 ? fd : place->fd, LOOP_GET_STATUS64, &info) < 0)
        return false;
    *ret = (struct backing){.dev = info.lo_device,
                            .ino = info.lo_inode,
                            .offset_bytes = info.lo_offset,
                            .loop = info.lo_number};
    return true;
}

static bool find_backing(const struct place *place, struct backing *ret)
{
    if (S_ISBLK(place->st.st_mode))
        return find_loop(place, ret);
    *ret = (struct backing){.dev = place->st.st_dev, .ino = place->st.st_ino, .loop = -1};
    return S_ISREG(place->st.st_mode);
}

/* Two devices over two parts of one file are two volumes: partitions are. */
static bool overlap(const struct backing *a, const struct backing *b)
{
    if (a->loop < 0 || b->loop < 0)
        return true;
    return a->loop != b->loop && a->offset_bytes == b->offset_bytes;
}

bool cli_is_same(const struct place *a, const struct place *b)
{
    struct backing in_a, in_b;

    if (!a->st.st_mode || !b->st.st_mode)
        return a->kind == PLACE_OTHER && b->kind == PLACE_OTHER && strcmp(a->name, b->name) == 0;
    if (S_ISBLK(a->st.st_mode) && S_ISBLK(b->st.st_mode) && a->st.st_rdev == b->st.st_rdev)
        return true;
    return find_backing(a, &in_a) && find_backing(b, &in_b) && in_a.dev == in_b.dev &&
           in_a.ino == in_b.ino && overlap(&in_a, &in_b);
}
