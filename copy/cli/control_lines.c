#include "copy/cli/control_lines.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"

#define CHUNK_BYTES 256

static void heed(struct cli_control_lines *lines)
{
    char content[CLI_CONTROL_LINE_MAX + 1];
    struct err why = {0};
    uint64_t rate;

    if (text_command(lines->line, lines->n, content) < 0)
        cli_say("--control-fd: not a line with a rate; the speed stays as it is");
    else if (cli_options_rate(content, &rate, &why) < 0)
        cli_say("--control-fd: %.120s; the speed stays as it is", why.text);
    else
        atomic_store(&lines->cli->speed_bytes_per_s, rate);
}

static void take_byte(struct cli_control_lines *lines, char byte)
{
    if (byte == '\n') {
        if (!lines->too_long)
            heed(lines);
        lines->n = 0;
        lines->too_long = false;
        return;
    }
    if (lines->too_long)
        return;
    if (lines->n == CLI_CONTROL_LINE_MAX) {
        lines->too_long = true;
        cli_say("--control-fd: a line too long for a rate; the speed stays as it is");
        return;
    }
    lines->line[lines->n++] = byte;
}

static void stop(struct cli_control_lines *lines)
{
    loop_remove(lines->source);
    lines->source = NULL;
}

/* One read, of what is there: it is not ours to make it nonblocking, since others may share it. */
static void on_input(void *arg, uint32_t events)
{
    struct cli_control_lines *lines = arg;
    struct pollfd ready = {.fd = lines->fd, .events = POLLIN};
    char bytes[CHUNK_BYTES];
    ssize_t n;

    (void)events;
    if (poll(&ready, 1, 0) <= 0)
        return;
    n = read(lines->fd, bytes, sizeof(bytes));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        cli_say("cannot read --control-fd: %s; the speed stays as it is", strerror(errno));
    for (ssize_t i = 0; i < n; i++)
        take_byte(lines, bytes[i]);
    if (n > 0)
        return;
    if (lines->n > 0) /* the last line may lack its end */
        take_byte(lines, '\n');
    stop(lines);
}

int cli_control_lines_begin(struct cli_control_lines *lines, struct cli *cli, struct loop *loop,
                            int fd, struct err *e)
{
    int r;

    *lines = (struct cli_control_lines){.cli = cli, .fd = fd};
    if (fd < 0)
        return 0;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_set(e, errno, "cannot use --control-fd: %s", strerror(errno));
    r = loop_add_fd(loop, fd, EPOLLIN, on_input, lines, &lines->source);
    if (r == -EPERM)
        return err_set(e, EPERM, "--control-fd: a file cannot be waited for; use --control");
    return r < 0 ? err_set(e, -r, "cannot watch --control-fd: %s", strerror(-r)) : 0;
}

void cli_control_lines_end(struct cli_control_lines *lines)
{
    stop(lines);
}
