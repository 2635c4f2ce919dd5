#include "fs/migrate/teller.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copy/base/child.h"
#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/base/log.h"

#define RUNS_MAX    4
#define WAITING_MAX 1000
#define NS_PER_S    UINT64_C(1000000000)
#define KEYS_MAX    32
#define SEARCH_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct notice {
    struct notice *next;
    const char *event;
    char *json, *lines;
};

struct run {
    struct teller *teller;
    struct child child; /* pid 0: free */
    const char *event;
    bool late;
    struct loop_source *death, *deadline;
};

struct teller {
    struct loop *loop;
    const struct teller_config *config;
    struct run runs[RUNS_MAX];
    struct notice *first, **end;
    size_t n_waiting;
    uint64_t n_dropped; /* and not told in the log yet */
};

static void notice_free(struct notice *notice)
{
    if (!notice)
        return;
    free(notice->json);
    free(notice->lines);
    free(notice);
}

/* A file that nobody else sees: the program may read it when it likes, and need not. */
static int open_json(const char *json)
{
    OWNED(fd) int fd = memfd_create("event", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : io_write(fd, json, strlen(json));

    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    return r < 0 ? r : take_fd(&fd);
}

/* The lines become strings in their place. */
static void split_lines(char *lines, char **envp)
{
    size_t n = 0;
    char *rest = lines;

    for (char *line; n < KEYS_MAX && (line = strsep(&rest, "\n")) && *line;)
        envp[n++] = line;
    envp[n] = NULL;
}

static int start(struct run *run, struct notice *notice)
{
    const struct teller_config *config = run->teller->config;
    OWNED(fd) int json_fd = open_json(notice->json);
    char path[] = SEARCH_PATH, *envp[KEYS_MAX + 2] = {path};
    struct child_how how = {.stdin_fd = json_fd,
                            .envp = envp,
                            .drop = geteuid() == 0,
                            .uid = config->uid,
                            .gid = config->gid};

    if (json_fd < 0)
        return json_fd;
    split_lines(notice->lines, envp + 1);
    return child_start_how(&run->child, config->words, NULL, 0, &how);
}

static void run_next(struct teller *teller);

static const char *program(const struct teller *teller)
{
    return teller->config->words[0];
}

static void on_death(void *arg, uint32_t events)
{
    struct run *run = arg;
    struct teller *teller = run->teller;
    char how[64];
    int status = 0;

    (void)events;
    loop_stop_timer(run->deadline);
    loop_remove(take_ptr(run->death));
    if (child_reap(&run->child, &status) < 0 || run->late || status != 0) {
        child_describe(status, how, sizeof(how));
        log_say(LOG_WARNING, "notify %s: %s, of event %s%s", program(teller), how, run->event,
                run->late                                         ? ": it took too long"
                : WIFEXITED(status) && WEXITSTATUS(status) == 127 ? ": it cannot be run"
                                                                  : "");
    }
    run_next(teller);
}

static void on_deadline(void *arg)
{
    struct run *run = arg;

    run->late = true;
    child_kill_group(&run->child);
}

/* Without a place to hear of its death it is ended at once: it is not waited for in any other way.
 */
static int watch(struct run *run)
{
    struct loop *loop = run->teller->loop;
    int r = loop_add_fd(loop, run->child.pidfd, EPOLLIN, on_death, run, &run->death);

    if (r < 0) {
        child_kill_group(&run->child);
        waitpid(run->child.pid, NULL, 0);
        owned_fd(&run->child.pidfd);
        run->child = CHILD_NONE;
        return r;
    }
    loop_set_timer(run->deadline, run->teller->config->timeout_s * NS_PER_S);
    return 0;
}

static struct notice *take_first(struct teller *teller)
{
    struct notice *notice = teller->first;

    teller->first = notice->next;
    if (!teller->first)
        teller->end = &teller->first;
    teller->n_waiting--;
    return notice;
}

static void begin(struct run *run)
{
    struct notice *notice = take_first(run->teller);
    int r;

    run->event = notice->event;
    run->late = false;
    r = start(run, notice);
    if (r == 0)
        r = watch(run);
    if (r < 0)
        log_say(LOG_WARNING, "notify %s: cannot be started, of event %s: %s", program(run->teller),
                run->event, strerror(-r));
    notice_free(notice);
}

static void run_next(struct teller *teller)
{
    for (size_t i = 0; i < RUNS_MAX; i++)
        while (teller->first && teller->runs[i].child.pid == 0)
            begin(&teller->runs[i]);
    if (teller->n_dropped > 0 && teller->n_waiting < WAITING_MAX / 4) {
        log_say(LOG_WARNING, "notify %s: it keeps up again, %" PRIu64 " events were dropped",
                program(teller), teller->n_dropped);
        teller->n_dropped = 0;
    }
}

static struct notice *notice_make(const char *event, const char *json, const char *lines)
{
    struct notice *notice = calloc(1, sizeof(*notice));

    if (!notice)
        return NULL;
    notice->event = event;
    notice->json = strdup(json);
    notice->lines = strdup(lines);
    if (notice->json && notice->lines)
        return notice;
    notice_free(notice);
    return NULL;
}

void teller_tell(struct teller *teller, const char *event, const char *json, const char *lines,
                 bool pressing)
{
    struct notice *notice = NULL;

    if (teller->n_waiting < (pressing ? WAITING_MAX : WAITING_MAX / 2))
        notice = notice_make(event, json, lines);
    if (!notice) {
        if (teller->n_dropped++ == 0)
            log_say(LOG_WARNING, "notify %s: too slow, events are dropped", program(teller));
        return;
    }
    *teller->end = notice;
    teller->end = &notice->next;
    teller->n_waiting++;
    run_next(teller);
}

int teller_open(struct loop *loop, const struct teller_config *config, struct teller **ret)
{
    struct teller *teller = calloc(1, sizeof(*teller));
    int r = 0;

    if (!teller)
        return -ENOMEM;
    teller->loop = loop;
    teller->config = config;
    teller->end = &teller->first;
    for (size_t i = 0; i < RUNS_MAX && r == 0; i++) {
        teller->runs[i] = (struct run){.teller = teller, .child = CHILD_NONE};
        r = loop_add_timer(loop, on_deadline, &teller->runs[i], &teller->runs[i].deadline);
    }
    if (r < 0) {
        teller_close(teller);
        return r;
    }
    *ret = teller;
    return 0;
}

static void run_end(struct run *run)
{
    loop_remove(run->death);
    loop_remove(run->deadline);
    if (run->child.pid <= 0)
        return;
    child_kill_group(&run->child); /* we end too: nobody waits for it, where its disk may hang */
    owned_fd(&run->child.pidfd);
}

void teller_close(struct teller *teller)
{
    if (!teller)
        return;
    for (size_t i = 0; i < RUNS_MAX; i++)
        if (teller->runs[i].teller)
            run_end(&teller->runs[i]);
    while (teller->first)
        notice_free(take_first(teller));
    free(teller);
}
