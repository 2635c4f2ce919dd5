/*
 * The actions that only look: --compare, --map, --digest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/cli/engine.h"
#include "copy/cli/name.h"
#include "copy/cli/pipe.h"
#include "copy/cli/place.h"
#include "copy/cli/sequence.h"
#include "copy/zero.h"

static int refuse_pipe(const struct place *place, const char *option, struct cli_result *ret)
{
    if (place->kind != PLACE_PIPE)
        return 0;
    return cli_refuse(ret, ESPIPE, "%s: a pipe can be read only once and in order; use a file",
                      option);
}

static enum cli_exit differ(struct cli_result *ret, uint64_t bad_bytes)
{
    ret->bad_bytes = bad_bytes;
    ret->different = true;
    ret->status = CLI_FAILED;
    return ret->status;
}

/* Of a device only as much counts as the other volume has. Returns 1 where they cannot be equal. */
static int settle_sizes(struct place *a, struct place *b, uint64_t *ret_bytes,
                        struct cli_result *ret)
{
    struct place *larger = a->size_bytes > b->size_bytes ? a : b;
    uint64_t size_bytes = a->size_bytes < b->size_bytes ? a->size_bytes : b->size_bytes;
    char size[CLI_SIZE_BYTES];

    *ret_bytes = size_bytes;
    if (a->size_bytes == b->size_bytes)
        return 0;
    if (larger->kind == PLACE_FILE || endpoint_resize(larger->ep, size_bytes) < 0) {
        err_set(&ret->err, EILSEQ, "%.80s has %" PRIu64 " bytes, %.80s has %" PRIu64, a->shown,
                a->size_bytes, b->shown, b->size_bytes);
        differ(ret, ENGINE_NO_PLACE);
        return 1;
    }
    cli_say("%.100s is larger: only its first %s are compared", larger->shown,
            cli_size_text(size_bytes, size));
    return 0;
}

static int compare_places(struct cli *cli, struct queue *queue, struct place *a, struct place *b,
                          struct cli_result *ret)
{
    struct engine_result result = {.bad_bytes = ENGINE_NO_PLACE};
    struct engine_job job = {.queue = queue,
                             .source = a->ep,
                             .destination = b->ep,
                             .block_bytes = cli->options->block_bytes,
                             .stop = &cli->stop,
                             .speed_bytes_per_s = &cli->speed_bytes_per_s,
                             .progress = &cli->progress,
                             .compare_source = true,
                             .no_repair = true};
    int r = settle_sizes(a, b, &job.size_bytes, ret);

    if (r != 0)
        return r;
    atomic_store(&cli->size_bytes, job.size_bytes);
    atomic_store(&cli->verifying, true);
    atomic_store(&cli->phase, CLI_COMPARING);
    r = engine_verify(&job, &result);
    if (r == -EILSEQ) {
        err_set(&ret->err, EILSEQ, "%.80s and %.80s differ at byte %" PRIu64, a->shown, b->shown,
                result.bad_bytes);
        differ(ret, result.bad_bytes);
        return 1;
    }
    if (r < 0)
        return cli_fail_engine(ret, r, &result);
    r = place_check_still(a, "compared", "compare", ret);
    return r < 0 ? r : place_check_still(b, "compared", "compare", ret);
}

enum cli_exit cli_compare(struct cli *cli, struct cli_result *ret)
{
    const struct cli_options *options = cli->options;
    struct place a = PLACE_NONE, b = PLACE_NONE;
    OWNED(queue) struct queue *queue = NULL;
    int r = place_open_source(&a, options->source, options, ret);

    if (r == 0)
        r = refuse_pipe(&a, "--compare", ret);
    if (r == 0)
        r = place_open_source(&b, options->destination, options, ret);
    if (r == 0)
        r = refuse_pipe(&b, "--compare", ret);
    if (r == 0)
        r = cli_open_queue(cli, &queue, ret);
    if (r == 0)
        compare_places(cli, queue, &a, &b, ret);
    if (ret->status == CLI_FAILED && !ret->different)
        ret->status = CLI_TROUBLE;
    queue_close(take_ptr(queue));
    place_close(&a);
    place_close(&b);
    return ret->status;
}

/* Neighbours of one kind are one line. */
struct map_line {
    uint64_t start, length;
    const char *kind;
};

static void print_map_line(const struct map_line *line)
{
    if (line->length > 0)
        printf("%" PRIu64 " %" PRIu64 " %s\n", line->start, line->length, line->kind);
}

static void map_run(struct map_line *line, uint64_t start, uint64_t length, const char *kind)
{
    if (line->kind != kind) {
        print_map_line(line);
        *line = (struct map_line){.start = start, .kind = kind};
    }
    line->length += length;
}

static void map_piece(struct map_line *line, const struct sequence_piece *piece)
{
    static const char data[] = "data", zero[] = "zero", hole[] = "hole";

    if (!piece->data)
        map_run(line, piece->offset, piece->n_bytes, hole);
    for (uint64_t at = 0; piece->data && at < piece->n_bytes;) {
        bool is_zero;
        size_t n =
            zero_run((const char *)piece->data + at, (size_t)(piece->n_bytes - at), &is_zero);

        map_run(line, piece->offset + at, n, is_zero ? zero : data);
        at += n;
    }
}

static void count_piece(struct cli *cli, const struct sequence_piece *piece)
{
    atomic_fetch_add(piece->data ? &cli->progress.copied_bytes : &cli->progress.hole_bytes,
                     piece->n_bytes);
    atomic_fetch_add(&cli->progress.done_bytes, piece->n_bytes);
}

static int map_all(const struct place *place, struct sequence *sequence, struct cli_result *ret)
{
    struct sequence_piece piece;
    struct map_line line = {0};
    int r;

    while ((r = sequence_next(sequence, &piece)) > 0) {
        map_piece(&line, &piece);
        if (ferror(stdout))
            break;
    }
    print_map_line(&line);
    return r < 0 ? cli_fail_read(ret, r, place, piece.offset) : 0;
}

static int digest_all(struct cli *cli, const struct place *place, struct sequence *sequence,
                      struct digests *digests, struct cli_result *ret)
{
    struct sequence_piece piece;
    struct digest digest;
    int r;

    while ((r = sequence_next(sequence, &piece)) > 0) {
        if (piece.data) {
            digest_of(piece.data, (size_t)piece.n_bytes, &digest);
            r = digests_set(digests, piece.offset, &digest);
            digests_set_verified(digests, piece.offset); /* that many are not kept */
        }
        if (r < 0)
            break;
        count_piece(cli, &piece);
    }
    return r < 0 ? cli_fail_read(ret, r, place, piece.offset) : cli_check_read(place, ret);
}

static int digest_volume(struct cli *cli, const struct place *place, struct sequence *sequence,
                         struct cli_result *ret)
{
    OWNED(digests) struct digests *digests = NULL;
    int r = digests_open(place->size_bytes, ENGINE_BLOCK_BYTES, &digests);

    if (r < 0)
        return cli_fail(ret, -r, "no memory for digests");
    r = digest_all(cli, place, sequence, digests, ret);
    if (r == 0)
        r = place_check_still(place, "read", "read", ret);
    if (r < 0)
        return r;
    digests_total(digests, &ret->digest);
    ret->has_digest = true;
    return 0;
}

static void digest_pipe(struct cli *cli, const struct place *place, struct cli_result *ret)
{
    struct cli_inlet inlet;
    OWNED(mem) char *buf = malloc(ENGINE_BLOCK_BYTES);
    size_t n = ENGINE_BLOCK_BYTES;
    int r = cli_inlet_init(&inlet, cli, place, ENGINE_BLOCK_BYTES, ret);

    if (r == 0 && !buf)
        r = cli_fail(ret, ENOMEM, "no memory for a block");
    while (r == 0 && n == ENGINE_BLOCK_BYTES) {
        r = cli_inlet_read(&inlet, buf, ENGINE_BLOCK_BYTES, &n, ret);
        if (r == 0)
            digests_set_verified(inlet.digests, inlet.n_bytes - n); /* that many are not kept */
        atomic_store(&cli->progress.done_bytes, inlet.n_bytes);
    }
    if (r == 0)
        r = cli_inlet_conclude(&inlet, ret);
    if (r == 0)
        digests_total(inlet.digests, &ret->digest);
    ret->has_digest = r == 0;
    cli_inlet_deinit(&inlet);
}

/* In order, whatever there is to be done with it. */
static int open_sequence(struct cli *cli, const struct place *place, bool whole_blocks,
                         struct queue *queue, struct sequence **ret_sequence,
                         struct cli_result *ret)
{
    const struct sequence_terms terms = {.queue = queue,
                                         .ep = place->ep,
                                         .size_bytes = place->size_bytes,
                                         .block_bytes = whole_blocks ? ENGINE_BLOCK_BYTES
                                                                     : cli->options->block_bytes,
                                         .whole_blocks = whole_blocks,
                                         .stop = &cli->stop,
                                         .speed_bytes_per_s = &cli->speed_bytes_per_s};
    int r = sequence_open(&terms, ret_sequence);

    return r < 0 ? cli_fail(ret, -r, "no memory for buffers") : 0;
}

enum cli_exit cli_map(struct cli *cli, struct cli_result *ret)
{
    struct place place = PLACE_NONE;
    OWNED(queue) struct queue *queue = NULL;
    OWNED(sequence) struct sequence *sequence = NULL;
    int r = place_open_source(&place, cli->options->source, cli->options, ret);

    if (r == 0)
        r = refuse_pipe(&place, "--map", ret);
    if (r == 0)
        r = cli_open_queue(cli, &queue, ret);
    if (r == 0)
        r = open_sequence(cli, &place, false, queue, &sequence, ret);
    if (r == 0)
        map_all(&place, sequence, ret);
    sequence_close(take_ptr(sequence));
    queue_close(take_ptr(queue));
    place_close(&place);
    return ret->status;
}

static void digest_file(struct cli *cli, const struct place *place, struct cli_result *ret)
{
    OWNED(queue) struct queue *queue = NULL;
    OWNED(sequence) struct sequence *sequence = NULL;
    int r = cli_open_queue(cli, &queue, ret);

    if (r == 0)
        r = open_sequence(cli, place, true, queue, &sequence, ret);
    if (r == 0)
        digest_volume(cli, place, sequence, ret);
}

enum cli_exit cli_digest(struct cli *cli, struct cli_result *ret)
{
    struct place place = PLACE_NONE;
    int r = place_open_source(&place, cli->options->source, cli->options, ret);

    if (r == 0) {
        place_tell_work(&place, NULL, cli);
        atomic_store(&cli->phase, CLI_READING);
    }
    if (r == 0 && place.kind == PLACE_PIPE)
        digest_pipe(cli, &place, ret);
    else if (r == 0)
        digest_file(cli, &place, ret);
    place_close(&place);
    return ret->status;
}
