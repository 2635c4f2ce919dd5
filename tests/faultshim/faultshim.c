/*
 * Makes a chosen system call of a program fail, come up short, wait or be the last one. Preloaded;
 * it counts over all threads and all processes of the program's tree.
 *
 * FAULTSHIM=file=PATH,call=NAME,at=N,do=WHAT[,from][,armed][,program=WORD][,under=PATH]
 *   file     shared with the other processes and with faultctl, which reads it and lets go of what
 * is held call     one of CALL_NAMES; without it calls are only counted at       the N-th call that
 * counts is hit; with `from` it and every later one do       an errno's name: fail with it; short:
 * half of the bytes; hold: wait for `faultctl release`, or for a `pass`; kill: SIGKILL this
 * process; killtree: SIGKILL the daemon ($FERRYFS_CRASH_PID) at once where it can be reached, and
 * ask `faultctl killer` to kill the rest; this call never returns program  only where the command
 * line holds that word under    only where the descriptor or a name lies under that path (last: it
 * may hold a comma) ASan's library has to be preloaded before this one.
 *
 * A sandboxed process may not be able to ask what a descriptor is: what descriptors are is noted
 * when the program begins and when it asks for a seccomp filter; what is opened later by such a
 * process lies nowhere. There it waits and kills by shared memory and futex(2) alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"

#define N_NOTED 256

static const char *const call_names[CALL_N] = CALL_NAMES;

/* Set by the constructor, in every process anew; a library has no other place. */
static struct {
    struct shared *shared; /* NULL: nothing is to be done */
    int call;              /* -1: none */
    uint64_t at;
    bool from, armed;
    enum action action;
    int error;
    char under[PATH_MAX];
    pid_t daemon;
    bool program; /* this is the one */
    bool sandboxed;
    signed char noted[N_NOTED]; /* descriptors under `under`: 1 yes, 0 no, -1 not known */
} shim;

static long (*system_call)(long number, ...);
/* The shim's own calls do not count. Its place is fixed, as a lazily made one would need malloc. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

long raw(long number, long a, long b, long c, long d, long e, long f)
{
    if (!system_call)
        *(void **)&system_call = dlsym(RTLD_NEXT, "syscall");
    return system_call(number, a, b, c, d, e, f);
}
/* Where things lie */

static bool path_counts(const char *path)
{
    size_t n = strlen(shim.under);

    return strncmp(path, shim.under, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static bool fd_path(int fd, char path[PATH_MAX])
{
    char link[40];
    long n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = RAW(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1, 0, 0);
    if (n < 0)
        return false;
    path[n] = '\0';
    return true;
}

static bool fd_counts(int fd)
{
    char path[PATH_MAX];

    if (!shim.under[0])
        return true;
    if (shim.sandboxed)
        return fd >= 0 && fd < N_NOTED && shim.noted[fd] == 1;
    return fd_path(fd, path) && path_counts(path);
}

static bool name_counts(int dir, const char *name)
{
    char path[2 * PATH_MAX];

    if (!shim.under[0])
        return true;
    if (!name || name[0] == '/' || dir == AT_FDCWD)
        return name && path_counts(name);
    if (shim.sandboxed || !fd_path(dir, path))
        return false;
    strcat(path, "/");
    strncat(path, name, PATH_MAX - 2);
    return path_counts(path);
}

static void note_descriptors(void)
{
    char path[PATH_MAX];

    for (int fd = 0; shim.under[0] && fd < N_NOTED; fd++)
        if (fd_path(fd, path))
            shim.noted[fd] = (signed char)path_counts(path);
}

/* What happens */

static void futex_wait_for(_Atomic uint32_t *word)
{
    while (atomic_load(word) == 0)
        RAW(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void futex_raise(_Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    RAW(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Until all are released, or one pass is left. */
static void hold(void)
{
    while (atomic_load(&shim.shared->released) == 0) {
        uint32_t n = atomic_load(&shim.shared->passes);

        if (n > 0 && atomic_compare_exchange_strong(&shim.shared->passes, &n, n - 1))
            return;
        if (n == 0)
            RAW(SYS_futex, &shim.shared->passes, FUTEX_WAIT, 0, NULL, NULL, 0);
    }
}

static void tell(uint64_t count)
{
    char line[160];
    int n = snprintf(line, sizeof(line), "%s: %s %llu\n", program_invocation_short_name,
                     call_names[shim.call], (unsigned long long)count);
    uint32_t at = atomic_fetch_add(&shim.shared->log_bytes, (uint32_t)n);

    if (at + (uint32_t)n < SHARED_LOG_MAX)
        memcpy(shim.shared->log + at, line, (size_t)n);
    futex_raise(&shim.shared->hits);
}

static void die_here(void)
{
    if (!shim.sandboxed)
        RAW(SYS_kill, RAW(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0, 0);
    __builtin_trap();
}

static void kill_tree(void)
{
    _Atomic uint32_t never = 0;

    futex_raise(&shim.shared->kill);
    if (!shim.sandboxed && shim.daemon > 0)
        RAW(SYS_kill, shim.daemon, SIGKILL, 0, 0, 0, 0);
    futex_wait_for(&never);
}

/* The call counts: what becomes of it? ACTION_COUNT: it is carried out. With ACTION_FAIL errno is
 * set. */
static enum action strike(enum call call)
{
    uint64_t count = atomic_fetch_add(&shim.shared->counts[call], 1) + 1;

    if ((int)call != shim.call || (shim.from ? count < shim.at : count != shim.at))
        return ACTION_COUNT;
    tell(count);
    if (shim.action == ACTION_HOLD)
        hold();
    if (shim.action == ACTION_KILL)
        die_here();
    if (shim.action == ACTION_KILLTREE)
        kill_tree();
    if (shim.action == ACTION_FAIL)
        errno = shim.error;
    return shim.action;
}

static enum action on(enum call call, bool (*counts)(int, const char *), int fd, const char *name)
{
    enum action action = ACTION_COUNT;
    int saved = errno;

    if (!shim.shared || !shim.program || inside ||
        (shim.armed && !atomic_load(&shim.shared->armed)))
        return ACTION_COUNT;
    inside = true;
    if (!counts || counts(fd, name))
        action = strike(call);
    inside = false;
    if (action != ACTION_FAIL)
        errno = saved;
    return action;
}

static bool fd_counts_too(int fd, const char *name)
{
    (void)name;
    return fd_counts(fd);
}

enum action on_fd(enum call call, int fd)
{
    return on(call, fd_counts_too, fd, NULL);
}

enum action on_name(enum call call, int dir, const char *name)
{
    return on(call, name_counts, dir, name);
}

enum action on_call(enum call call)
{
    return on(call, NULL, -1, NULL);
}

bool name_is_under(int dir, const char *name)
{
    return name_counts(dir, name);
}

void about_to_be_sandboxed(void)
{
    if (!shim.shared || shim.sandboxed)
        return;
    inside = true;
    note_descriptors();
    shim.sandboxed = true;
    inside = false;
}

/* The beginning */

static int word_in(const char *word, const char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

static bool set_action(const char *word)
{
    static const char *const actions[] = {"count", "fail", "short", "hold", "kill", "killtree"};
    int found = word_in(word, actions, 6);

    if (found >= 0 && found != ACTION_FAIL) {
        shim.action = (enum action)found;
        return true;
    }
    shim.action = ACTION_FAIL;
    for (shim.error = 1; shim.error < 134; shim.error++)
        if (strerrorname_np(shim.error) && strcmp(strerrorname_np(shim.error), word) == 0)
            return true;
    return false;
}

static bool map_file(const char *path)
{
    int fd = (int)RAW(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0666, 0, 0);
    void *map;

    if (fd < 0 || RAW(SYS_ftruncate, fd, SHARED_BYTES, 0, 0, 0, 0) < 0)
        return false;
    map = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    RAW(SYS_close, fd, 0, 0, 0, 0, 0);
    if (map == MAP_FAILED)
        return false;
    shim.shared = map;
    return true;
}

static bool command_line_holds(const char *word)
{
    char line[4096];
    int fd = (int)RAW(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0, 0, 0);
    long n = fd < 0 ? -1 : RAW(SYS_read, fd, line, sizeof(line), 0, 0, 0);

    RAW(SYS_close, fd, 0, 0, 0, 0, 0);
    return n > 0 && memmem(line, (size_t)n, word, strlen(word));
}

static bool set(const char *key, const char *value)
{
    if (strcmp(key, "file") == 0)
        return map_file(value);
    if (strcmp(key, "call") == 0)
        return (shim.call = word_in(value, call_names, CALL_N)) >= 0;
    if (strcmp(key, "at") == 0)
        return (shim.at = strtoull(value, NULL, 10)) > 0;
    if (strcmp(key, "from") == 0)
        return shim.from = true;
    if (strcmp(key, "armed") == 0)
        return shim.armed = true;
    if (strcmp(key, "do") == 0)
        return set_action(value);
    if (strcmp(key, "program") == 0)
        return (shim.program = command_line_holds(value)) || true;
    return false;
}

static void usage(const char *what)
{
    fprintf(stderr, "faultshim: cannot do as FAULTSHIM says: %s\n", what);
    _exit(99);
}

__attribute__((constructor)) static void begin(void)
{
    char spec[2 * PATH_MAX], *rest = spec, *key, *value;
    const char *environment = getenv("FAULTSHIM"), *daemon = getenv("FERRYFS_CRASH_PID");

    shim.call = -1;
    shim.at = 1;
    shim.program = true;
    memset(shim.noted, -1, sizeof(shim.noted));
    if (!environment)
        return;
    inside = true;
    if (snprintf(spec, sizeof(spec), "%s", environment) >= (int)sizeof(spec))
        usage("too long");
    while (rest && *rest) {
        bool last = strncmp(rest, "under=", 6) == 0;

        key = last ? rest : strsep(&rest, ",");
        if (last) {
            snprintf(shim.under, sizeof(shim.under), "%s", rest + 6);
            break;
        }
        value = key;
        strsep(&value, "=");
        if (!set(key, value ? value : ""))
            usage(key);
    }
    if (!shim.shared)
        usage("no file");
    shim.daemon = daemon ? (pid_t)strtol(daemon, NULL, 10) : 0;
    note_descriptors();
    inside = false;
}
