/*
 * A copy, from its names to its end.
 */
#include <errno.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/cli/engine.h"
#include "copy/cli/name.h"
#include "copy/cli/pipe.h"
#include "copy/cli/place.h"
#include "copy/cli/resume.h"
#include "copy/engine.h"

#define CHECKPOINT_NS UINT64_C(1000000000)

static int refuse_options(struct cli_job *copy)
{
    const struct cli_options *options = copy->cli->options;
    bool from_pipe = copy->source.kind == PLACE_PIPE;

    if (options->map && from_pipe)
        return cli_refuse(
            copy->ret, ESPIPE,
            "--resume: what came out of a pipe cannot be had again; copy from a file");
    return 0;
}

static int open_source(struct cli_job *copy)
{
    const struct cli_options *options = copy->cli->options;
    int r = place_open_source(&copy->source, options->source, options, copy->ret);

    return r < 0 ? r : refuse_options(copy);
}

/* What a pipe leads to cannot be read back, nor gone on with; and null: holds nothing. */
static int refuse_destination(struct cli_job *copy)
{
    const struct cli_options *options = copy->cli->options;
    bool pipe = copy->destination.kind == PLACE_PIPE;

    copy->verify = options->verify && !pipe && !cli_name_is_null(copy->destination.name);
    if (options->verify && !copy->verify && cli_options_given(options, "verify"))
        return cli_refuse(copy->ret, ESPIPE, "--verify: %s cannot be read back",
                          copy->destination.shown);
    if (!pipe)
        return 0;
    if (copy->source.kind == PLACE_PIPE)
        return cli_refuse(copy->ret, ESPIPE, "- to -: that is cat(1)");
    if (options->map)
        return cli_refuse(copy->ret, ESPIPE, "--resume: a pipe cannot be gone on with");
    if (options->force || options->create)
        return cli_refuse(copy->ret, ESPIPE, "a pipe holds nothing: no --force, no --create");
    return 0;
}

static int open_destination(struct cli_job *copy)
{
    const struct cli_options *options = copy->cli->options;
    const struct place_terms terms = {.source = &copy->source,
                                      .create = options->create,
                                      .force = options->force,
                                      .resume = copy->resumed,
                                      .map = copy->map_name,
                                      .keep = options->map != NULL};
    int r = place_open_destination(&copy->destination, options->destination, options, &terms,
                                   copy->ret);

    return r < 0 ? r : refuse_destination(copy);
}

/* A map may have been made, and then nothing: the destination has no size yet. */
static bool has_begun(const struct cli_job *copy)
{
    return copy->mark.low_bytes > 0 || copy->mark.above != 0;
}

static int check_begun(struct cli_job *copy)
{
    if (copy->destination.kind == PLACE_FILE &&
        copy->destination.size_bytes < copy->source.size_bytes)
        return cli_refuse(copy->ret, ESTALE,
                          "%.80s is smaller than when it was copied to; to begin anew remove "
                          "%.80s and use --force",
                          copy->destination.shown, copy->map_name);
    return cli_map_check(copy);
}

/* Everything that could refuse comes before this, and before anything is changed. */
static int prepare_destination(struct cli_job *copy)
{
    int r = has_begun(copy) ? check_begun(copy) : 0;

    if (r < 0 || copy->destination.kind == PLACE_PIPE ||
        copy->source.size_bytes == CLI_SIZE_UNKNOWN)
        return r;
    return place_set_size(&copy->destination, copy->source.size_bytes, copy->ret);
}

/* That a map is there says that what the destination holds may be overwritten; so it has to be one
 * still, and a device, which has no more than a name, has to hold something of the copy. */
static int check_resumed(struct cli_job *copy)
{
    const struct cli_options *options = copy->cli->options;
    bool file = copy->destination.kind == PLACE_FILE;

    if (!copy->resumed || options->force)
        return 0;
    if (map_is_new(copy->map)) {
        copy->resumed = false;
        return cli_refuse(copy->ret, ESTALE, "%.100s was there, and is gone", copy->map_name);
    }
    if (has_begun(copy) || file || cli_name_is_null(copy->destination.name))
        return 0;
    return cli_refuse(copy->ret, EEXIST,
                      "%.80s tells of nothing done yet; --force overwrites what %.80s holds",
                      copy->map_name, copy->destination.shown);
}

static int open_all(struct cli_job *copy)
{
    const struct cli_options *options = copy->cli->options;
    int r = open_source(copy);

    if (options->map)
        cli_name_shown(options->map, copy->map_name);
    copy->resumed = options->map && map_exists(options->map);
    if (r == 0)
        r = cli_map_refuse(copy, &copy->source);
    if (r == 0)
        r = open_destination(copy);
    if (r == 0)
        place_tell_work(&copy->source, &copy->destination, copy->cli);
    if (r == 0)
        r = cli_map_refuse(copy, &copy->destination);
    if (r == 0)
        r = cli_map_open(copy);
    if (r == 0)
        r = check_resumed(copy);
    if (r == 0)
        r = cli_open_queue(copy->cli, &copy->queue, copy->ret);
    if (r == 0 && !copy->map)
        atomic_store(&copy->cli->unfinished, &copy->destination);
    return r < 0 ? r : prepare_destination(copy);
}

static struct engine_job job_of(struct cli_job *copy)
{
    struct cli *cli = copy->cli;
    const struct cli_options *options = cli->options;

    return (struct engine_job){
        .queue = copy->queue,
        .source = copy->source.ep,
        .destination = copy->destination.ep,
        .size_bytes = copy->source.size_bytes,
        .block_bytes = options->block_bytes,
        .stop = &cli->stop,
        .speed_bytes_per_s = &cli->speed_bytes_per_s,
        .progress = &cli->progress,
        .digests = copy->digests,
        .start = copy->mark,
        .checkpoint_ns = CHECKPOINT_NS,
        .destination_zero = copy->destination.made,
        .never_sparse = !options->sparse,
        .clone = options->reflink && options->sparse,
        .verify_behind = copy->digests != NULL,
        .checkpoint = cli_map_checkpoint,
        .checkpoint_arg = copy,
    };
}

/* Only a digest over preset blocks can be compared with others; what was cloned was not read. */
static void keep_digest(struct cli_job *copy, const struct engine_job *job,
                        const struct engine_result *verified, bool cloned)
{
    copy->ret->has_digest = job->block_bytes == ENGINE_BLOCK_BYTES && !cloned;
    copy->ret->digest = verified->digest;
}

/* The rest, by the digests of what was read; of a copy that was resumed all of it, by the source.
 */
static int verify(struct cli_job *copy, struct engine_job *job, const struct engine_result *copied)
{
    struct engine_result result = {.bad_bytes = ENGINE_NO_PLACE};
    struct cli *cli = copy->cli;
    int r = 0;

    if (!copy->verify)
        return 0;
    job->compare_source = !copy->digests;
    if (job->compare_source)
        r = digests_open(job->size_bytes, (size_t)job->block_bytes, &copy->digests);
    job->digests = copy->digests;
    if (r < 0)
        return cli_fail(copy->ret, -r, "no memory for digests");
    atomic_store(&cli->phase, CLI_VERIFYING);
    r = engine_verify(job, &result);
    if (r < 0) {
        cli_map_keep(copy, &copied->mark, result.bad_bytes);
        return cli_fail_engine(copy->ret, r, &result);
    }
    keep_digest(copy, job, &result, copied->cloned && !job->compare_source);
    return 0;
}

static int copy_volume(struct cli_job *copy)
{
    struct engine_result result = {.bad_bytes = ENGINE_NO_PLACE, .mark = copy->mark};
    struct cli *cli = copy->cli;
    struct engine_job job;
    int r = 0;

    if (copy->verify && !has_begun(copy))
        r = digests_open(copy->source.size_bytes, (size_t)cli->options->block_bytes,
                         &copy->digests);
    if (r < 0)
        return cli_fail(copy->ret, -r, "no memory for digests");
    job = job_of(copy);
    copy->touched = true;
    atomic_store(&cli->verifying, copy->verify);
    atomic_store(&cli->phase, CLI_COPYING);
    r = engine_copy(&job, &result);
    cli_map_keep(copy, &result.mark, r < 0 ? result.bad_bytes : ENGINE_NO_PLACE);
    return r < 0 ? cli_fail_engine(copy->ret, r, &result) : verify(copy, &job, &result);
}

/* What came out of a pipe is there no more: it is its digests that the copy is held against. */
static int verify_pipe(struct cli_job *copy, struct cli_inlet *inlet)
{
    struct engine_result result = {.bad_bytes = ENGINE_NO_PLACE};
    struct engine_job job;
    int r = cli_inlet_conclude(inlet, copy->ret);

    if (r < 0)
        return r;
    copy->digests = take_ptr(inlet->digests);
    job = job_of(copy);
    job.source = job.destination;
    job.size_bytes = inlet->n_bytes;
    job.no_repair = true;
    atomic_store(&copy->cli->verifying, true);
    atomic_store(&copy->cli->phase, CLI_VERIFYING);
    r = engine_verify(&job, &result);
    if (r < 0)
        return cli_fail_engine(copy->ret, r, &result);
    keep_digest(copy, &job, &result, false);
    return 0;
}

static int copy_from_pipe(struct cli_job *copy)
{
    struct cli_inlet inlet;
    int r = cli_inlet_init(&inlet, copy->cli, &copy->source,
                           (size_t)copy->cli->options->block_bytes, copy->ret);

    atomic_store(&copy->cli->phase, CLI_COPYING);
    if (r == 0)
        r = cli_pipe_in(&inlet, &copy->destination, copy->queue, copy->ret);
    copy->touched = inlet.n_bytes > 0;
    if (r == 0) {
        atomic_store(&copy->cli->size_bytes, inlet.n_bytes);
        r = copy->destination.kind == PLACE_FILE
                ? place_cut(&copy->destination, inlet.n_bytes, copy->cli->options->sparse,
                            copy->ret)
                : place_set_size(&copy->destination, inlet.n_bytes, copy->ret);
    }
    if (r == 0 && copy->verify)
        r = verify_pipe(copy, &inlet);
    cli_inlet_deinit(&inlet);
    return r;
}

static int copy_any(struct cli_job *copy)
{
    int r;

    if (copy->source.kind == PLACE_PIPE)
        return copy_from_pipe(copy);
    if (copy->destination.kind == PLACE_PIPE) {
        atomic_store(&copy->cli->phase, CLI_COPYING);
        r = cli_pipe_out(copy->cli, &copy->source, &copy->destination, copy->queue, copy->ret);
    } else {
        r = copy_volume(copy);
    }
    return r < 0 ? r : place_check_still(&copy->source, "copied", "copy", copy->ret);
}

/* The map goes last, when the copy needs it no more. */
static int conclude(struct cli_job *copy)
{
    uint64_t size_bytes = copy->source.size_bytes;
    int r = 0;

    if (size_bytes != CLI_SIZE_UNKNOWN)
        r = place_cut(&copy->destination, size_bytes, copy->cli->options->sparse, copy->ret);
    if (r == 0)
        r = place_complete(&copy->destination, &copy->source, copy->ret);
    if (r < 0 || !copy->map)
        return r;
    r = map_remove(take_ptr(copy->map));
    if (r < 0)
        cli_say("the copy is whole, but %.100s cannot be removed: %s", copy->map_name,
                strerror(-r));
    return 0;
}

/* Nothing can go on: the source was written, or the storage gave back something else. */
static bool is_spoilt(const struct cli_job *copy)
{
    int code = copy->ret->err.code;

    return copy->touched && (code == ETXTBSY || code == EILSEQ || place_changed(&copy->source) > 0);
}

/* What a failure leaves behind. */
static void tell_left(struct cli_job *copy)
{
    struct place *destination = &copy->destination;
    bool kept = copy->map && !is_spoilt(copy);

    if (kept && copy->touched) {
        destination->made = false;
        text_add(&copy->ret->also, "%s is not complete; the same command goes on from %s",
                 destination->shown, copy->map_name);
        return;
    }
    if (place_discard(destination) && copy->touched)
        text_add(&copy->ret->also, "%s: what was copied is removed", destination->shown);
    else if (copy->touched && destination->ep && !cli_name_is_null(destination->name))
        text_add(&copy->ret->also, "%s is not complete and not what it was; do not use it",
                 destination->shown);
}

/* A map of nothing, or of what is not there any more, would only be in the way. */
static void close_all(struct cli_job *copy)
{
    bool useless =
        copy->ret->status != CLI_DONE && (is_spoilt(copy) || (!copy->resumed && !copy->touched));
    int r;

    if (copy->map && useless)
        map_remove(take_ptr(copy->map));
    map_close(copy->map);
    digests_close(copy->digests);
    queue_close(copy->queue);
    place_close(&copy->source);
    r = place_close(&copy->destination);
    if (r < 0 && copy->ret->status == CLI_DONE)
        cli_fail(copy->ret, -r, "closing the destination: %s", strerror(-r));
}

enum cli_exit cli_copy(struct cli *cli, struct cli_result *ret)
{
    struct cli_job copy = {.cli = cli, .ret = ret, .source = PLACE_NONE, .destination = PLACE_NONE};
    int r = open_all(&copy);

    if (r == 0)
        r = copy_any(&copy);
    if (r == 0)
        r = conclude(&copy);
    if (r < 0)
        tell_left(&copy);
    atomic_store(&cli->unfinished, NULL);
    close_all(&copy);
    return ret->status;
}
