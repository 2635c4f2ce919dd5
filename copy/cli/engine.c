#include "copy/cli/engine.h"

#include <errno.h>
#include <string.h>

#include "copy/base/cleanup.h"

int cli_open_queue(struct cli *cli, struct queue **ret_queue, struct cli_result *ret)
{
    int r = queue_open((unsigned)cli->options->queue_depth, cli->options->way, ret_queue);

    if (r == 0)
        return 0;
    return cli_fail(ret, -r, "cannot begin I/O: %s%s", strerror(-r),
                    cli->options->way == QUEUE_URING ? "; try --io=threads" : "");
}

static const struct remedy {
    int code;
    const char *words;
} remedies[] = {
    {ENOSPC, "make room, or use another destination"},
    {EDQUOT, "make room, or use another destination"},
    {EILSEQ, "do not trust that storage"},
};

static const char *remedy_of(int code)
{
    for (size_t i = 0; i < ARRAY_N(remedies); i++) {
        if (remedies[i].code == code)
            return remedies[i].words;
    }
    return NULL;
}

int cli_fail_engine(struct cli_result *ret, int r, const struct engine_result *result)
{
    const char *remedy = remedy_of(-r);

    ret->bad_bytes = result->bad_bytes;
    if (r == -ECANCELED)
        cli_fail(ret, -r, "stopped");
    else if (result->bad_bytes == ENGINE_NO_PLACE)
        cli_fail(ret, -r, "%.180s%s%s", result->err.text, remedy ? "; " : "", remedy ? remedy : "");
    else
        cli_fail(ret, -r, "%.150s, at byte %" PRIu64 "%s%s", result->err.text, result->bad_bytes,
                 remedy ? "; " : "", remedy ? remedy : "");
    if (r == -EILSEQ)
        ret->status = CLI_UNVERIFIED;
    return r;
}

int cli_fail_read(struct cli_result *ret, int r, const struct place *place, uint64_t offset)
{
    if (r == -ECANCELED)
        return cli_fail(ret, -r, "stopped");
    if (r == -ETXTBSY)
        return cli_fail(ret, -r, "%.100s was opened for writing while it was read", place->shown);
    ret->bad_bytes = offset;
    return cli_fail(ret, -r, "cannot read %.100s at byte %" PRIu64 ": %s", place->shown, offset,
                    strerror(-r));
}

int cli_check_read(const struct place *place, struct cli_result *ret)
{
    struct engine_result result;
    int r = engine_check_read(place->ep, place->shown, place->size_bytes, &result);

    return r < 0 ? cli_fail_engine(ret, r, &result) : 0;
}
