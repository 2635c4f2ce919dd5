/*
 * ferrycopy: the wiring. What was asked for, the work, and what is said about it.
 */
#include "copy/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/cli/name.h"
#include "copy/cli/progress.h"
#include "copy/cli/watch.h"
#include "copy/engine.h"

#define LINE_BYTES 1024

static void show(FILE *out, const char *before, const char *text)
{
    char line[LINE_BYTES];

    text_escape(text, strlen(text), line, sizeof(line));
    fprintf(out, "%s%s\n", before, line);
}

void cli_say(const char *fmt, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cli_progress_clear();
    show(stderr, "ferrycopy: ", text);
}

int cli_end(struct cli_result *ret, enum cli_exit status, int code, const char *fmt, ...)
{
    va_list ap;

    ret->status = status;
    ret->err.code = code;
    va_start(ap, fmt);
    vsnprintf(ret->err.text, sizeof(ret->err.text), fmt, ap);
    va_end(ap);
    return -code;
}

static int print_help(void)
{
    OWNED(text) struct text text = {0};

    cli_options_help(&text);
    return text.failed || fputs(text.bytes, stdout) < 0 ? CLI_FAILED : CLI_DONE;
}

static int print_version(void)
{
    return printf("ferrycopy %s\n", FERRYFS_VERSION) < 0 ? CLI_FAILED : CLI_DONE;
}

/* What a program reads is in the last line of JSON already. */
static void print_found(const struct cli_options *options, const struct cli_result *result)
{
    char digest[CLI_DIGEST_BYTES], before[CLI_DIGEST_BYTES + 2];

    if (options->show == CLI_SHOW_JSON)
        return;
    if (result->different)
        show(stdout, "", result->err.text);
    if (options->action == CLI_DIGEST && result->has_digest) {
        snprintf(before, sizeof(before), "%s  ", cli_digest_text(&result->digest, digest));
        show(stdout, before, options->source);
    }
}

static void print_failure(const struct cli_result *result)
{
    if (result->status == CLI_DONE || result->different)
        return;
    cli_say("%s", result->err.text);
    if (result->also.n > 0)
        cli_say("%s", result->also.bytes);
}

/* As any other program that the signal had ended, which a shell's loop needs to see. */
static void die_by(int signo)
{
    sigset_t set;

    signal(signo, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signo);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(signo);
}

static enum cli_exit work(const struct cli_options *options)
{
    static cli_run_fn *const runs[] = {[CLI_COPY] = cli_copy,
                                       [CLI_COMPARE] = cli_compare,
                                       [CLI_MAP] = cli_map,
                                       [CLI_DIGEST] = cli_digest};
    struct cli cli = {.options = options,
                      .speed_bytes_per_s = options->speed_bytes_per_s,
                      .size_bytes = CLI_SIZE_UNKNOWN,
                      .data_bytes = CLI_SIZE_UNKNOWN};
    struct cli_result result = {.bad_bytes = ENGINE_NO_PLACE};
    int signo = 0;

    cli_watch(&cli, runs[options->action], &result, &signo);
    print_found(options, &result);
    print_failure(&result);
    text_deinit(&result.also);
    if (signo && fflush(NULL) == 0)
        die_by(signo);
    return result.status;
}

/* What is opened must not get the number of a stream that was closed; nor may anything be read from
 * that stream, or written to it. */
static bool hold_stdio(void)
{
    int fd;

    do
        fd = open("/dev/null", O_PATH | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    owned_fd(&fd);
    return fd >= 0;
}

/* A pipe that nobody reads any more ends what prints to it, and is an error to what copies. */
static void prepare_process(const struct cli_options *options)
{
    if (options->action != CLI_MAP)
        signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* EFBIG is told in words */
}

static int run(const struct cli_options *options)
{
    if (!hold_stdio())
        return (int)cli_trouble(options);
    prepare_process(options);
    if (options->action == CLI_HELP)
        return print_help();
    if (options->action == CLI_VERSION)
        return print_version();
    return (int)work(options);
}

/* Where what was asked for is printed, nobody has got it; of a copy it is about its progress. */
static int end_stdout(const struct cli_options *options, int status)
{
    int error = fflush(stdout) != 0 ? errno : 0;
    bool lost = error || (options->action != CLI_COPY && ferror(stdout));

    if (!lost || (status != CLI_DONE && options->action != CLI_COMPARE))
        return status;
    cli_say("cannot write standard output%s%s", error ? ": " : "", error ? strerror(error) : "");
    return (int)cli_trouble(options);
}

int main(int argc, char **argv)
{
    struct cli_options options;
    struct err e = {0};

    if (cli_options_parse(&options, argc, argv, &e) < 0) {
        cli_say("%s", e.text);
        cli_say("ferrycopy --help tells the options");
        return CLI_USAGE;
    }
    return end_stdout(&options, run(&options));
}
