/*
 * Looks at what the fault shim does, and lets go of what it holds.
 *
 *   faultctl FILE reset            forget all: counts, hits, what was released
 *   faultctl FILE hit SECONDS      wait until a call was hit; exit status 1: none was
 *   faultctl FILE release          whoever is held goes on, and nobody is held any more
 *   faultctl FILE pass N           N calls more go on, of those that are held or will be
 *   faultctl FILE arm|disarm       rules with `armed` begin to count, or cease to
 *   faultctl FILE counts           `CALL N` lines
 *   faultctl FILE log              a line for every hit
 *   faultctl FILE killer NAME      wait until the shim asks for it, then kill every process that
 * has the variable NAME in its environment (but not this one), until there is none
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "shared.h"

static const char *const call_names[CALL_N] = CALL_NAMES;

static struct shared *map_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    void *map = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, SHARED_BYTES) == 0)
        map = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (map == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    return map;
}

/* Until *word is not 0; false after that many seconds. */
static bool wait_for(_Atomic uint32_t *word, time_t seconds)
{
    struct timespec end, now, left = {0};

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    while (atomic_load(word) == 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec >= end.tv_sec)
            return false;
        left.tv_sec = end.tv_sec - now.tv_sec;
        syscall(SYS_futex, word, FUTEX_WAIT, 0, &left, NULL, 0);
    }
    return true;
}

static int do_reset(struct shared *shared, const char *arg)
{
    (void)arg;
    memset(shared, 0, SHARED_BYTES);
    return 0;
}

static int do_hit(struct shared *shared, const char *arg)
{
    return wait_for(&shared->hits, strtol(arg, NULL, 10)) ? 0 : 1;
}

static int do_pass(struct shared *shared, const char *arg)
{
    atomic_fetch_add(&shared->passes, (uint32_t)strtoul(arg, NULL, 10));
    syscall(SYS_futex, &shared->passes, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return 0;
}

static int do_release(struct shared *shared, const char *arg)
{
    (void)arg;
    atomic_store(&shared->released, 1);
    return do_pass(shared, "1"); /* they look there */
}

static int do_arm(struct shared *shared, const char *arg)
{
    (void)arg;
    atomic_store(&shared->armed, 1);
    return 0;
}

static int do_disarm(struct shared *shared, const char *arg)
{
    (void)arg;
    atomic_store(&shared->armed, 0);
    return 0;
}

static int do_counts(struct shared *shared, const char *arg)
{
    (void)arg;
    for (int i = 0; i < CALL_N; i++)
        printf("%s %llu\n", call_names[i], (unsigned long long)atomic_load(&shared->counts[i]));
    return 0;
}

static int do_log(struct shared *shared, const char *arg)
{
    (void)arg;
    fwrite(shared->log, 1, strnlen(shared->log, SHARED_LOG_MAX), stdout);
    return 0;
}

static bool has_variable(const char *pid, const char *name)
{
    static char bytes[1 << 16];
    char path[64];
    size_t n, length = strlen(name);
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%.16s/environ", pid);
    f = fopen(path, "re");
    if (!f)
        return false;
    n = fread(bytes, 1, sizeof(bytes) - 1, f);
    fclose(f);
    bytes[n] = '\0';
    for (size_t at = 0; at < n; at += strlen(bytes + at) + 1)
        if (strncmp(bytes + at, name, length) == 0 && bytes[at + length] == '=')
            return true;
    return false;
}

/* Kill who has it; how many they were, zombies not counted: they have no environment. */
static unsigned kill_round(const char *name)
{
    DIR *proc = opendir("/proc");
    unsigned n = 0;

    for (const struct dirent *e; proc && (e = readdir(proc));) {
        pid_t pid = isdigit((unsigned char)e->d_name[0]) ? (pid_t)strtol(e->d_name, NULL, 10) : 0;

        if (pid > 0 && pid != getpid() && has_variable(e->d_name, name)) {
            kill(pid, SIGKILL);
            n++;
        }
    }
    if (proc)
        closedir(proc);
    return n;
}

static int do_killer(struct shared *shared, const char *arg)
{
    const struct timespec moment = {.tv_nsec = 1000000};

    while (!wait_for(&shared->kill, 3600))
        ;
    while (kill_round(arg) > 0)
        nanosleep(&moment, NULL);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct shared *shared, const char *arg);
    int n_args;
} commands[] = {
    {"reset", do_reset, 0},   {"hit", do_hit, 1},       {"release", do_release, 0},
    {"pass", do_pass, 1},     {"counts", do_counts, 0}, {"log", do_log, 0},
    {"killer", do_killer, 1}, {"arm", do_arm, 0},       {"disarm", do_disarm, 0},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 2 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[2], commands[i].name) == 0 && argc == 3 + commands[i].n_args)
            return commands[i].run(map_file(argv[1]), argv[3]);
    fprintf(stderr, "usage: faultctl FILE reset|hit SECONDS|release|pass "
                    "N|arm|disarm|counts|log|killer NAME\n");
    return 2;
}
