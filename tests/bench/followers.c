/*
 * Many who follow a file that grows by lines with "seq":N in them, each as a process of its own, by
 * poll(2) and read(2).
 *
 * Usage: followers FILE PROCESSES LINES; prints `ready` once all of them are at the end of FILE,
 * and ends when each has read so many lines more. Exit status 1: one of them missed a line.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY         "\"seq\":"
#define BUFFER      (1 << 17)
#define PATIENCE_MS 30000

struct follower {
    int fd;
    char bytes[BUFFER];
    size_t n;         /* of them, of a line whose end has not come yet */
    uint64_t seq;     /* of the last line; 0: none */
    uint64_t n_lines; /* since it was at the end */
    bool is_at_end;
    _Atomic int *n_ready;
};

static int fail(const char *what)
{
    fprintf(stderr, "followers: %s\n", what);
    return -1;
}

static int take_line(struct follower *f, char *line)
{
    const char *key = strstr(line, KEY);
    uint64_t seq = key ? strtoull(key + strlen(KEY), NULL, 10) : 0;

    if (seq == 0 || (f->seq != 0 && seq != f->seq + 1))
        return fail("a line was missed");
    f->seq = seq;
    f->n_lines += f->is_at_end;
    return 0;
}

static int take_lines(struct follower *f)
{
    char *line = f->bytes, *end;
    int r = 0;

    f->bytes[f->n] = '\0';
    while (r == 0 && (end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        r = take_line(f, line);
        line = end + 1;
    }
    f->n -= (size_t)(line - f->bytes);
    memmove(f->bytes, line, f->n);
    return r;
}

/* What there is now. */
static int read_on(struct follower *f)
{
    ssize_t n;

    while ((n = read(f->fd, f->bytes + f->n, BUFFER - 1 - f->n)) > 0) {
        f->n += (size_t)n;
        if (take_lines(f) < 0)
            return -1;
    }
    return n < 0 ? fail(strerror(errno)) : 0;
}

static int follow(struct follower *f, uint64_t n_lines)
{
    struct pollfd wait = {.fd = f->fd, .events = POLLPRI};

    while (f->n_lines < n_lines) {
        if (read_on(f) < 0)
            return -1;
        if (!f->is_at_end)
            atomic_fetch_add(f->n_ready, 1);
        f->is_at_end = true;
        if (f->n_lines < n_lines && poll(&wait, 1, PATIENCE_MS) <= 0)
            return fail("nothing comes");
    }
    return 0;
}

static int begin(const char *path, uint64_t n_lines, _Atomic int *n_ready)
{
    struct follower *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return fail("no memory");
    f->n_ready = n_ready;
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    return f->fd < 0 ? fail(strerror(errno)) : follow(f, n_lines);
}

int main(int argc, char **argv)
{
    _Atomic int *n_ready =
        mmap(NULL, sizeof(*n_ready), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int n = argc == 4 ? atoi(argv[2]) : 0, status, failed = 0;

    if (n < 1 || n_ready == MAP_FAILED) {
        fprintf(stderr, "usage: followers FILE PROCESSES LINES\n");
        return 2;
    }
    for (int i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid == 0)
            _exit(begin(argv[1], strtoull(argv[3], NULL, 10), n_ready) < 0);
        failed |= pid < 0;
    }
    while (!failed && atomic_load(n_ready) < n) {
        failed = waitpid(-1, &status, WNOHANG) > 0; /* none ends before it is at the end */
        poll(NULL, 0, 1);
    }
    printf("ready\n");
    fflush(stdout);
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}
