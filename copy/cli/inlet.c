#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/cli/pipe.h"

int cli_inlet_init(struct cli_inlet *inlet, struct cli *cli, const struct place *source,
                   size_t block_bytes, struct cli_result *ret)
{
    *inlet = (struct cli_inlet){.cli = cli, .source = source};
    if (digests_open(INT64_MAX, block_bytes, &inlet->digests) < 0)
        return cli_fail(ret, ENOMEM, "no memory for digests");
    return 0;
}

void cli_inlet_deinit(struct cli_inlet *inlet)
{
    digests_close(inlet->digests);
    *inlet = (struct cli_inlet){0};
}

/* There is something to read, or the end; or it is time to stop. */
static int await_input(const struct cli_inlet *inlet)
{
    struct pollfd fds[] = {{.fd = inlet->source->fd, .events = POLLIN},
                           {.fd = inlet->cli->stop_fd, .events = POLLIN}};

    while (poll(fds, ARRAY_N(fds), -1) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return atomic_load(&inlet->cli->stop) ? -ECANCELED : 0;
}

static int read_block(const struct cli_inlet *inlet, char *buf, size_t wanted, size_t *ret_n)
{
    *ret_n = 0;
    while (*ret_n < wanted) {
        ssize_t got;
        int r = await_input(inlet);

        if (r < 0)
            return r;
        got = read(inlet->source->fd, buf + *ret_n, wanted - *ret_n);
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (got == 0)
            return 0;
        *ret_n += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int keep_digest(struct cli_inlet *inlet, const void *buf, size_t n)
{
    struct digest digest;

    digest_of(buf, n, &digest);
    return digests_set(inlet->digests, inlet->n_bytes, &digest);
}

/* Wait as the limit asks for, which may change meanwhile. */
static void hold_back(struct cli_inlet *inlet, size_t n)
{
    struct pollfd stop = {.fd = inlet->cli->stop_fd, .events = POLLIN};

    for (;;) {
        uint64_t now = io_now_ns(),
                 next = throttle_next_ns(&inlet->throttle,
                                         atomic_load(&inlet->cli->speed_bytes_per_s), now);
        uint64_t wait_ms = next > now ? (next - now) / 1000000 + 1 : 0;

        if (wait_ms == 0 || atomic_load(&inlet->cli->stop))
            break;
        poll(&stop, 1, wait_ms < 100 ? (int)wait_ms : 100);
    }
    throttle_spend(&inlet->throttle, n);
}

int cli_inlet_read(struct cli_inlet *inlet, void *buf, size_t wanted, size_t *ret_n,
                   struct cli_result *ret)
{
    int r = read_block(inlet, buf, wanted, ret_n);

    if (r == -ECANCELED)
        return cli_fail(ret, -r, "stopped");
    if (r < 0)
        return cli_fail(ret, -r, "cannot read standard input: %s", strerror(-r));
    if (*ret_n > 0)
        r = keep_digest(inlet, buf, *ret_n);
    if (r < 0)
        return cli_fail(ret, -r, "no memory for digests");
    inlet->n_bytes += *ret_n;
    if (*ret_n > 0)
        hold_back(inlet, *ret_n);
    return 0;
}

int cli_inlet_conclude(struct cli_inlet *inlet, struct cli_result *ret)
{
    if (digests_set_size(inlet->digests, inlet->n_bytes) < 0)
        return cli_fail(ret, ENOMEM, "no memory for digests");
    return 0;
}
