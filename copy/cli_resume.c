#include "copy/cli_resume.h"

#include <errno.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/engine.h"

#define RESUME_SAMPLES 32

static uint64_t mtime_ns(const struct place *place)
{
    const struct timespec *mtime = &place->st.st_mtim;

    if (!S_ISREG(place->st.st_mode) || mtime->tv_sec < 0)
        return 0;
    return (uint64_t)mtime->tv_sec * 1000000000 + (uint64_t)mtime->tv_nsec;
}

int cli_map_open(struct cli_job *copy)
{
    const struct cli_options *options = copy->cli->options;
    struct err why = {0};
    int r;

    if (!options->map)
        return 0;
    copy->key = (struct map_key){.size_bytes = copy->source.size_bytes,
                                 .mtime_ns = mtime_ns(&copy->source),
                                 .block_bytes = options->block_bytes};
    place_identify(&copy->destination, copy->key.destination, sizeof(copy->key.destination));
    r = map_sample(copy->source.ep, copy->key.size_bytes, &copy->key.sample, &why);
    if (r < 0)
        return cli_fail(copy->ret, -r, "%.100s: %.120s", copy->source.name, why.text);
    r = map_open(options->map, &copy->key, &copy->map, &copy->mark, &why);
    if (r == -ESTALE || r == -EBADMSG || r == -EBUSY)
        return cli_refuse(copy->ret, -r, "%.240s", why.text);
    return r < 0 ? cli_fail(copy->ret, -r, "%.240s", why.text) : 0;
}

static int same_grain(struct cli_job *copy, char *bufs, uint64_t offset)
{
    uint64_t left = copy->source.size_bytes - offset;
    size_t n = left < ENDPOINT_GRAIN_BYTES ? (size_t)left : ENDPOINT_GRAIN_BYTES, got;
    int r = endpoint_read(copy->source.ep, bufs, n, offset, &got);

    if (r == 0)
        r = endpoint_read(copy->destination.ep, bufs + ENDPOINT_GRAIN_BYTES, n, offset, &got);
    if (r < 0)
        return r;
    return memcmp(bufs, bufs + ENDPOINT_GRAIN_BYTES, n) == 0 ? 0 : -ESTALE;
}

/* Does the destination hold what the map says? */
int cli_map_check(struct cli_job *copy)
{
    uint64_t n_grains = copy->mark.low_bytes / ENDPOINT_GRAIN_BYTES;
    uint64_t n = n_grains < RESUME_SAMPLES ? n_grains : RESUME_SAMPLES;
    OWNED(mem) char *bufs = aligned_alloc(ENDPOINT_GRAIN_BYTES, 2 * (size_t)ENDPOINT_GRAIN_BYTES);

    if (!bufs)
        return cli_fail(copy->ret, ENOMEM, "no memory for samples");
    for (uint64_t i = 0; i < n; i++) {
        uint64_t offset = n_grains * i / n * ENDPOINT_GRAIN_BYTES;
        int r = same_grain(copy, bufs, offset);

        copy->ret->bad_bytes = offset;
        if (r == -ESTALE)
            return cli_refuse(copy->ret, ESTALE,
                              "%.80s does not hold what %.80s says, at byte %" PRIu64
                              "; to begin anew remove the map and use --force",
                              copy->destination.name, copy->cli->options->map, offset);
        if (r < 0)
            return cli_fail(copy->ret, -r, "cannot compare what an earlier run has copied: %s",
                            strerror(-r));
    }
    copy->ret->bad_bytes = ENGINE_NO_PLACE;
    return 0;
}

void cli_map_checkpoint(void *arg, const struct journal_mark *mark)
{
    struct cli_job *copy = arg;
    int r = copy->map ? map_update(copy->map, mark) : 0;

    if (r < 0 && !copy->map_failed)
        cli_say("cannot write %.100s: %s; a later run will copy more than it would have to",
                copy->cli->options->map, strerror(-r));
    copy->map_failed = copy->map_failed || r < 0;
}
