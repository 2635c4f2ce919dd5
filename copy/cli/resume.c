#include "copy/cli/resume.h"

#include <errno.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/engine.h"

#define RESUME_SAMPLES 32   /* ranges of what is done, each looked at where it begins and ends */
#define EXTENTS_MAX    1000 /* asked for in one of them */

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t mtime_ns(const struct place *place)
{
    const struct timespec *mtime = &place->st.st_mtim;

    if (!S_ISREG(place->st.st_mode) || mtime->tv_sec < 0)
        return 0;
    return (uint64_t)mtime->tv_sec * 1000000000 + (uint64_t)mtime->tv_nsec;
}

int cli_map_refuse(struct cli_job *copy, const struct place *place)
{
    const char *map = copy->cli->options->map;
    struct stat st;

    if (!map || place->kind != PLACE_FILE || stat(map, &st) < 0 || st.st_dev != place->st.st_dev ||
        st.st_ino != place->st.st_ino)
        return 0;
    return cli_refuse(copy->ret, EINVAL, "--resume: the map cannot be %s; name another file",
                      place->shown);
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
        return cli_fail(copy->ret, -r, "%.100s: %.120s", copy->source.shown, why.text);
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

/* The grain that holds a byte. */
static int check_at(struct cli_job *copy, char *bufs, uint64_t offset)
{
    int r;

    offset -= offset % ENDPOINT_GRAIN_BYTES;
    r = same_grain(copy, bufs, offset);
    if (r == 0)
        return 0;
    copy->ret->bad_bytes = offset;
    if (r == -ESTALE)
        return cli_refuse(copy->ret, ESTALE,
                          "%s does not hold what the map says, at byte %" PRIu64
                          "; to begin anew remove %s and use --force",
                          copy->destination.shown, offset, copy->map_name);
    return cli_fail(copy->ret, -r, "cannot compare what an earlier run has copied: %s",
                    strerror(-r));
}

/* Where the source's data in a range begins, and its last byte; without any, or among too many
 * pieces to ask for, the first and last byte that were come to. */
static int find_data(struct cli_job *copy, uint64_t start, uint64_t end, uint64_t *ret_first,
                     uint64_t *ret_last)
{
    bool found = false, hole;

    *ret_first = start;
    *ret_last = end - 1;
    for (unsigned i = 0; start < end && i < EXTENTS_MAX; i++) {
        uint64_t next;
        int r = endpoint_extent(copy->source.ep, start, end, &next, &hole);

        if (r < 0)
            return cli_fail(copy->ret, -r, "cannot find the data of %.100s: %s", copy->source.shown,
                            strerror(-r));
        if (!hole && !found)
            *ret_first = start;
        if (!hole)
            *ret_last = next - 1;
        found = found || !hole;
        start = next;
    }
    return 0;
}

/* Its ends, and those of the data in it: what is stale is so up to the end of something. */
static int check_range(struct cli_job *copy, char *bufs, uint64_t start, uint64_t end)
{
    uint64_t first, last;
    int r = find_data(copy, start, end, &first, &last);
    const uint64_t places[] = {start, first, last, end - 1};

    for (size_t i = 0; r == 0 && i < ARRAY_N(places); i++) {
        if (i == 0 || places[i] / ENDPOINT_GRAIN_BYTES != places[i - 1] / ENDPOINT_GRAIN_BYTES)
            r = check_at(copy, bufs, places[i]);
    }
    return r;
}

/* Does the destination hold what the map says? */
int cli_map_check(struct cli_job *copy)
{
    const struct journal_mark *mark = &copy->mark;
    uint64_t block_bytes = copy->key.block_bytes, size_bytes = copy->source.size_bytes;
    uint64_t step =
        (mark->low_bytes / RESUME_SAMPLES / ENDPOINT_GRAIN_BYTES + 1) * ENDPOINT_GRAIN_BYTES;
    OWNED(mem) char *bufs = aligned_alloc(ENDPOINT_GRAIN_BYTES, 2 * (size_t)ENDPOINT_GRAIN_BYTES);
    int r = bufs ? 0 : cli_fail(copy->ret, ENOMEM, "no memory for samples");

    for (uint64_t at = 0; r == 0 && at < mark->low_bytes; at += step)
        r = check_range(copy, bufs, at, min_of(at + step, mark->low_bytes));
    for (unsigned i = 0; r == 0 && i < JOURNAL_WINDOW; i++) {
        uint64_t at = mark->low_bytes + (i + 1) * block_bytes;

        if ((mark->above >> i & 1) && at < size_bytes)
            r = check_range(copy, bufs, at, min_of(at + block_bytes, size_bytes));
    }
    return r;
}

void cli_map_checkpoint(void *arg, const struct journal_mark *mark)
{
    struct cli_job *copy = arg;
    int r = copy->map ? map_update(copy->map, mark) : 0;

    if (r < 0 && !copy->map_failed)
        cli_say("cannot write %.100s: %s; a later run will copy more than it would have to",
                copy->map_name, strerror(-r));
    copy->map_failed = copy->map_failed || r < 0;
}

void cli_map_keep(struct cli_job *copy, const struct journal_mark *mark, uint64_t bad_bytes)
{
    struct journal_mark sound = *mark;

    if (bad_bytes != ENGINE_NO_PLACE) {
        bad_bytes -= bad_bytes % copy->cli->options->block_bytes;
        sound = (struct journal_mark){.low_bytes = bad_bytes < mark->low_bytes ? bad_bytes
                                                                               : mark->low_bytes};
    }
    cli_map_checkpoint(copy, &sound);
}
