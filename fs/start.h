/*
 * What a process does on its way to becoming the daemon: folders, signals, leaving the terminal.
 */
#pragma once

#include <limits.h>

#include "copy/base/err.h"
#include "fs/options.h"

enum exit_code { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_CONFIG, EXIT_OWNED = 75 };

/* The status to exit with: mount(8) has codes of its own for what its helper says. */
int start_exit_status(const struct options *options, int code);

/* Who is to hear how the start goes. */
struct start {
    int ready_fd, terminal_fd; /* of the parent and the terminal; -1: none, in the foreground */
    bool leaves_late;          /* the session, once mounted */
};

#define START_INIT ((struct start){-1, -1, false})

/* Where copy-worker is. 0 or -ENOENT. */
int start_find_worker(char out[PATH_MAX], struct err *e);

/* The folders above the state, and the mount point, if it is that in /run. 0 or a negative errno.
 */
int start_make_folders(const struct options *options, struct err *e);

/*
 * Go on in a child that has left the terminal; the parent waits for start_end or start_fail, and
 * exits. 0 or a negative errno.
 */
int start_leave_terminal(const struct options *options, struct start *start);

/* Limits, and signals that must not end us. */
void start_prepare_process(void);

/* A descriptor of the signals that we heed, or a negative errno. */
int start_signals_fd(void);

/* The start is over: nobody who waits for the end of our output waits for us any longer. 0 or a
 * negative errno: the parent has gone. */
int start_end(struct start *start);

/* The start, or what came after it, went wrong: say why, to whoever still listens. */
void start_fail(struct start *start, int code, const char *why);
