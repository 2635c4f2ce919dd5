/*
 * The operations of an agent: its children, which may hang.
 */
#include <sys/mman.h>

#include "tests/unit/agent-rig.h"

TEST(an_operation_before_the_pool_is_ours_is_refused)
{
    char path[256];
    struct rig rig;
    union message m;
    struct pool_request request = a_request(POOL_EXAMINE, "db");

    pools_fresh(POOLS_TMPFS, path, sizeof(path));
    rig = start(path);
    ask(&rig, &request);
    expect(&rig, POOL_REPLY, &m, NULL);
    CHECK_EQ(m.reply.error, EAGAIN);
    end(&rig);
}

TEST(a_claim_comes_with_a_lease_that_outlives_the_agent)
{
    EACH_POOL(path)
    {
        struct pool_request request = a_request(POOL_CLAIM, "db");
        struct rig rig;
        union message m;
        char file[1024];
        int fd = -1, parcel;

        pools_write(path, "db", "12345");
        rig = up(path);
        ask(&rig, &request);
        expect(&rig, POOL_REPLY, &m, &fd);
        CHECK_EQ(m.reply.id, request.id);
        CHECK_EQ(m.reply.error, 0);
        CHECK_EQ(m.reply.size_bytes, 5);
        CHECK_EQ(m.reply.leased, 1);
        parcel = fd;
        fd = io_unwrap_last(parcel);
        close(parcel);
        CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
        end(&rig);
        CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
        path_of(&rig, "db", file);
        CHECK(open(file, O_WRONLY | O_NONBLOCK) < 0 &&
              errno == EWOULDBLOCK); /* nobody dies of it */
        CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
        close(fd);
    }
}

/* Of the next entry with that name. */
static struct pool_entry told_of(struct rig *rig, const char *name)
{
    struct pool_entry *entry;
    union message m;

    for (;;) {
        int kind = next(rig, &m, NULL, PATIENCE_MS);

        REQUIRE(kind > 0);
        for (uint32_t i = 0; kind == POOL_ENTRIES && i < m.entries.n; i++) {
            entry = &m.entries.entries[i];
            if (strcmp(entry->name, name) == 0)
                return *entry;
        }
    }
}

TEST(what_the_daemon_uses_is_looked_at_by_no_scan_until_it_is_used_no_more)
{
    signal(SIGIO, SIG_IGN);
    EACH_POOL(path)
    {
        struct pool_request serve = a_request(POOL_SERVE, "db"),
                            unuse = a_request(POOL_UNUSE, "db");
        struct pool_request rescan = {.kind = POOL_RESCAN};
        struct pool_attach attach = {.kind = POOL_ATTACH, .driver = "dir"};
        struct rig rig = start(path);
        union message m;
        char file[1024];
        int fd, names = memfd_create("names", MFD_CLOEXEC);

        pools_write(path, "db", "12345");
        path_of(&rig, "db", file);
        fd = open(file, O_RDWR);
        REQUIRE(fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
        /* As to an agent that was started anew. */
        REQUIRE(pwrite(names, "other\0db", sizeof("other\0db"), 0) > 0);
        snprintf(attach.path, sizeof(attach.path), "%s", path);
        REQUIRE(io_send(rig.sock, &attach, sizeof(attach), names) == 0);
        close(names);
        come_up(&rig);
        CHECK_EQ(fcntl(fd, F_GETLEASE), F_WRLCK);
        ask(&rig, &rescan);
        CHECK_EQ(told_of(&rig, "db").held, 0);
        CHECK_EQ(fcntl(fd, F_GETLEASE), F_WRLCK);
        ask(&rig, &unuse);
        REQUIRE(pwrite(fd, "x", 1, 0) == 1);
        while (told_of(&rig, "db").held == 0)
            ask(&rig, &rescan);
        CHECK(fcntl(fd, F_GETLEASE) != F_WRLCK);
        /* And whatever the answer of this is. */
        ask(&rig, &serve);
        do
            REQUIRE(next(&rig, &m, NULL, PATIENCE_MS) > 0);
        while (m.kind != POOL_REPLY);
        CHECK(m.reply.error != 0);
        ask(&rig, &rescan);
        CHECK_EQ(told_of(&rig, "db").held, 0);
        close(fd);
        end(&rig);
    }
}

TEST(an_error_of_an_operation_comes_in_words)
{
    char path[256];
    struct rig rig;
    union message m;
    struct pool_request request = a_request(POOL_CLAIM, "nobody");

    pools_fresh(POOLS_EXT4, path, sizeof(path));
    rig = up(path);
    ask(&rig, &request);
    expect(&rig, POOL_REPLY, &m, NULL);
    CHECK_EQ(m.reply.error, ENOENT);
    CHECK(strstr(m.reply.text, "nobody"));
    end(&rig);
}

static int frozen = -1;

static void thaw(void)
{
    if (frozen >= 0)
        ioctl(frozen, FITHAW, 0);
    close(frozen);
    frozen = -1;
}

static void thaw_at_exit(void)
{
    if (getpid() == pools_owner && frozen >= 0)
        thaw();
}

static void freeze(const char *path)
{
    frozen = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(frozen >= 0 && ioctl(frozen, FIFREEZE, 0) == 0);
}

/* The only child of a process; 0: it has none. */
static pid_t child_of(pid_t pid)
{
    char path[64];
    FILE *file;
    int child = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
    file = fopen(path, "r");
    REQUIRE(file);
    if (fscanf(file, "%d", &child) != 1)
        child = 0;
    fclose(file);
    return child;
}

static char state_of(pid_t pid)
{
    char path[64], state = '-';
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "r");
    if (!file)
        return '-';
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = '-';
    fclose(file);
    return state;
}

/* Start a reservation that hangs on the frozen pool; its child. */
static pid_t hang(struct rig *rig, struct pool_request *request)
{
    pid_t child = 0;

    *request = a_request(POOL_RESERVE, "db");
    ask(rig, request);
    for (int i = 0; i < PATIENCE_MS; i++) {
        child = child_of(rig->agent);
        if (child && state_of(child) == 'D')
            return child;
        poll(NULL, 0, 1);
    }
    REQUIRE(!"an operation hangs");
    return 0;
}

TEST(an_operation_that_hangs_stops_no_other)
{
    for (unsigned fs = POOLS_EXT4; fs <= POOLS_XFS; fs++) {
        struct pool_request stuck, other = a_request(POOL_EXAMINE, "db");
        char path[256];
        struct rig rig;
        union message m;
        int fd = -1;

        pools_fresh(fs, path, sizeof(path));
        rig = up(path);
        freeze(path);
        hang(&rig, &stuck);
        ask(&rig, &other);
        expect(&rig, POOL_REPLY, &m, NULL);
        CHECK_EQ(m.reply.id, other.id);
        CHECK_EQ(m.reply.error, 0);
        CHECK_EQ(m.reply.found, POOL_FOUND_NONE);
        thaw();
        expect(&rig, POOL_REPLY, &m, &fd);
        CHECK_EQ(m.reply.id, stuck.id);
        CHECK_EQ(m.reply.error, 0);
        CHECK(fd >= 0);
        close(fd);
        end(&rig);
    }
}

TEST(an_operation_that_is_killed_is_answered_once_by_the_agent)
{
    struct pool_request stuck, other = a_request(POOL_EXAMINE, "db");
    char path[256];
    struct rig rig;
    union message m;

    pools_fresh(POOLS_EXT4, path, sizeof(path));
    rig = up(path);
    freeze(path);
    kill(hang(&rig, &stuck), SIGKILL);
    thaw();
    expect(&rig, POOL_REPLY, &m, NULL);
    CHECK_EQ(m.reply.id, stuck.id);
    CHECK_EQ(m.reply.error, EIO);
    CHECK(strstr(m.reply.text, "signal 9"));
    ask(&rig, &other);
    expect(&rig, POOL_REPLY, &m, NULL);
    CHECK_EQ(m.reply.id, other.id);
    end(&rig);
}

TEST(a_stuck_operation_fences_the_pool_after_its_agent_was_killed)
{
    struct pool_request stuck;
    char path[256];
    struct rig first, second;
    union message m;
    pid_t child;

    pools_fresh(POOLS_EXT4, path, sizeof(path));
    first = up(path);
    freeze(path);
    child = hang(&first, &stuck);
    kill(first.agent, SIGKILL);
    await_end(&first);
    second = start(path);
    send_attach(&second, "dir", (uuid_t){0});
    expect(&second, POOL_HELLO, &m, NULL);
    CHECK_EQ(m.hello.marker, POOL_MARKER_HELD);
    CHECK_EQ(state_of(child), 'D');
    CHECK_EQ(next(&second, &m, NULL, 100), -1);
    thaw();
    expect(&second, POOL_UP, &m, NULL);
    end(&second);
    end(&first);
}

TEST(when_the_daemon_ends_the_agent_and_its_children_end)
{
    struct pool_request stuck;
    char path[256], marker[1024];
    struct rig rig;
    pid_t child;
    int fd;

    pools_fresh(POOLS_EXT4, path, sizeof(path));
    rig = up(path);
    freeze(path);
    child = hang(&rig, &stuck);
    end(&rig); /* it does not wait for the child */
    CHECK_EQ(state_of(child), 'D');
    thaw();
    path_of(&rig, POOL_MARKER, marker);
    fd = open(marker, O_RDONLY);
    CHECK_EQ(flock(fd, LOCK_EX), 0); /* blocks until the child is gone */
    close(fd);
}

int main(int argc, char **argv)
{
    pools_make();
    REQUIRE(atexit(thaw_at_exit) == 0);
    return check_main(argc, argv);
}
