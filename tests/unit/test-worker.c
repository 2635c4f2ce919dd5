/* The worker as a process, from the daemon's side of the socket. */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "copy/base/child.h"
#include "copy/base/io.h"
#include "copy/crash_points.h"
#include "copy/wire.h"
#include "copy/worker-path.h"
#include "tests/unit/copying.h"

#define PATIENCE_MS 20000
#define FAST_DIR    (pool_dirs[0].path)

struct run {
    struct child child;
    int socket; /* the daemon's end */
    int source_fd, destination_fd;
    struct wire_memory *memory;
    struct progress *progress; /* in it */
    uint64_t size_bytes;
};

static void set_speed(struct run *run, uint64_t bytes_per_s)
{
    atomic_store(&run->memory->steering.speed_bytes_per_s, bytes_per_s);
}

static void start(struct run *run, uint64_t memory_bytes)
{
    char *argv[] = {(char[]){WORKER_PATH}, NULL};
    int ends[2], shared = memfd_create("memory", MFD_CLOEXEC), fds[4];

    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    REQUIRE(shared >= 0 && ftruncate(shared, (off_t)memory_bytes) == 0);
    run->memory = mmap(NULL, WIRE_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
    REQUIRE(run->memory != MAP_FAILED);
    run->progress = &run->memory->progress;
    if (memory_bytes >= WIRE_MEMORY_BYTES)
        set_speed(run, UINT64_MAX);
    fds[0] = ends[1];
    fds[1] = shared;
    fds[2] = run->source_fd;
    fds[3] = run->destination_fd;
    REQUIRE(child_start(&run->child, argv, fds, ARRAY_N(fds)) == 0);
    close(ends[1]);
    close(shared);
    run->socket = ends[0];
}

/* The source is open for reading alone, as a lease wants it. */
static void prepare(struct run *run, const char *dir, uint64_t size_bytes, bool dense)
{
    char path[PATH_MAX];
    uint64_t random = 77;
    int fd = volume_make(dir, "source", size_bytes);

    if (dense)
        volume_write(fd, 0, size_bytes, 1, &random);
    else
        volume_scatter(fd, size_bytes, 20, &random);
    close(fd);
    snprintf(path, sizeof(path), "%s/source", dir);
    *run = (struct run){.size_bytes = size_bytes};
    run->source_fd = open(path, O_RDONLY | O_CLOEXEC);
    REQUIRE(run->source_fd >= 0);
    run->destination_fd = volume_make(dir, "destination", size_bytes);
}

static void open_run(struct run *run, const char *dir, uint64_t size_bytes, bool dense)
{
    prepare(run, dir, size_bytes, dense);
    start(run, WIRE_MEMORY_BYTES);
}

static bool readable_in_time(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    return poll(&wait, 1, PATIENCE_MS) == 1;
}

static int await_death(struct run *run)
{
    int status = -1;

    REQUIRE(readable_in_time(run->child.pidfd));
    CHECK_EQ(child_reap(&run->child, &status), 1);
    return status;
}

static void close_run(struct run *run)
{
    close(run->socket);
    if (run->child.pid > 0)
        CHECK_EQ(await_death(run), 0);
    munmap(run->memory, WIRE_MEMORY_BYTES);
    close(run->source_fd);
    close(run->destination_fd);
}

static void ask(struct run *run, struct wire_request request)
{
    request.version = WIRE_VERSION;
    request.size_bytes = run->size_bytes;
    REQUIRE(io_send(run->socket, &request, sizeof(request), -1) == 0);
}

/* The next answer; *ret_low: the last checkpoint before it. */
static struct wire_reply hear(struct run *run, uint64_t *ret_low)
{
    struct wire_reply reply;
    size_t n;
    int fd;

    do {
        REQUIRE(readable_in_time(run->socket));
        REQUIRE(io_receive(run->socket, &reply, sizeof(reply), &n, &fd) == 0);
        REQUIRE(n == sizeof(reply));
        CHECK_EQ(reply.version, WIRE_VERSION);
        if (reply.event == WIRE_CHECKPOINT && ret_low)
            *ret_low = reply.offset_bytes;
    } while (reply.event == WIRE_CHECKPOINT);
    return reply;
}

static bool run_equal(struct run *run)
{
    return volume_difference(run->source_fd, run->destination_fd, run->size_bytes) ==
           run->size_bytes;
}

/* A line of /proc/PID/status. */
static void status_line(struct run *run, const char *key, char out[128])
{
    char path[64], line[128];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)run->child.pid);
    f = fopen(path, "re");
    REQUIRE(f);
    out[0] = '\0';
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, key, strlen(key)) == 0)
            snprintf(out, 128, "%s", line + strlen(key));
    }
    fclose(f);
    out[strcspn(out, "\n")] = '\0';
}

TEST(it_copies_and_verifies_both_ways)
{
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        struct wire_reply reply, compared;
        struct run run;

        open_run(&run, pool_dirs[i].path, 21 * MIB + 99, false);
        ask(&run, (struct wire_request){.command = WIRE_COPY,
                                        .destination_zero = 1,
                                        .checkpoint_ns = 1,
                                        .verify_behind = i % 2});
        reply = hear(&run, NULL);
        CHECK_EQ(reply.event, WIRE_COPIED);
        CHECK(run_equal(&run));
        CHECK(i % 2 || run.progress->verified_bytes == 0);
        CHECK_EQ(run.progress->done_bytes, run.size_bytes);
        ask(&run, (struct wire_request){.command = WIRE_VERIFY});
        reply = hear(&run, NULL);
        CHECK_EQ(reply.event, WIRE_VERIFIED);
        ask(&run, (struct wire_request){.command = WIRE_VERIFY, .compare_source = 1});
        compared = hear(&run, NULL);
        CHECK_EQ(compared.event, WIRE_VERIFIED);
        CHECK(memcmp(reply.digest, compared.digest, sizeof(reply.digest)) == 0);
        CHECK_EQ(run.progress->verified_bytes, run.size_bytes);
        close_run(&run);
    }
}

TEST(it_keeps_no_privilege)
{
    struct run run;
    char line[128];

    open_run(&run, FAST_DIR, MIB, false);
    ask(&run, (struct wire_request){.command = WIRE_STOP});
    CHECK_EQ(hear(&run, NULL).error, ECANCELED); /* so it is in its sandbox */
    status_line(&run, "NoNewPrivs:", line);
    CHECK_STR(line, "\t1");
#ifndef FERRYFS_FAULTS
    if (geteuid() == 0) {
        const char *const sets[] = {"CapPrm:", "CapEff:", "CapAmb:"};

        status_line(&run, "Uid:", line);
        CHECK_STR(line, "\t65534\t65534\t65534\t65534");
        status_line(&run, "Groups:", line);
        CHECK_STR(line, "\t ");
        for (size_t i = 0; i < ARRAY_N(sets); i++) {
            status_line(&run, sets[i], line);
            CHECK_STR(line, "\t0000000000000000");
        }
    }
#ifndef FERRYFS_SANITIZED
    status_line(&run, "Seccomp:", line);
    CHECK_STR(line, "\t2");
#endif
#endif
    close_run(&run);
}

TEST(a_stop_has_one_answer_and_no_byte_moves_after_it)
{
    struct wire_reply reply;
    uint64_t beats, low = 0;
    struct run run;

    open_run(&run, FAST_DIR, 160 * MIB, true);
    ask(&run, (struct wire_request){.command = WIRE_COPY, .checkpoint_ns = 1});
    while (atomic_load(&run.progress->beats) < 3)
        sched_yield();
    ask(&run, (struct wire_request){.command = WIRE_STOP});
    reply = hear(&run, &low);
    beats = run.progress->beats;
    CHECK_EQ(reply.event, WIRE_FAILED);
    CHECK_EQ(reply.error, ECANCELED);
    CHECK_EQ(reply.flushed, 1);
    CHECK(reply.offset_low_bytes >= low);
    CHECK(beats < 100);
    low = reply.offset_low_bytes;
    CHECK_EQ(volume_difference(run.source_fd, run.destination_fd, low), low);
    ask(&run, (struct wire_request){.command = WIRE_STOP});
    CHECK_EQ(hear(&run, NULL).error, ECANCELED);
    CHECK_EQ(run.progress->beats, beats);
    ask(&run, (struct wire_request){.command = WIRE_VERIFY}); /* half a copy has no digests */
    CHECK_EQ(hear(&run, NULL).error, EINVAL);
    ask(&run, (struct wire_request){.command = WIRE_COPY, .start_bytes = low});
    CHECK_EQ(hear(&run, NULL).event, WIRE_COPIED);
    CHECK(run_equal(&run));
    CHECK_EQ(run.progress->done_bytes, run.size_bytes);
    close_run(&run);
}

/* Nothing more is begun, and it is seen to be alive. */
static void check_paused(struct run *run)
{
    const struct progress *progress = run->progress;
    uint64_t beats, moved;

    set_speed(run, 0);
    do { /* what was begun ends */
        moved = progress->copied_bytes + progress->verified_bytes;
        beats = progress->beats;
        while (progress->beats < beats + 4)
            sched_yield();
    } while (progress->copied_bytes + progress->verified_bytes != moved);
    while (progress->beats < beats + 8)
        sched_yield();
    CHECK_EQ(progress->copied_bytes + progress->verified_bytes, moved);
    CHECK(moved < 2 * run->size_bytes);
}

TEST(at_speed_0_it_stands_still_and_goes_on_where_it_was)
{
    struct run run;

    open_run(&run, FAST_DIR, 64 * MIB, true);
    set_speed(&run, 0);
    ask(&run, (struct wire_request){.command = WIRE_COPY});
    check_paused(&run);
    CHECK_EQ(run.progress->copied_bytes, 0);
    set_speed(&run, 64 * MIB);
    while (run.progress->copied_bytes < MIB)
        sched_yield();
    check_paused(&run);
    set_speed(&run, UINT64_MAX);
    CHECK_EQ(hear(&run, NULL).event, WIRE_COPIED);
    CHECK_EQ(run.progress->copied_bytes, run.size_bytes);
    set_speed(&run, 0);
    ask(&run, (struct wire_request){.command = WIRE_VERIFY});
    check_paused(&run);
    CHECK_EQ(run.progress->verified_bytes, 0);
    set_speed(&run, UINT64_MAX);
    CHECK_EQ(hear(&run, NULL).event, WIRE_VERIFIED);
    CHECK(run_equal(&run));
    close_run(&run);
}

/* Somebody opens the source to write, and waits in open(2) or is told to come again. */
static void break_lease(const char *dir)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/source", dir);
    CHECK_EQ(open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC), -1);
    CHECK_EQ(errno, EWOULDBLOCK);
}

static void break_at(const char *dir, uint64_t n_beats, uint32_t command)
{
    struct wire_reply reply;
    struct run run;

    open_run(&run, dir, 64 * MIB, true);
    REQUIRE(fcntl(run.source_fd, F_SETLEASE, F_RDLCK) == 0);
    if (command == WIRE_VERIFY) {
        ask(&run, (struct wire_request){.command = WIRE_COPY, .lease = 1});
        CHECK_EQ(hear(&run, NULL).event, WIRE_COPIED);
        n_beats += run.progress->beats;
    }
    if (n_beats == 0)
        break_lease(dir);
    ask(&run, (struct wire_request){.command = command, .lease = 1});
    while (n_beats > 0 && atomic_load(&run.progress->beats) < n_beats)
        sched_yield();
    if (n_beats > 0)
        break_lease(dir);
    reply = hear(&run, NULL);
    CHECK_EQ(reply.event, WIRE_FAILED);
    CHECK_EQ(reply.error, ETXTBSY);
    CHECK(n_beats > 0 || run.progress->copied_bytes == 0);
    REQUIRE(fcntl(run.source_fd, F_SETLEASE, F_UNLCK) == 0);
    close_run(&run);
}

TEST(another_opener_breaks_the_lease_and_ends_the_job)
{
    signal(SIGIO, SIG_IGN);
    for (unsigned i = 0; i < n_pool_dirs; i++) {
        break_at(pool_dirs[i].path, 0, WIRE_COPY);
        break_at(pool_dirs[i].path, 2, WIRE_COPY);
        break_at(pool_dirs[i].path, 1, WIRE_VERIFY);
    }
}

TEST(the_end_of_the_socket_ends_it_at_once)
{
    bool midway = false;

    for (int i = 0; i < 20 && !midway; i++) { /* a copy may be over before we get our turn */
        struct run run;

        open_run(&run, FAST_DIR, 160 * MIB, true);
        ask(&run, (struct wire_request){.command = WIRE_COPY});
        while (atomic_load(&run.progress->beats) < 2)
            sched_yield();
        shutdown(run.socket, SHUT_RDWR);
        CHECK_EQ(await_death(&run), 0);
        midway = run.progress->done_bytes < run.size_bytes;
        close_run(&run);
    }
    CHECK(midway);
}

TEST(the_death_of_its_parent_ends_it_though_it_changed_its_user)
{
    struct run run;
    int pids[2], fd, middle;

    prepare(&run, FAST_DIR, MIB, false);
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pids) == 0);
    middle = fork();
    REQUIRE(middle >= 0);
    if (middle == 0) {
        char go;

        close(pids[0]);

        start(&run, WIRE_MEMORY_BYTES);
        /* the socket goes to our parent, so that its end is not what is noticed */
        if (io_send(pids[1], &run.child.pid, sizeof(run.child.pid), run.socket) == 0)
            (void)!read(pids[1], &go, 1);
        _exit(0);
    }
    close(pids[1]);
    {
        pid_t pid;
        size_t n;

        REQUIRE(io_receive(pids[0], &pid, sizeof(pid), &n, &run.socket) == 0);
        REQUIRE(n == sizeof(pid) && run.socket >= 0);
        fd = pidfd_open(pid, 0);
        REQUIRE(fd >= 0);
    }
    ask(&run, (struct wire_request){.command = WIRE_STOP});
    CHECK_EQ(hear(&run, NULL).error, ECANCELED);
    close(pids[0]); /* the middle one ends */
    REQUIRE(waitpid(middle, NULL, 0) == middle);
    CHECK(readable_in_time(fd));
    close(fd);
    close(run.socket);
    close(run.source_fd);
    close(run.destination_fd);
}

TEST(signals_that_mean_the_daemon_do_not_end_it)
{
    struct run run;

    open_run(&run, FAST_DIR, 3 * MIB, false);
    ask(&run, (struct wire_request){.command = WIRE_STOP});
    CHECK_EQ(hear(&run, NULL).error, ECANCELED);
    CHECK_EQ(kill(run.child.pid, SIGTERM), 0);
    CHECK_EQ(kill(run.child.pid, SIGINT), 0);
    CHECK_EQ(kill(run.child.pid, SIGHUP), 0);
    ask(&run, (struct wire_request){.command = WIRE_COPY});
    CHECK_EQ(hear(&run, NULL).event, WIRE_COPIED);
    close_run(&run);
}

TEST(what_is_no_request_is_refused)
{
    struct wire_request other = {.version = WIRE_VERSION + 1, .command = WIRE_COPY};
    struct run run;

    open_run(&run, FAST_DIR, MIB, false);
    REQUIRE(io_send(run.socket, &other, sizeof(other), -1) == 0);
    CHECK_EQ(hear(&run, NULL).error, EPROTO);
    ask(&run, (struct wire_request){.command = 77});
    CHECK_EQ(hear(&run, NULL).error, EPROTO);
    ask(&run, (struct wire_request){.command = WIRE_VERIFY});
    CHECK_EQ(hear(&run, NULL).error, EINVAL);
    ask(&run, (struct wire_request){.command = WIRE_COPY, .start_bytes = 2 * MIB});
    CHECK_EQ(hear(&run, NULL).error, EINVAL);
    run.size_bytes++;
    ask(&run, (struct wire_request){.command = WIRE_COPY});
    CHECK_EQ(hear(&run, NULL).error, ESTALE);
    REQUIRE(io_send(run.socket, &other, 3, -1) == 0);
    CHECK_EQ(await_death(&run), 1 << 8);
    close_run(&run);
}

TEST(descriptors_that_are_not_what_they_should_be_end_it)
{
    struct run run;

    prepare(&run, FAST_DIR, MIB, false);
    start(&run, WIRE_MEMORY_BYTES - 1);
    CHECK_EQ(await_death(&run), 1 << 8);
    close_run(&run);
    prepare(&run, FAST_DIR, MIB, false);
    close(run.source_fd);
    run.source_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    start(&run, WIRE_MEMORY_BYTES);
    CHECK_EQ(await_death(&run), 1 << 8);
    close_run(&run);
}

#ifdef FERRYFS_FAULTS
/* Copies and verifies once with this crash point wanted; does it die there? */
static bool dies_at(const char *point)
{
    struct run run;
    bool died = true;

    REQUIRE(setenv("FERRYFS_CRASH", point, 1) == 0);
    unsetenv("FERRYFS_CRASH_PID");
    open_run(&run, FAST_DIR, 64 * MIB, true);
    for (uint32_t command = WIRE_COPY; command <= WIRE_VERIFY; command++) {
        struct wire_request request = {.version = WIRE_VERSION,
                                       .command = command,
                                       .size_bytes = run.size_bytes,
                                       .checkpoint_ns = 1};
        struct wire_reply reply;
        size_t n = 1;
        int fd;

        if (command == WIRE_VERIFY)
            volume_write(run.destination_fd, MIB, 1, 0xa5, &request.start_bytes);
        (void)io_send(run.socket, &request, sizeof(request), -1);
        do {
            REQUIRE(readable_in_time(run.socket));
            if (io_receive(run.socket, &reply, sizeof(reply), &n, &fd) < 0)
                n = 0;
        } while (n > 0 && reply.event == WIRE_CHECKPOINT);
        died = n == 0;
        if (died)
            break;
    }
    unsetenv("FERRYFS_CRASH");
    if (died)
        CHECK_EQ(await_death(&run), SIGKILL);
    close_run(&run);
    return died;
}

TEST(every_crash_point_of_the_table_is_passed)
{
    for (unsigned i = 0; worker_crash_points[i]; i++) {
        CHECK(dies_at(worker_crash_points[i]));
        if (check_failures)
            printf("# %s\n", worker_crash_points[i]);
    }
    CHECK(!dies_at("worker-no-such-point"));
}
#endif

int main(int argc, char **argv)
{
    pools_open();
    return check_main(argc, argv);
}
