/*
 * A host and its agent, a real process: this program, started again with --pool-agent as ferryfs
 * is.
 */
#include "fs/host/host.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "copy/base/cleanup.h"
#include "fs/backend/backend.h"
#include "fs/host/talk.h"

#include "check.h"

#define DEADLINE_NS UINT64_C(20000000000)

struct world {
    char path[64];
    struct loop *loop;
    struct loop_source *deadline;
    struct host *host;
    bool (*enough)(struct world *w);
    bool late;
    unsigned n_entries, n_answers;
    uint64_t space_ns; /* known of the host as it answered */
    int refuse;
    struct pool_reply reply;
    char seen[256];
};

static int on_hello(void *arg, struct host *host, const struct pool_hello *hello, uuid_t fresh,
                    struct err *e)
{
    struct world *w = arg;

    (void)host;
    if (w->refuse)
        return err_set(e, w->refuse, "not that pool");
    if (hello->marker == POOL_MARKER_NONE)
        uuid_generate(fresh);
    return 0;
}

static void on_entry(void *arg, struct host *host, const struct pool_entry *entry)
{
    struct world *w = arg;

    (void)host;
    w->n_entries++;
    snprintf(w->seen, sizeof(w->seen), "%.200s", entry->name);
}

static void on_scanned(void *arg, struct host *host, bool complete)
{
    (void)arg;
    (void)host;
    (void)complete;
}

static void on_changed(void *arg, struct host *host)
{
    (void)arg;
    (void)host;
}

static const struct host_events events = {on_hello, on_entry, on_scanned, on_changed};

static void after(void *arg)
{
    struct world *w = arg;

    if (w->enough && w->enough(w))
        loop_stop(w->loop);
}

static void on_deadline(void *arg)
{
    struct world *w = arg;

    w->late = true;
    loop_stop(w->loop);
}

/* Turn the loop until that is true. */
static bool until(struct world *w, bool (*enough)(struct world *w))
{
    w->enough = enough;
    w->late = false;
    loop_set_timer(w->deadline, DEADLINE_NS);
    loop_wake(w->loop);
    REQUIRE(loop_run(w->loop) == 0);
    loop_stop_timer(w->deadline);
    return !w->late;
}

static void write_file(const struct world *w, const char *name)
{
    char path[320];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", w->path, name);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    REQUIRE(fd >= 0 && write(fd, "bytes", 5) == 5 && close(fd) == 0);
}

static void begin(struct world *w, bool with_pool)
{
    struct host_config config = {.name = "ssd", .driver = "dir", .max_jobs = 2};

    *w = (struct world){.path = "/tmp/ferryfs-host-XXXXXX"};
    REQUIRE(mkdtemp(w->path));
    snprintf(config.path, sizeof(config.path), "%s", w->path);
    if (!with_pool)
        REQUIRE(rmdir(w->path) == 0);
    else
        write_file(w, "db1");
    REQUIRE(loop_open(&w->loop) == 0);
    REQUIRE(loop_add_timer(w->loop, on_deadline, w, &w->deadline) == 0);
    loop_set_after(w->loop, after, w);
    REQUIRE(host_open(w->loop, &config, NULL, &events, w, &w->host) == 0);
}

static void end(struct world *w)
{
    struct dirent *entry;
    DIR *dir;

    host_close(w->host);
    loop_remove(w->deadline);
    loop_close(w->loop);
    while (waitpid(-1, NULL, 0) > 0) /* the agents, killed by now */
        ;
    dir = opendir(w->path);
    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(w->path);
}

static bool is_up(struct world *w)
{
    return w->host->up;
}

static bool is_down(struct world *w)
{
    return !w->host->up && w->host->last_error[0];
}

static bool is_answered(struct world *w)
{
    return w->n_answers > 0;
}

static void answered(void *arg, const struct pool_reply *reply, int fd)
{
    struct world *w = arg;

    owned_fd(&fd);
    w->n_answers++;
    w->space_ns = w->host->space_ns;
    w->reply = *reply;
}

static int ask(struct world *w, uint64_t timeout_ns)
{
    struct pool_request request = {.kind = POOL_EXAMINE, .name = "db1"};

    uuid_generate(request.cid);
    w->n_answers = 0;
    return host_ask(w->host, &request, -1, timeout_ns, answered, w, NULL);
}

TEST(a_pool_comes_up_with_its_space_its_marker_and_its_files)
{
    struct world w;

    begin(&w, true);
    CHECK(until(&w, is_up));
    CHECK_EQ(w.n_entries, 1);
    CHECK_STR(w.seen, "db1");
    CHECK(w.host->lock_fd >= 0);
    CHECK_EQ(strlen(w.host->pool), 36);
    end(&w);
}

static bool sees_db2(struct world *w)
{
    return strcmp(w->seen, "db2") == 0;
}

TEST(a_file_that_appears_is_told)
{
    struct world w;

    begin(&w, true);
    CHECK(until(&w, is_up));
    write_file(&w, "db2");
    CHECK(until(&w, sees_db2));
    end(&w);
}

TEST(a_question_is_answered_once)
{
    struct world w;

    begin(&w, true);
    CHECK(until(&w, is_up));
    CHECK_EQ(ask(&w, 0), 0);
    CHECK_EQ(w.n_answers, 0);
    CHECK(until(&w, is_answered));
    CHECK_EQ(w.n_answers, 1);
    CHECK_EQ(w.reply.error, 0);
    CHECK_EQ(w.reply.found, POOL_FOUND_OTHER);
    end(&w);
}

TEST(an_answer_comes_with_the_space_of_after_it)
{
    struct world w;
    uint64_t asked_ns;

    begin(&w, true);
    CHECK(until(&w, is_up));
    asked_ns = io_now_ns();
    CHECK_EQ(ask(&w, 0), 0);
    CHECK(until(&w, is_answered));
    CHECK(w.space_ns > asked_ns);
    end(&w);
}

static void tell_space(struct host *host, uint64_t at_ns, uint64_t free_bytes)
{
    union host_message m = {
        .space = {.kind = POOL_SPACE, .at_ns = at_ns, .free_bytes = free_bytes}};
    int fd = -1;

    host_take_message(host, &m, sizeof(m.space), &fd);
}

TEST(of_two_looks_at_the_space_the_one_that_began_later_counts)
{
    struct world w = {0};
    struct host host = {.events = &events, .events_arg = &w};

    tell_space(&host, 20, 2000);
    CHECK_EQ(host.free_bytes, 2000);
    tell_space(&host, 10, 1000);
    CHECK_EQ(host.free_bytes, 2000);
    tell_space(&host, 0, 500); /* none was had */
    CHECK_EQ(host.free_bytes, 2000);
    tell_space(&host, 30, 3000);
    CHECK_EQ(host.free_bytes, 3000);
}

TEST(a_question_to_an_agent_that_stands_still_ends_with_its_deadline)
{
    struct world w;

    begin(&w, true);
    CHECK(until(&w, is_up));
    CHECK_EQ(kill(w.host->agent.pid, SIGSTOP), 0);
    CHECK_EQ(ask(&w, UINT64_C(50000000)), 0);
    CHECK(until(&w, is_answered));
    CHECK_EQ(w.reply.error, ETIMEDOUT);
    CHECK_EQ(kill(w.host->agent.pid, SIGCONT), 0);
    end(&w);
}

TEST(an_agent_that_dies_fails_its_questions_and_another_takes_over)
{
    struct world w;

    begin(&w, true);
    CHECK(until(&w, is_up));
    CHECK_EQ(kill(w.host->agent.pid, SIGSTOP), 0);
    CHECK_EQ(ask(&w, 0), 0);
    CHECK_EQ(kill(w.host->agent.pid, SIGKILL), 0);
    CHECK(until(&w, is_answered));
    CHECK_EQ(w.reply.error, EHOSTDOWN);
    CHECK(!w.host->up);
    CHECK_EQ(w.host->lock_fd, -1);
    CHECK(until(&w, is_up));
    CHECK_EQ(ask(&w, 0), 0);
    CHECK(until(&w, is_answered));
    CHECK_EQ(w.reply.error, 0);
    end(&w);
}

TEST(a_pool_that_is_away_is_down_and_comes_back)
{
    struct world w;

    begin(&w, false);
    CHECK(until(&w, is_down));
    CHECK(strstr(w.host->last_error, w.path) != NULL);
    CHECK_EQ(ask(&w, 0), -EHOSTDOWN);
    CHECK_EQ(mkdir(w.path, 0700), 0);
    CHECK(until(&w, is_up));
    CHECK_STR(w.host->last_error, "");
    end(&w);
}

TEST(a_pool_that_is_refused_stays_down_with_the_reason)
{
    struct world w;

    begin(&w, true);
    w.refuse = ENODEV;
    CHECK(until(&w, is_down));
    CHECK_STR(w.host->last_error, "not that pool");
    CHECK_EQ(w.n_entries, 0);
    w.refuse = 0;
    CHECK(until(&w, is_up));
    end(&w);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--pool-agent") == 0)
        return backend_agent_main();
    return check_main(argc, argv);
}
