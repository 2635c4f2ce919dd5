/*
 * A child program whose death is one event.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
    pid_t pid; /* 0: none */
    int pidfd; /* readable once it has died; -1: none */
};

#define CHILD_NONE ((struct child){0, -1})

/*
 * Run argv[0], a path ("/proc/self/exe" for ourselves), with stdin from /dev/null, our stdout and
 * stderr, fds[i] as descriptor 3 + i and no other; signals at their defaults and unblocked. Safe in
 * a program with threads. The child is killed when the thread that started it ends.
 * Returns 0 or a negative errno; that exec failed shows as exit status 127.
 * Source: pidfd_open(2), PR_SET_PDEATHSIG in prctl(2), close_range(2).
 */
int child_start(struct child *child, char *const argv[], const int *fds, size_t n_fds);

/* How a program runs that is none of ours. */
struct child_how {
    int stdin_fd;      /* -1: /dev/null */
    char *const *envp; /* its environment */
    bool drop;         /* to that user and group, and no others */
    uid_t uid;
    gid_t gid;
};

/*
 * The same with an environment of its own, in /, as leader of a process group that child_kill_group
 * ends. how: NULL is child_start.
 */
int child_start_how(struct child *child, char *const argv[], const int *fds, size_t n_fds,
                    const struct child_how *how);
void child_kill_group(const struct child *child);

/* SIGKILL; the death still has to be awaited and reaped. */
void child_kill(const struct child *child);

/*
 * Reap a child whose pidfd is readable, and let go of it; a loop that watches the pidfd is told to
 * forget it first. Returns 1 and the wait status as waitpid(2) gives it, 0 while it lives, or a
 * negative errno: no such child, and nothing is held any more.
 */
int child_reap(struct child *child, int *ret_status);

/* In the child, after it changed its credentials, which clears it: die with the parent again.
 * Returns -ESRCH where the parent (parent: its pid) is dead already. */
int child_die_with(pid_t parent);

/* A wait status in words: "exit 3", "signal 9 (Killed)". out: cap bytes. */
void child_describe(int status, char *out, size_t cap);
