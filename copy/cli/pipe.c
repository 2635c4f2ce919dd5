/*
 * Out of a pipe: while one block is being read the ones before it are on their way to the
 * destination, a slot each, run by run of data or zeroes.
 */
#include "copy/cli/pipe.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/cli/engine.h"
#include "copy/cli/name.h"
#include "copy/cli/sequence.h"
#include "copy/engine.h"
#include "copy/zero.h"

#define ZEROES_BYTES ((size_t)256 * 1024)
#define PIPE_BYTES   (1 << 20)

struct pour;

struct slot {
    struct request request;
    struct pour *pour;
    char *buf;
    size_t n_bytes, n_done;
    uint64_t offset;
    bool busy;
};

struct pour {
    struct cli *cli;
    struct place *destination;
    struct queue *queue;
    bool sparse;
    int r; /* the first error */
    uint64_t bad_bytes;
    unsigned n_slots;
    struct slot *slots;
    char *buffers;
};

static void pour_deinit(struct pour *pour)
{
    free(pour->slots);
    free(pour->buffers);
}

static int pour_init(struct pour *pour, size_t block_bytes)
{
    pour->n_slots = queue_depth(pour->queue);
    pour->slots = calloc(pour->n_slots, sizeof(pour->slots[0]));
    pour->buffers = io_buffers(pour->n_slots * block_bytes);
    if (!pour->slots || !pour->buffers)
        return -ENOMEM;
    for (unsigned i = 0; i < pour->n_slots; i++) {
        pour->slots[i].pour = pour;
        pour->slots[i].buf = pour->buffers + i * block_bytes;
    }
    return 0;
}

static int call_zero(struct request *request)
{
    return endpoint_zero(request->ep, request->offset, request->n_bytes);
}

static void on_run(struct request *request, int r);

/* Begin with the next run that needs anything done; without one the slot is free. */
static void go_on(struct slot *slot)
{
    struct pour *pour = slot->pour;
    struct progress *progress = &pour->cli->progress;

    while (slot->n_done < slot->n_bytes && pour->r == 0) {
        bool zero = false;
        size_t left = slot->n_bytes - slot->n_done;
        size_t n = pour->sparse ? zero_run(slot->buf + slot->n_done, left, &zero) : left;

        atomic_fetch_add(zero ? &progress->zero_bytes : &progress->copied_bytes, n);
        if (zero && pour->destination->made) {
            slot->n_done += n;
            continue;
        }
        slot->request = (struct request){.kind = zero ? REQUEST_CALL : REQUEST_WRITE,
                                         .call = call_zero,
                                         .ep = pour->destination->ep,
                                         .buf = slot->buf + slot->n_done,
                                         .n_bytes = n,
                                         .offset = slot->offset + slot->n_done,
                                         .done = on_run,
                                         .arg = slot};
        queue_submit(pour->queue, &slot->request);
        return;
    }
    slot->busy = false;
    if (pour->r == 0)
        atomic_fetch_add(&progress->done_bytes, slot->n_bytes);
}

static void on_run(struct request *request, int r)
{
    struct slot *slot = request->arg;
    struct pour *pour = slot->pour;

    if (r < 0 && pour->r == 0) {
        pour->r = r;
        pour->bad_bytes = request->offset + request->n_done;
    }
    slot->n_done += request->n_bytes;
    go_on(slot);
}

static struct slot *free_slot(struct pour *pour)
{
    queue_wait(pour->queue, 0);
    for (;;) {
        for (unsigned i = 0; i < pour->n_slots; i++) {
            if (!pour->slots[i].busy)
                return &pour->slots[i];
        }
        queue_wait(pour->queue, UINT64_MAX);
    }
}

static void drain(struct pour *pour)
{
    while (queue_wait(pour->queue, UINT64_MAX) > 0)
        continue;
}

static int fail_write(struct pour *pour, struct cli_result *ret)
{
    const char *remedy =
        pour->r == -ENOSPC || pour->r == -EDQUOT ? "; make room, or use another" : "";

    ret->bad_bytes = pour->bad_bytes;
    return cli_fail(ret, -pour->r, "cannot write %.100s at byte %" PRIu64 ": %s%s",
                    pour->destination->shown, pour->bad_bytes, strerror(-pour->r), remedy);
}

/* Whoever should have sent something has failed, more likely than not. */
static int refuse_nothing(const struct place *destination, struct cli_result *ret)
{
    if (destination->made || destination->size_bytes == 0 || cli_name_is_null(destination->name))
        return 0;
    return cli_refuse(ret, ENODATA, "nothing came from standard input; %.100s stays as it is",
                      destination->shown);
}

static int pour_block(struct pour *pour, struct cli_inlet *inlet, size_t block_bytes, bool *ret_end,
                      struct cli_result *ret)
{
    struct slot *slot = free_slot(pour);
    uint64_t offset = inlet->n_bytes;
    size_t n;
    int r = pour->r < 0 ? fail_write(pour, ret) : 0;

    if (r == 0)
        r = cli_inlet_read(inlet, slot->buf, block_bytes, &n, ret);
    if (r == 0 && inlet->n_bytes == 0)
        r = refuse_nothing(pour->destination, ret);
    if (r == 0)
        r = place_grow(pour->destination, inlet->n_bytes, ret);
    if (r < 0)
        return r;
    *ret_end = n < block_bytes;
    if (n == 0)
        return 0;
    slot->offset = offset;
    slot->n_bytes = n;
    slot->n_done = 0;
    slot->busy = true;
    go_on(slot);
    return 0;
}

static int sync_destination(struct pour *pour, struct cli_result *ret)
{
    const struct endpoint_ops *ops = pour->destination->ep->ops;
    int r = ops->sync(pour->destination->ep);

    if (r < 0)
        return cli_fail(ret, -r, "cannot flush %.100s: %s", pour->destination->shown, strerror(-r));
    return 0;
}

int cli_pipe_in(struct cli_inlet *inlet, struct place *destination, struct queue *queue,
                struct cli_result *ret)
{
    struct cli *cli = inlet->cli;
    struct pour pour = {
        .cli = cli, .destination = destination, .queue = queue, .sparse = cli->options->sparse};
    size_t block_bytes = (size_t)cli->options->block_bytes;
    bool end = false;
    int r = pour_init(&pour, block_bytes);

    /* A larger pipe is a wish. */
    (void)fcntl(inlet->source->fd, F_SETPIPE_SZ, PIPE_BYTES);
    if (r < 0)
        cli_fail(ret, -r, "no memory for buffers");
    while (r == 0 && !end)
        r = pour_block(&pour, inlet, block_bytes, &end, ret);
    drain(&pour);
    if (r == 0 && pour.r < 0)
        r = fail_write(&pour, ret);
    if (r == 0)
        r = sync_destination(&pour, ret);
    pour_deinit(&pour);
    return r;
}

/* A description of our own for a pipe, which does not make us wait where there is no room; anything
 * else has none, and is written as it is. */
static int open_outlet(const struct place *destination)
{
    char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];

    if (!S_ISFIFO(destination->st.st_mode))
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", destination->fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

static int await_room(struct cli *cli, int fd)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLOUT}, {.fd = cli->stop_fd, .events = POLLIN}};

    while (poll(fds, ARRAY_N(fds), -1) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return atomic_load(&cli->stop) ? -ECANCELED : 0;
}

static int write_out(struct cli *cli, int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t put;
        int r = await_room(cli, fd);

        if (r < 0)
            return r;
        put = write(fd, bytes, n);
        if (put < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (put > 0) {
            bytes += put;
            n -= (size_t)put;
        }
    }
    return 0;
}

static int write_piece(struct cli *cli, int fd, const struct sequence_piece *piece)
{
    static const char zeroes[ZEROES_BYTES];
    uint64_t left = piece->n_bytes;
    int r = 0;

    if (piece->data)
        return write_out(cli, fd, piece->data, (size_t)piece->n_bytes);
    while (r == 0 && left > 0) {
        size_t n = left < ZEROES_BYTES ? (size_t)left : ZEROES_BYTES;

        r = write_out(cli, fd, zeroes, n);
        left -= n;
    }
    return r;
}

static int send_all(struct cli *cli, struct sequence *sequence, int fd, const struct place *source,
                    struct cli_result *ret)
{
    struct progress *progress = &cli->progress;
    struct sequence_piece piece;
    int r;

    while ((r = sequence_next(sequence, &piece)) > 0) {
        r = write_piece(cli, fd, &piece);
        if (r == -ECANCELED)
            break;
        if (r < 0)
            return cli_fail(ret, -r, "cannot write standard output: %s", strerror(-r));
        atomic_fetch_add(piece.data ? &progress->copied_bytes : &progress->hole_bytes,
                         piece.n_bytes);
        atomic_fetch_add(&progress->done_bytes, piece.n_bytes);
    }
    return r < 0 ? cli_fail_read(ret, r, source, piece.offset) : cli_check_read(source, ret);
}

/* What the shell has opened for us may be storage. */
static int sync_outlet(const struct place *destination, struct cli_result *ret)
{
    mode_t mode = destination->st.st_mode;
    int r = S_ISREG(mode) || S_ISBLK(mode) ? io_sync(destination->fd) : 0;

    return r < 0 ? cli_fail(ret, -r, "cannot flush standard output: %s", strerror(-r)) : 0;
}

int cli_pipe_out(struct cli *cli, const struct place *source, const struct place *destination,
                 struct queue *queue, struct cli_result *ret)
{
    const struct sequence_terms terms = {.queue = queue,
                                         .ep = source->ep,
                                         .size_bytes = source->size_bytes,
                                         .block_bytes = cli->options->block_bytes,
                                         .stop = &cli->stop,
                                         .speed_bytes_per_s = &cli->speed_bytes_per_s};
    OWNED(fd) int outlet = open_outlet(destination);
    OWNED(sequence) struct sequence *sequence = NULL;
    int r = sequence_open(&terms, &sequence);

    if (r < 0)
        return cli_fail(ret, -r, "no memory for buffers");
    (void)fcntl(destination->fd, F_SETPIPE_SZ, PIPE_BYTES);
    r = send_all(cli, sequence, outlet >= 0 ? outlet : destination->fd, source, ret);
    return r < 0 ? r : sync_outlet(destination, ret);
}
