/*
 * What a command costs: wall time, CPU time, peak memory.
 *
 * Usage: measure RESULT COMMAND [ARGUMENT...]; writes one line to the file RESULT: nanoseconds of
 * wall time, microseconds as user and in the kernel, KiB of the largest resident set; of the
 * command and of what it waited for. The exit status is the command's, 125 where there is none.
 *
 * A small program of its own, because a process begins with the peak memory of the one that forked
 * it: execve(2) does not reset ru_maxrss. Below an interpreter of 20 MiB every command has 20 MiB.
 * Source: getrusage(2).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NO_STATUS 125

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t us_of(struct timeval t)
{
    return t.tv_sec * INT64_C(1000000) + t.tv_usec;
}

/* Returns the wait status of the command or a negative errno */
static int run(char **command, int64_t *ret_wall_ns, struct rusage *ret_usage)
{
    int64_t began_ns = now_ns();
    pid_t pid = fork();
    int status;

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        execvp(command[0], command);
        fprintf(stderr, "measure: %s: %s\n", command[0], strerror(errno));
        _exit(NO_STATUS);
    }
    while (wait4(pid, &status, 0, ret_usage) < 0)
        if (errno != EINTR)
            return -errno;
    *ret_wall_ns = now_ns() - began_ns;
    return status;
}

int main(int argc, char **argv)
{
    int64_t wall_ns = 0;
    struct rusage usage;
    FILE *result;
    int status, r;

    if (argc < 3) {
        fprintf(stderr, "usage: measure RESULT COMMAND [ARGUMENT...]\n");
        return NO_STATUS;
    }
    status = run(argv + 2, &wall_ns, &usage);
    if (status < 0) {
        fprintf(stderr, "measure: %s\n", strerror(-status));
        return NO_STATUS;
    }
    result = fopen(argv[1], "we");
    if (result == NULL) {
        fprintf(stderr, "measure: %s: %s\n", argv[1], strerror(errno));
        return NO_STATUS;
    }
    r = fprintf(result, "%" PRId64 " %" PRId64 " %" PRId64 " %ld\n", wall_ns, us_of(usage.ru_utime),
                us_of(usage.ru_stime), usage.ru_maxrss);
    if (fclose(result) != 0 || r < 0) {
        fprintf(stderr, "measure: %s: %s\n", argv[1], strerror(errno));
        return NO_STATUS;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
