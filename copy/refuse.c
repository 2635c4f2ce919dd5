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

int engine_check_sizes(const struct engine_job *job, struct engine_result *ret)
{
    int r = endpoint_check_size(job->source, job->size_bytes);

    if (r < 0)
        return engine_refuse(ret, r, "the source's size is another one");
    r = endpoint_check_size(job->destination, job->size_bytes);
    return r < 0 ? engine_refuse(ret, r, "the destination's size is another one") : 0;
}

int engine_check_source(const struct engine_job *job, struct engine_result *ret)
{
    int r = endpoint_check_claim(job->source);

    if (r < 0)
        return engine_refuse(ret, r, "the source was opened for writing");
    if (job->source->ops->flush)
        r = job->source->ops->flush(job->source);
    if (r < 0)
        return engine_refuse(ret, r, "what was written to the source did not all reach its disk");
    return engine_check_sizes(job, ret);
}
