#include "copy/refuse.h"

#include <string.h>

uint64_t engine_block_bytes(const struct engine_job *job)
{
    uint64_t block_bytes = job->block_bytes > 0 ? job->block_bytes : ENGINE_BLOCK_BYTES;

    if (block_bytes < ENGINE_BLOCK_MIN_BYTES || block_bytes > ENGINE_BLOCK_MAX_BYTES)
        return 0;
    return (block_bytes & (block_bytes - 1)) == 0 ? block_bytes : 0;
}

int engine_refuse(struct engine_result *ret, int r, const char *what)
{
    ret->bad_bytes = ENGINE_NO_PLACE;
    return err_set(&ret->err, -r, "%s: %s", what, strerror(-r));
}

static int refuse_volume(struct engine_result *ret, int r, const char *name, const char *what)
{
    ret->bad_bytes = ENGINE_NO_PLACE;
    return err_set(&ret->err, -r, "%.100s %s: %s", name, what, strerror(-r));
}

static int check_size(struct endpoint *ep, const char *name, uint64_t size_bytes,
                      struct engine_result *ret)
{
    int r = endpoint_check_size(ep, size_bytes);

    return r < 0 ? refuse_volume(ret, r, name, "has another size") : 0;
}

int engine_check_sizes(const struct engine_job *job, struct engine_result *ret)
{
    int r = check_size(job->source, "the source", job->size_bytes, ret);

    return r < 0 ? r : check_size(job->destination, "the destination", job->size_bytes, ret);
}

int engine_check_read(struct endpoint *ep, const char *name, uint64_t size_bytes,
                      struct engine_result *ret)
{
    int r = endpoint_check_claim(ep);

    if (r < 0)
        return refuse_volume(ret, r, name, "was opened for writing");
    if (ep->ops->flush)
        r = ep->ops->flush(ep);
    if (r < 0)
        return refuse_volume(ret, r, name, "holds writes that did not reach its disk");
    return check_size(ep, name, size_bytes, ret);
}

int engine_check_source(const struct engine_job *job, struct engine_result *ret)
{
    int r = engine_check_read(job->source, "the source", job->size_bytes, ret);

    return r < 0 ? r : check_size(job->destination, "the destination", job->size_bytes, ret);
}
