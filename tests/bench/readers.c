/*
 * How often a second a file can be opened, read to its end and closed again, by several processes
 * at once.
 *
 * Usage: readers FILE PROCESSES SECONDS [N]; prints the sum of all per second. With N, a @ in FILE
 * stands for a number from 0 to N - 1: each process goes round them all, from a place of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READERS_MAX 64
#define LOOKS       100 /* between two looks at the clock */

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What cat does. Returns 0 or a negative errno. */
static int cat(const char *path)
{
    char bytes[4096];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC), r;

    if (fd < 0)
        return -errno;
    do
        n = read(fd, bytes, sizeof(bytes));
    while (n > 0);
    r = n < 0 ? -errno : 0;
    return close(fd) < 0 && r == 0 ? -errno : r;
}

struct files {
    const char *before, *after; /* what stands before and behind the number */
    unsigned long n;            /* 0: before is the whole path */
};

static int cat_number(const struct files *files, unsigned long i)
{
    char path[PATH_MAX];
    int r;

    if (files->n == 0)
        return cat(files->before);
    snprintf(path, sizeof(path), "%s%lu%s", files->before, i % files->n, files->after);
    r = cat(path);
    if (r < 0)
        fprintf(stderr, "readers: %s: %s\n", path, strerror(-r));
    return r;
}

static int read_for(const struct files *files, unsigned long at, double seconds, uint64_t *count)
{
    double end = now_s() + seconds;
    int r = 0;

    while (r == 0 && now_s() < end)
        for (int i = 0; r == 0 && i < LOOKS; i++) {
            r = cat_number(files, at++);
            *count += r == 0;
        }
    return r;
}

static int start(const struct files *files, int n, double seconds, uint64_t *counts)
{
    for (int i = 0; i < n; i++) {
        unsigned long at = files->n / (unsigned long)n * (unsigned long)i;
        pid_t pid = fork();

        if (pid < 0) {
            fprintf(stderr, "readers: cannot fork: %s\n", strerror(errno));
            return -1;
        }
        if (pid == 0)
            _exit(read_for(files, at, seconds, &counts[i]) < 0);
    }
    return 0;
}

/* Cuts the pattern at its @. */
static struct files files_of(char *pattern, const char *n)
{
    struct files files = {.before = pattern, .n = n ? strtoul(n, NULL, 10) : 0};
    char *at = strchr(pattern, '@');

    if (files.n > 0 && at != NULL) {
        *at = '\0';
        files.after = at + 1;
    } else {
        files.n = 0;
    }
    return files;
}

int main(int argc, char **argv)
{
    bool usable = argc == 4 || argc == 5;
    int n = usable ? atoi(argv[2]) : 0, status, failed;
    double seconds = usable ? atof(argv[3]) : 0;
    uint64_t *counts, sum = 0;
    struct files files;

    if (n < 1 || n > READERS_MAX || seconds <= 0) {
        fprintf(stderr, "usage: readers FILE PROCESSES SECONDS [N]\n");
        return 2;
    }
    files = files_of(argv[1], argv[4]);
    counts = mmap(NULL, READERS_MAX * sizeof(*counts), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED) {
        fprintf(stderr, "readers: no memory\n");
        return 1;
    }
    failed = start(&files, n, seconds, counts) < 0;
    while (wait(&status) > 0)
        failed |= status != 0;
    for (int i = 0; i < n; i++)
        sum += counts[i];
    printf("%.0f\n", (double)sum / seconds);
    return failed;
}
