/*
 * The directory is watched, not the file: then a file that takes the name by rename(2), as editors
 * and careful scripts do, is seen like one that was written.
 */
#include "copy/cli/control.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/cli/name.h"

/* More than a rate is long, so that what is too long is seen to be none. */
#define CONTENT_MAX 64

static int read_file(const char *path, char out[CONTENT_MAX + 1])
{
    OWNED(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char bytes[CONTENT_MAX];
    struct stat st;
    size_t n = 0;
    int r;

    out[0] = '\0';
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EMEDIUMTYPE;
    r = io_read(fd, bytes, sizeof(bytes), &n);
    if (r < 0 || n == 0)
        return r;
    return text_command(bytes, n, out) < 0 && n > 1 ? -EBADMSG : 0;
}

void cli_control_read(struct cli_control *control)
{
    char content[CONTENT_MAX + 1];
    struct err why = {0};
    uint64_t rate;
    int r;

    if (!control->path)
        return;
    r = read_file(control->path, content);
    if (r < 0)
        cli_say("cannot read %.100s: %s; the speed stays as it is", control->shown,
                r == -EBADMSG ? "not one line with a rate" : strerror(-r));
    else if (content[0] && cli_options_rate(content, &rate, &why) < 0)
        cli_say("%.100s: %.120s; the speed stays as it is", control->shown, why.text);
    else if (content[0])
        atomic_store(&control->cli->speed_bytes_per_s, rate);
}

static bool tells_of(const struct cli_control *control, const struct inotify_event *event)
{
    return (event->mask & IN_Q_OVERFLOW) ||
           (event->len > 0 && strcmp(event->name, control->name) == 0);
}

static void on_change(void *arg, uint32_t events)
{
    struct cli_control *control = arg;
    char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool changed = false;
    ssize_t n;

    (void)events;
    while ((n = read(control->fd, buf, sizeof(buf))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const void *)(buf + at);

            changed = changed || tells_of(control, event);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    if (changed)
        cli_control_read(control);
}

int cli_control_begin(struct cli_control *control, struct cli *cli, struct loop *loop,
                      const char *path, struct err *e)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    char parent[PATH_MAX];
    int r;

    *control =
        (struct cli_control){.cli = cli, .path = path, .name = slash ? slash + 1 : path, .fd = -1};
    if (!path)
        return 0;
    cli_name_shown(path, control->shown);
    cli_name_parent(path, parent);
    control->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (control->fd < 0 ||
        inotify_add_watch(control->fd, parent, IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) < 0)
        return err_set(e, errno, "cannot watch the directory of %.100s: %s", control->shown,
                       strerror(errno));
    r = loop_add_fd(loop, control->fd, EPOLLIN, on_change, control, &control->source);
    if (r < 0)
        return err_set(e, -r, "cannot watch %.100s: %s", control->shown, strerror(-r));
    cli_control_read(control);
    return 0;
}

void cli_control_end(struct cli_control *control)
{
    loop_remove(control->source);
    owned_fd(&control->fd);
    *control = (struct cli_control){.fd = -1};
}
