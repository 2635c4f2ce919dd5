#include "copy/cli/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/cli/json.h"
#include "copy/cli/name.h"

#define TICK_NS       UINT64_C(500000000)
#define TICKS_JSON    2
#define TICKS_LINE    20
#define RATE_SAMPLES  8 /* what is shown as the rate: of the last 4 s */
#define LINE_BYTES    256
#define WIDTH_DEFAULT 80
#define WIDTH_MAX     240
#define BAR_MIN       10
#define CLEAR_LINE    "\r\033[K"

/* Is half a line on the terminal? Messages of any thread ask. */
static atomic_bool is_drawn;

void cli_progress_clear(void)
{
    if (atomic_exchange(&is_drawn, false))
        fputs(CLEAR_LINE, stderr);
}

/* The counters are stored one by one: what is done may be behind its parts. */
static struct cli_sample sample_now(struct cli *cli)
{
    const struct progress *progress = &cli->progress;
    struct cli_sample sample = {.at_ns = io_now_ns()};
    uint64_t holes, skipped;

    do {
        holes = atomic_load(&progress->hole_bytes);
        skipped = atomic_load(&progress->skipped_bytes);
        sample.done_bytes = atomic_load(&progress->done_bytes);
    } while (holes != atomic_load(&progress->hole_bytes) ||
             skipped != atomic_load(&progress->skipped_bytes));
    sample.verified_bytes = atomic_load(&progress->verified_bytes);
    if (sample.done_bytes > skipped)
        sample.run_bytes = sample.done_bytes - skipped;
    if (atomic_load(&cli->data_bytes) == CLI_SIZE_UNKNOWN)
        holes = 0;
    if (sample.run_bytes > holes)
        sample.moved_bytes = sample.run_bytes - holes;
    return sample;
}

static bool counts_verified(int phase)
{
    return phase == CLI_VERIFYING || phase == CLI_COMPARING;
}

/* What a phase counts. */
static uint64_t done_in(const struct cli_sample *sample, int phase)
{
    return counts_verified(phase) ? sample->verified_bytes : sample->done_bytes;
}

/* Of that, what has taken time. */
static uint64_t moved_in(const struct cli_sample *sample, int phase)
{
    return counts_verified(phase) ? sample->verified_bytes : sample->moved_bytes;
}

static uint64_t work_in(const struct cli_sample *sample, bool verifying)
{
    return sample->done_bytes + (verifying ? sample->verified_bytes : 0);
}

/* The sample that is so many before the newest, or the oldest there is. */
static const struct cli_sample *sample_back(const struct cli_progress *progress, unsigned back)
{
    unsigned n = progress->n_samples, kept = n < CLI_SAMPLES ? n : CLI_SAMPLES;

    back = back < kept - 1 ? back : kept - 1;
    return &progress->samples[(n - 1 - back) % CLI_SAMPLES];
}

static void take_sample(struct cli_progress *progress)
{
    progress->samples[progress->n_samples++ % CLI_SAMPLES] = sample_now(progress->cli);
}

/* How much of that there is a second, from one sample to the next; 0: nobody can tell yet. */
static double rate_of(const struct cli_sample *from, const struct cli_sample *to, double n)
{
    return to->at_ns > from->at_ns && n > 0 ? n * 1e9 / (double)(to->at_ns - from->at_ns) : 0;
}

/* A hole may be counted a moment before it is done. */
static double grown(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) : 0;
}

/*
 * How much takes time the file system of the source may know. What an earlier run has done, and
 * what is read back, is thought to have its share of that. Less than 0: nobody can tell.
 */
static double eta_of(const struct cli_progress *progress, const struct cli_sample *before,
                     const struct cli_sample *now, uint64_t size_bytes, bool copies, bool verifies)
{
    uint64_t data_bytes = atomic_load(&progress->cli->data_bytes);
    double size = (double)size_bytes, left = 0, data, share, moved, speed;

    data = data_bytes < size_bytes ? (double)data_bytes : size;
    share = size > 0 ? data / size : 1;
    moved = (double)now->moved_bytes + (double)(now->done_bytes - now->run_bytes) * share;
    if (moved >= data) { /* the rest is holes, or it did not know: compressed data, say */
        data = size;
        share = 1;
    }
    if (copies && data > moved)
        left = data - moved;
    if (copies && left > grown(now->done_bytes, size_bytes))
        left = grown(now->done_bytes, size_bytes);
    if (verifies)
        left += grown(now->verified_bytes, size_bytes) * share;
    speed = rate_of(before, now,
                    grown(before->moved_bytes, now->moved_bytes) +
                        grown(before->verified_bytes, now->verified_bytes) * share);
    if (left <= 0)
        return 0;
    return speed > 0 ? left / speed : -1;
}

static void measure(struct cli_progress *progress, struct cli_state *ret)
{
    const struct cli_sample *now = sample_back(progress, 0);
    const struct cli_sample *lately = sample_back(progress, RATE_SAMPLES);
    const struct cli_sample *before = sample_back(progress, CLI_SAMPLES);
    struct cli *cli = progress->cli;
    int phase = atomic_load(&cli->phase);
    bool verifying = atomic_load(&cli->verifying);
    double work = (double)work_in(now, verifying), total;

    *ret = (struct cli_state){
        .phase = phase,
        .size_bytes = atomic_load(&cli->size_bytes),
        .verifying = verifying,
        .done_bytes = done_in(now, phase),
        .elapsed_s = (double)(now->at_ns - progress->began_ns) / 1e9,
        .rate = rate_of(lately, now, grown(moved_in(lately, phase), moved_in(now, phase))),
        .eta_s = -1,
        .fraction = -1,
    };
    if (ret->size_bytes == CLI_SIZE_UNKNOWN)
        return;
    total = (double)ret->size_bytes * (verifying && phase != CLI_COMPARING ? 2 : 1);
    ret->fraction = work < total ? work / total : 1;
    ret->eta_s = eta_of(progress, before, now, ret->size_bytes, phase != CLI_COMPARING,
                        verifying || phase == CLI_COMPARING);
}

static const char *duration_text(double seconds, char out[32])
{
    uint64_t s = (uint64_t)(seconds + 0.5);

    if (seconds < 0 || s >= UINT64_C(100) * 3600)
        snprintf(out, 32, "-:--");
    else if (s >= 3600)
        snprintf(out, 32, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 32, "%" PRIu64 ":%02" PRIu64, s / 60, s % 60);
    return out;
}

/* What stands behind the bar. */
static void describe(const struct cli_state *state, char out[LINE_BYTES])
{
    char done[CLI_SIZE_BYTES], size[CLI_SIZE_BYTES], rate[CLI_SIZE_BYTES], eta[32];
    static const char *const verbs[] = {[CLI_BEGINNING] = "copied",
                                        [CLI_COPYING] = "copied",
                                        [CLI_VERIFYING] = "verified",
                                        [CLI_READING] = "read",
                                        [CLI_COMPARING] = "compared"};
    const char *verb = verbs[state->phase];

    cli_size_text(state->done_bytes, done);
    cli_size_text((uint64_t)state->rate, rate);
    if (state->size_bytes == CLI_SIZE_UNKNOWN)
        snprintf(out, LINE_BYTES, "%s %s  %s/s", done, verb, rate);
    else
        snprintf(out, LINE_BYTES, "%s of %s %s  %s/s  ETA %s", done,
                 cli_size_text(state->size_bytes, size), verb, rate,
                 duration_text(state->eta_s, eta));
}

static size_t terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return WIDTH_DEFAULT;
    return size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
}

static void draw_bar(const struct cli_state *state)
{
    char words[LINE_BYTES], bar[WIDTH_MAX + 1] = "";
    size_t width = terminal_width(), taken, filled;

    describe(state, words);
    taken = strlen(words) + sizeof("100.0% []  ");
    if (state->fraction >= 0 && width >= taken + BAR_MIN) {
        filled = (size_t)((double)(width - taken) * state->fraction);
        memset(bar, ' ', width - taken);
        memset(bar, '#', filled);
        bar[width - taken] = '\0';
    }
    atomic_store(&is_drawn, true);
    if (bar[0])
        fprintf(stderr, CLEAR_LINE "%5.1f%% [%s]  %s", 100 * state->fraction, bar, words);
    else
        fprintf(stderr, CLEAR_LINE "%.*s", (int)(width - 1), words);
    fflush(stderr);
}

static void print_line(const struct cli_state *state)
{
    char words[LINE_BYTES];

    describe(state, words);
    cli_progress_clear();
    if (state->fraction >= 0)
        fprintf(stderr, "%5.1f%%  %s\n", 100 * state->fraction, words);
    else
        fprintf(stderr, "%s\n", words);
}

void cli_progress_begin(struct cli_progress *progress, struct cli *cli)
{
    const struct cli_options *options = cli->options;
    bool stdout_taken = options->destination && strcmp(options->destination, "-") == 0;

    *progress = (struct cli_progress){.cli = cli,
                                      .show = options->show,
                                      .out = stdout_taken ? stderr : stdout,
                                      .terminal = isatty(STDERR_FILENO) == 1,
                                      .began_ns = io_now_ns()};
}

uint64_t cli_progress_tick(struct cli_progress *progress)
{
    uint64_t n = progress->n_ticks++;
    struct cli_state state;

    take_sample(progress);
    measure(progress, &state);
    if (progress->show == CLI_SHOW_JSON && n % TICKS_JSON == 0)
        cli_json_progress(progress->out, progress->cli, &state);
    else if (progress->show == CLI_SHOW_BAR && progress->terminal)
        draw_bar(&state);
    else if (progress->show == CLI_SHOW_BAR && n > 0 && n % TICKS_LINE == 0)
        print_line(&state);
    return TICK_NS;
}

void cli_progress_line(struct cli_progress *progress)
{
    struct cli_state state;

    take_sample(progress);
    measure(progress, &state);
    if (progress->show == CLI_SHOW_JSON)
        cli_json_progress(progress->out, progress->cli, &state);
    else
        print_line(&state);
}

static void print_summary(struct cli *cli, const struct cli_state *state)
{
    const struct progress *progress = &cli->progress;
    char size[CLI_SIZE_BYTES], rate[CLI_SIZE_BYTES], part[CLI_SIZE_BYTES];
    bool copied = cli->options->action == CLI_COPY;
    uint64_t done = copied ? atomic_load(&progress->done_bytes) : state->done_bytes;
    uint64_t cloned = atomic_load(&progress->cloned_bytes);

    cli_size_text(done, size);
    cli_size_text((uint64_t)((double)done / (state->elapsed_s + 1e-6)), rate);
    fprintf(stderr, "%s in %.1f s, %s/s", size, state->elapsed_s, rate);
    if (copied)
        fprintf(stderr, ": %s written", cli_size_text(atomic_load(&progress->copied_bytes), part));
    if (cloned > 0)
        fprintf(stderr, ", %s shared", cli_size_text(cloned, part));
    fprintf(stderr, "%s\n", copied && state->verifying ? ", verified" : "");
}

void cli_progress_end(struct cli_progress *progress, const struct cli_result *result)
{
    struct cli_state state;

    take_sample(progress);
    measure(progress, &state);
    cli_progress_clear();
    if (progress->show == CLI_SHOW_JSON)
        cli_json_end(progress->out, progress->cli, &state, result);
    else if (progress->show == CLI_SHOW_BAR && result->status == CLI_DONE)
        print_summary(progress->cli, &state);
}
