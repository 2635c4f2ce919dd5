#include "copy/cli/hold.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "copy/base/cleanup.h"
#include "copy/cli/name.h"

/* Its descriptor, if it is a device that can be written; else -1. */
static int look_at(const char *name)
{
    const char *path = name ? cli_name_path(name) : NULL;
    OWNED(fd) int fd = -1;
    struct stat st;
    int read_only;

    if (!path || stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || ioctl(fd, BLKROGET, &read_only) < 0 || read_only)
        return -1;
    return take_fd(&fd);
}

void cli_hold_look(struct cli_hold *hold, const struct cli_options *options)
{
    bool two = options->action == CLI_COMPARE;

    *hold = (struct cli_hold){{look_at(options->source), two ? look_at(options->destination) : -1}};
}

void cli_hold_release(const struct cli_hold *hold)
{
    const int no = 0;

    for (size_t i = 0; i < ARRAY_N(hold->fds); i++) {
        if (hold->fds[i] >= 0)
            (void)ioctl(hold->fds[i], BLKROSET, &no); /* we end, whatever it says */
    }
}

void cli_hold_end(struct cli_hold *hold)
{
    for (size_t i = 0; i < ARRAY_N(hold->fds); i++)
        owned_fd(&hold->fds[i]);
}
