#include "copy/cli/json.h"

#include "copy/base/cleanup.h"
#include "copy/cli/name.h"
#include "copy/engine.h"
#include "copy/throttle.h"

static void add_string(struct text *line, const char *key, const char *value)
{
    text_add(line, ",\"%s\":", key);
    text_add_json(line, value);
}

/* unknown: shown as null */
static void add_number(struct text *line, const char *key, uint64_t value, uint64_t unknown)
{
    if (value == unknown)
        text_add(line, ",\"%s\":null", key);
    else
        text_add(line, ",\"%s\":%" PRIu64, key, value);
}

static void add_count(struct text *line, const char *key, _Atomic uint64_t *value)
{
    text_add(line, ",\"%s\":%" PRIu64, key, atomic_load(value));
}

static void add_state(struct text *line, struct cli *cli, const char *event,
                      const struct cli_state *state)
{
    static const char *const phases[] = {[CLI_BEGINNING] = "beginning",
                                         [CLI_COPYING] = "copying",
                                         [CLI_VERIFYING] = "verifying",
                                         [CLI_READING] = "reading",
                                         [CLI_COMPARING] = "comparing"};
    struct progress *progress = &cli->progress;
    bool comparing = state->phase == CLI_COMPARING;

    text_add(line, "{\"event\":\"%s\",\"phase\":\"%s\"", event, phases[state->phase]);
    add_number(line, "size_bytes", state->size_bytes, CLI_SIZE_UNKNOWN);
    add_count(line, "done_bytes", comparing ? &progress->verified_bytes : &progress->done_bytes);
    add_count(line, "copied_bytes", &progress->copied_bytes);
    add_count(line, "zero_bytes", &progress->zero_bytes);
    add_count(line, "hole_bytes", &progress->hole_bytes);
    add_count(line, "skipped_bytes", &progress->skipped_bytes);
    add_count(line, "verified_bytes", &progress->verified_bytes);
    add_count(line, "cloned_bytes", &progress->cloned_bytes);
    add_number(line, "limit_bytes_per_s", atomic_load(&cli->speed_bytes_per_s), THROTTLE_NONE);
    text_add(line, ",\"rate_bytes_per_s\":%.0f,\"elapsed_s\":%.3f", state->rate, state->elapsed_s);
    if (state->eta_s < 0)
        text_add(line, ",\"eta_s\":null");
    else
        text_add(line, ",\"eta_s\":%.0f", state->eta_s);
}

/* Nobody listens any more: the work goes on. */
static void put_line(FILE *out, struct text *line)
{
    text_add(line, "}\n");
    if (!line->failed && fputs(line->bytes, out) >= 0)
        fflush(out);
}

void cli_json_progress(FILE *out, struct cli *cli, const struct cli_state *state)
{
    OWNED(text) struct text line = {0};

    add_state(&line, cli, "progress", state);
    put_line(out, &line);
}

void cli_json_end(FILE *out, struct cli *cli, const struct cli_state *state,
                  const struct cli_result *result)
{
    OWNED(text) struct text line = {0};
    char digest[CLI_DIGEST_BYTES];

    add_state(&line, cli,
              result->status == CLI_DONE ? "done"
              : result->different        ? "different"
                                         : "failed",
              state);
    if (result->has_digest)
        add_string(&line, "digest", cli_digest_text(&result->digest, digest));
    if (result->status != CLI_DONE) {
        add_number(&line, "offset_bytes", result->bad_bytes, ENGINE_NO_PLACE);
        if (!result->different)
            add_string(&line, "error", err_name(result->err.code));
        add_string(&line, "message", result->err.text);
    }
    text_add(&line, ",\"exit\":%d", (int)result->status);
    put_line(out, &line);
}
