/*
 * What the directory driver does to a pool is whole in the end, whatever stops it half-way.
 */
#include "fs/backend/crash_points.h"
#include "tests/unit/pool-world.h"

typedef void prepare_fn(struct world *w);
typedef void check_fn(struct world *w);

struct sweep {
    prepare_fn *prepare;
    enum pool_op op;
    check_fn *check;
    bool no_renameat2, forget_expect, with_mtime;
};

static int step(struct world *w, const struct sweep *s)
{
    struct pool_request q = request(w, s->op);

    if (s->forget_expect)
        q.has_expect = 0;
    if (s->with_mtime) {
        q.has_mtime = 1;
        q.mtime_ns =
            (uint64_t)w->claimed.st_mtim.tv_sec * 1000000000 + (uint64_t)w->claimed.st_mtim.tv_nsec;
    }
    return operate(w->pool, &q, w->claim, NULL, NULL);
}

/* Returns whether the fault came into play. */
static bool step_in_child(struct world *w, const struct sweep *s, unsigned at, int error)
{
    int status;
    pid_t pid = fork();

    REQUIRE(pid >= 0);
    if (pid == 0) {
        fault.n = 0;
        fault.at = at;
        fault.error = error;
        step(w, s);
        _exit(fault.n >= at);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    return status != 0;
}

static unsigned sweep_faults(unsigned fs, const struct sweep *s, int error)
{
    unsigned at = 0;
    bool struck = true;

    while (struck) {
        struct world w = fresh_world(fs);

        fault.no_renameat2 = s->no_renameat2;
        s->prepare(&w);
        struck = step_in_child(&w, s, ++at, error);
        if (step(&w, s) != 0) {
            printf("# %s, fault %d at call %u: %s\n", pools_names[fs], error, at, said.text);
            CHECK(!"the next run succeeds");
        }
        s->check(&w);
        CHECK_EQ(step(&w, s), 0);
        s->check(&w);
        end_world(&w);
    }
    return at - 1;
}

static void sweep(const struct sweep *s, unsigned n_at_least)
{
    for (unsigned fs = 0; fs < POOLS_N; fs++) {
        CHECK(sweep_faults(fs, s, KILL) >= n_at_least);
        CHECK(sweep_faults(fs, s, EIO) >= n_at_least);
    }
}

static void nothing(struct world *w)
{
    (void)w;
}

static void check_tag(struct world *w, const char *path)
{
    char tag[128] = "", wanted[128];

    CHECK(getxattr(path, POOL_XATTR, tag, sizeof(tag) - 1) > 0);
    tag_of(w, "7", wanted);
    CHECK_STR(tag, wanted);
}

static void is_reserved(struct world *w)
{
    char path[1024];
    struct stat st;

    path_of(w->to, hidden(w), path, sizeof(path));
    CHECK_EQ(lstat(path, &st), 0);
    CHECK_EQ(st.st_size, SIZE);
    CHECK_EQ(st.st_mode, S_IFREG | 0600);
    check_tag(w, path);
    CHECK_EQ(n_files(w->to), 1);
}

TEST(a_reservation_that_was_killed_or_failed_is_completed_by_the_next)
{
    sweep(&(struct sweep){nothing, POOL_RESERVE, is_reserved}, 4);
}

static void is_published(struct world *w)
{
    char path[1024], value[8] = "", bytes[sizeof(volume_bytes)] = "";
    struct stat st;
    int fd;

    CHECK(!is_there(w->to, hidden(w)));
    path_of(w->to, "db", path, sizeof(path));
    check_tag(w, path);
    CHECK_EQ(lstat(path, &st), 0);
    CHECK_EQ(st.st_ino, w->made.ino);
    CHECK_EQ(st.st_nlink, 1);
    CHECK_EQ(st.st_mode, S_IFREG | 0600);
    CHECK_EQ(getxattr(path, "user.colour", value, sizeof(value)), 3);
    CHECK_EQ(getxattr(path, "trusted.kind", value, sizeof(value)), 5);
    fd = open(path, O_RDONLY);
    CHECK_EQ(read(fd, bytes, sizeof(bytes) - 1), sizeof(bytes) - 1);
    close(fd);
    CHECK_STR(bytes, volume_bytes);
    CHECK_EQ(where(w), POOL_FOUND_PUBLISHED);
}

static void with_xattrs(struct world *w)
{
    REQUIRE(fsetxattr(w->claim, "user.colour", "red", 3, 0) == 0);
    REQUIRE(fsetxattr(w->claim, "trusted.kind", "plain", 5, 0) == 0);
    REQUIRE(fsetxattr(w->claim, POOL_XATTR, "a stranger's", 12, 0) == 0);
    reserve(w);
}

TEST(a_copy_is_empty_until_a_byte_of_data_was_written_to_it)
{
    EACH_WORLD(w)
    {
        struct pool_request q = request(&w, POOL_RESERVE);
        struct pool_reply reply = {0};
        int fd = -1;

        REQUIRE(operate(w.pool, &q, -1, &reply, &fd) == 0 && fd >= 0);
        CHECK_EQ(reply.empty, 1);
        REQUIRE(pwrite(fd, "x", 1, (off_t)q.size_bytes - 1) == 1);
        close(fd);
        REQUIRE(operate(w.pool, &q, -1, &reply, NULL) == 0);
        CHECK_EQ(reply.empty, 0);
    }
}

TEST(a_publication_that_was_killed_or_failed_is_completed_by_the_next)
{
    sweep(&(struct sweep){with_xattrs, POOL_PUBLISH, is_published}, 5);
}

TEST(a_publication_by_link_is_completed_as_well)
{
    sweep(&(struct sweep){with_xattrs, POOL_PUBLISH, is_published, .no_renameat2 = true}, 6);
}

static void give_away(struct world *w)
{
    const struct timespec times[2] = {{1, 1}, {1234567890, 123456789}};

    REQUIRE(fchown(w->claim, 1111, 2222) == 0);
    REQUIRE(fsetxattr(w->claim, "system.posix_acl_access", acl, sizeof(acl), 0) == 0);
    REQUIRE(futimens(w->claim, times) == 0 && fstat(w->claim, &w->claimed) == 0);
}

static void owned_by_another(struct world *w)
{
    give_away(w);
    published(w);
}

static void is_adopted(struct world *w)
{
    unsigned char found[sizeof(acl)] = {0};
    char path[1024];
    struct stat st;

    path_of(w->to, "db", path, sizeof(path));
    CHECK_EQ(lstat(path, &st), 0);
    CHECK_EQ(st.st_uid, 1111);
    CHECK_EQ(st.st_gid, 2222);
    CHECK_EQ(st.st_mode, w->claimed.st_mode);
    CHECK_EQ(st.st_mtim.tv_sec, 1234567890);
    CHECK_EQ(st.st_mtim.tv_nsec, 123456789);
    CHECK_EQ(getxattr(path, POOL_XATTR, NULL, 0), -1);
    CHECK_EQ(getxattr(path, "system.posix_acl_access", found, sizeof(found)), sizeof(found));
    CHECK(memcmp(acl, found, sizeof(acl)) == 0);
}

TEST(an_adoption_that_was_killed_or_failed_is_completed_by_the_next)
{
    sweep(&(struct sweep){owned_by_another, POOL_ADOPT, is_adopted}, 7);
}

/* cap_net_raw+ep. A change of the file's owner takes it away. */
static const unsigned char capability[20] = {1, 0, 0, 2, 0, 0x20};

static void changed_since_published(struct world *w)
{
    REQUIRE(fsetxattr(w->claim, "user.gone", "x", 1, 0) == 0);
    REQUIRE(fsetxattr(w->claim, "user.colour", "red", 3, 0) == 0);
    owned_by_another(w);
    REQUIRE(fremovexattr(w->claim, "user.gone") == 0);
    REQUIRE(fsetxattr(w->claim, "user.colour", "blue", 4, 0) == 0);
    REQUIRE(fsetxattr(w->claim, "user.new", "", 0, 0) == 0);
    REQUIRE(fsetxattr(w->claim, "security.capability", capability, sizeof(capability), 0) == 0);
}

static void has_the_xattrs_of_now(struct world *w)
{
    char path[1024], value[32] = "";

    is_adopted(w);
    path_of(w->to, "db", path, sizeof(path));
    CHECK_EQ(getxattr(path, "user.colour", value, sizeof(value)), 4);
    CHECK_STR(value, "blue");
    CHECK_EQ(getxattr(path, "user.new", value, sizeof(value)), 0);
    CHECK_EQ(getxattr(path, "user.gone", value, sizeof(value)), -1);
    CHECK_EQ(getxattr(path, "security.capability", value, sizeof(value)), sizeof(capability));
    CHECK(memcmp(value, capability, sizeof(capability)) == 0);
}

TEST(an_adoption_takes_the_xattrs_as_they_are_by_then)
{
    sweep(&(struct sweep){changed_since_published, POOL_ADOPT, has_the_xattrs_of_now}, 11);
}

static void is_removed(struct world *w)
{
    CHECK_EQ(n_files(w->to), 0);
    CHECK_EQ(n_files(w->from), 1);
}

TEST(a_removal_that_was_killed_or_failed_is_completed_by_the_next)
{
    sweep(&(struct sweep){reserve, POOL_REMOVE, is_removed}, 2);
    sweep(&(struct sweep){published, POOL_REMOVE, is_removed}, 4);
    sweep(&(struct sweep){published, POOL_REMOVE, is_removed, .no_renameat2 = true}, 4);
    sweep(&(struct sweep){reserve, POOL_REMOVE, is_removed, .forget_expect = true}, 2);
}

static void is_retained(struct world *w)
{
    char path[1024];
    struct stat st;

    is_reserved(w);
    path_of(w->to, hidden(w), path, sizeof(path));
    CHECK_EQ(lstat(path, &st), 0);
    CHECK_EQ(st.st_ino, w->made.ino);
    CHECK_EQ(st.st_uid, geteuid());
    CHECK(!is_there(w->to, "db"));
}

TEST(a_retention_that_was_killed_or_failed_is_completed_by_the_next)
{
    sweep(&(struct sweep){published, POOL_RETAIN, is_retained}, 3);
    sweep(&(struct sweep){adopted, POOL_RETAIN, is_retained}, 4);
    sweep(&(struct sweep){adopted, POOL_RETAIN, is_retained, .no_renameat2 = true}, 4);
}

TEST(what_is_hidden_without_the_tag_or_is_another_file_is_not_retained)
{
    for (unsigned fs = 0; fs < POOLS_N; fs++) {
        struct world w = fresh_world(fs);
        char path[1024];

        adopted(&w);
        CHECK_EQ(run(&w, POOL_RETAIN), 0);
        CHECK_EQ(run(&w, POOL_RETAIN), 0);
        path_of(w.to, hidden(&w), path, sizeof(path));
        REQUIRE(removexattr(path, POOL_XATTR) == 0);
        CHECK_EQ(run(&w, POOL_RETAIN), -ESTALE);
        REQUIRE(unlink(path) == 0);
        CHECK_EQ(run(&w, POOL_RETAIN), -ESTALE);
        REQUIRE(close(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600)) == 0);
        CHECK_EQ(run(&w, POOL_RETAIN), -ESTALE);
        CHECK(is_there(w.to, hidden(&w)));
        end_world(&w);
    }
}

/* As a publication by link leaves it that was killed half-way. */
TEST(a_copy_at_both_of_its_names_is_retained_at_one)
{
    for (unsigned fs = 0; fs < POOLS_N; fs++) {
        struct world w = fresh_world(fs);
        char name[1024], path[1024];

        published(&w);
        path_of(w.to, "db", name, sizeof(name));
        path_of(w.to, hidden(&w), path, sizeof(path));
        REQUIRE(link(name, path) == 0);
        CHECK_EQ(run(&w, POOL_RETAIN), 0);
        is_retained(&w);
        end_world(&w);
    }
}

TEST(the_removal_of_an_unwritten_volume_is_completed_as_well)
{
    sweep(&(struct sweep){adopted, POOL_REMOVE, is_removed, .with_mtime = true}, 4);
}

TEST(a_publication_killed_between_its_link_and_its_unlink_can_be_removed)
{
    EACH_WORLD(w)
    {
        char from[1024], to[1024];

        reserve(&w);
        path_of(w.to, hidden(&w), from, sizeof(from));
        path_of(w.to, "db", to, sizeof(to));
        REQUIRE(link(from, to) == 0);
        CHECK_EQ(where(&w), POOL_FOUND_HIDDEN);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK_EQ(n_files(w.to), 0);
    }
}

TEST(a_marker_is_whole_or_not_there_and_made_once)
{
    for (unsigned fs = 0; fs < POOLS_N; fs++) {
        bool struck = true;

        for (unsigned at = 1; struck; at++) {
            struct world w = fresh_world(fs);
            int has_marker = 0, status, r;
            struct backend *again = NULL;
            uuid_t uuid;
            pid_t pid = fork();

            if (pid == 0) {
                fault.at = at;
                fault.error = KILL;
                w.pool->ops->mark(w.pool, w.volume, &said);
                _exit(0);
            }
            REQUIRE(waitpid(pid, &status, 0) == pid);
            struck = status != 0;
            r = w.pool->ops->mark(w.pool, w.volume, &said);
            CHECK(r == 0 || r == -EEXIST);
            CHECK_EQ(w.pool->ops->mark(w.pool, w.volume, &said), -EEXIST);
            CHECK_EQ(w.pool->ops->attach(w.to, &again, &has_marker, uuid, &said), 0);
            CHECK_EQ(has_marker, 1);
            CHECK_EQ(uuid_compare(uuid, w.volume), 0);
            CHECK_EQ(again->ops->check(again, &said), 0);
            CHECK_EQ(n_files(w.to), 1);
            again->ops->detach(again);
            end_world(&w);
        }
    }
}

TEST(owner_mode_acl_and_xattrs_survive_from_any_file_system_to_any)
{
    for (unsigned from = 0; from < POOLS_N; from++) {
        EACH_WORLD(w)
        {
            char path[1024], names[256] = "";
            ssize_t n;

            w.source->ops->detach(w.source);
            close(w.claim);
            pools_fresh(from, w.from, sizeof(w.from));
            pools_write(w.from, "db", volume_bytes);
            w.source = attach(w.from);
            path_of(w.from, "db", path, sizeof(path));
            w.claim = open(path, O_RDONLY);
            REQUIRE(fsetxattr(w.claim, "user.colour", "red", 3, 0) == 0);
            owned_by_another(&w);
            CHECK_EQ(run(&w, POOL_ADOPT), 0);
            is_adopted(&w);
            path_of(w.to, "db", path, sizeof(path));
            CHECK(getxattr(path, "user.colour", names, sizeof(names)) == 3);
            n = listxattr(path, names, sizeof(names));
            for (const char *name = names; name < names + n; name += strlen(name) + 1)
                CHECK(w.fs == POOLS_XFS || strncmp(name, "trusted.SGI", 11) != 0);
        }
    }
}

TEST(data_and_names_are_flushed_in_the_order_that_a_power_cut_allows)
{
    struct world w = fresh_world(POOLS_EXT4);

    reserve(&w);
    CHECK_STR(fault.trace, "fsetxattr ftruncate fsync fsync");
    fault.trace[0] = '\0';
    CHECK_EQ(run(&w, POOL_PUBLISH), 0);
    CHECK_STR(fault.trace, "fsync renameat2 fsync");
    fault.trace[0] = '\0';
    CHECK_EQ(run(&w, POOL_ADOPT), 0);
    CHECK_STR(fault.trace, "fchmod fchown fremovexattr fchmod futimens fremovexattr fsync");
    fault.trace[0] = '\0';
    CHECK_EQ(run(&w, POOL_REMOVE), 0);
    CHECK_STR(fault.trace, "renameat2 fsync unlinkat fsync");
    end_world(&w);
}

TEST(crash_points_are_named_once)
{
    for (size_t i = 0; pool_crash_points[i]; i++) {
        CHECK(strncmp(pool_crash_points[i], "pool-", 5) == 0);
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(pool_crash_points[i], pool_crash_points[j]) != 0);
    }
}

#ifdef FERRYFS_FAULTS
/* It is kept for a while, or goes at once. */
static void live(struct world *w, bool is_kept)
{
    w->pool->ops->mark(w->pool, w->volume, &said);
    published(w);
    run(w, POOL_ADOPT);
    run(w, is_kept ? POOL_RETAIN : POOL_REMOVE);
}

TEST(every_crash_point_is_reached)
{
    for (size_t i = 0; pool_crash_points[i]; i++) {
        struct world w = fresh_world(POOLS_TMPFS);
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            setenv("FERRYFS_CRASH", pool_crash_points[i], 1);
            live(&w, strstr(pool_crash_points[i], "retain"));
            _exit(0);
        }
        REQUIRE(waitpid(pid, &status, 0) == pid);
        if (!WIFSIGNALED(status))
            printf("# %s was not reached\n", pool_crash_points[i]);
        CHECK(WIFSIGNALED(status));
        end_world(&w);
    }
}
#endif

int main(int argc, char **argv)
{
    pools_make();
    return check_main(argc, argv);
}
