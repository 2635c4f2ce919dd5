/*
 * Names of devices change: /dev/sdb is another disk after a reboot, /dev/dm-3 another volume.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/cli/place.h"

#define WORD_BYTES 256 /* of an id; a part of a longer one will do */

/* What the kernel tells of a device that stays with it, the most telling first; of a partition its
 * disk's. Source: Documentation/ABI/stable/sysfs-block. */
static const char *const attributes[] = {
    "dm/uuid", "wwid",           "device/wwid", "serial",           "device/serial",
    "../wwid", "../device/wwid", "../serial",   "../device/serial",
};

/* The first line of an attribute, without blanks around it; "": there is none. */
static void read_attribute(dev_t dev, const char *attribute, char out[WORD_BYTES])
{
    char path[80], bytes[WORD_BYTES], *word = bytes;
    OWNED(fd) int fd = -1;
    size_t n = 0;

    out[0] = '\0';
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev), attribute);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || io_read(fd, bytes, sizeof(bytes) - 1, &n) < 0)
        return;
    bytes[n] = '\0';
    word += strspn(word, " ");
    word[strcspn(word, "\n")] = '\0';
    for (n = strlen(word); n > 0 && word[n - 1] == ' '; n--)
        word[n - 1] = '\0';
    snprintf(out, WORD_BYTES, "%s", word);
}

static bool identify_device(dev_t dev, char *out, size_t cap)
{
    char partition[WORD_BYTES], id[WORD_BYTES];

    read_attribute(dev, "partition", partition);
    for (size_t i = 0; i < ARRAY_N(attributes); i++) {
        read_attribute(dev, attributes[i], id);
        if (id[0]) {
            snprintf(out, cap, "device %.240s %.16s", id, partition);
            return true;
        }
    }
    return false;
}

void place_identify(const struct place *place, char *out, size_t cap)
{
    struct io_identity id = {0};

    if (place->kind == PLACE_FILE && io_identify(place->fd, &id) == 0)
        snprintf(out, cap, "file %" PRIu64 " %" PRIu64, id.ino, id.btime_ns);
    else if (place->kind != PLACE_BLOCK || !identify_device(place->st.st_rdev, out, cap))
        snprintf(out, cap, "%s", place->name);
}
