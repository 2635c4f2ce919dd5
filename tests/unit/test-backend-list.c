/*
 * Which files are volumes, and which directories pools.
 */
#include <poll.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/unit/pool-world.h"

struct list {
    unsigned n;
    struct pool_entry entries[32];
};

static int add(const struct pool_entry *entry, void *arg)
{
    struct list *list = arg;

    REQUIRE(list->n < sizeof(list->entries) / sizeof(list->entries[0]));
    list->entries[list->n++] = *entry;
    return 0;
}

static const struct pool_entry *find(const struct list *list, const char *name)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (strcmp(list->entries[i].name, name) == 0)
            return &list->entries[i];
    }
    return NULL;
}

static void make_hostile(const char *pool, char *long_name)
{
    char path[1024], second[1024];
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "sock"};
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);

    REQUIRE(sock >= 0 && chdir(pool) == 0);
    CHECK_EQ(symlink("/etc/shadow", "shadow"), 0);
    CHECK_EQ(mkfifo("fifo", 0600), 0);
    CHECK_EQ(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(mknod("null", S_IFCHR | 0600, makedev(1, 3)), 0);
    CHECK_EQ(mknod("disk", S_IFBLK | 0600, makedev(7, 0)), 0);
    CHECK_EQ(mkdir("subdir", 0700), 0);
    pools_write(pool, "one", "x");
    path_of(pool, "one", path, sizeof(path));
    path_of(pool, "two", second, sizeof(second));
    CHECK_EQ(link(path, second), 0);
    pools_write(pool, "-leading", "x");
    pools_write(pool, "new\nline", "x");
    pools_write(pool, "\xff\xfe", "x");
    memset(long_name, 'n', 255);
    long_name[255] = '\0';
    pools_write(pool, long_name, "x");
    pools_write(pool, ".ferryfs-00000000-0000-0000-0000-000000000000.copy", "a stranger's");
    pools_write(pool, "mounted", "x");
    CHECK_EQ(mount("one", "mounted", NULL, MS_BIND, NULL), 0);
    close(sock);
}

TEST(only_plain_files_are_volumes_and_the_rest_is_named_with_its_reason)
{
    static const char *const wanted[][2] = {
        {"shadow", "symlink"},
        {"fifo", "fifo"},
        {"sock", "socket"},
        {"null", "character device"},
        {"disk", "block device"},
        {"subdir", "directory"},
        {"one", "hard links"},
        {"two", "hard links"},
        {"-leading", "no volume's name"},
        {"new\nline", "no volume's name"},
        {"\xff\xfe", "no volume's name"},
        {"mounted", "mount"},
    };
    EACH_WORLD(w)
    {
        struct list list = {0};
        const struct pool_entry *found;
        char long_name[256], path[1024];

        make_hostile(w.to, long_name);
        path_of(w.to, "lost+found", path, sizeof(path));
        CHECK(mkdir(path, 0700) == 0 || errno == EEXIST); /* never named */
        pools_write(w.to, "volume", "12345");
        pools_write(w.to, "sparse", "");
        path_of(w.to, "sparse", path, sizeof(path));
        if (w.fs != POOLS_EXT4)
            CHECK_EQ(truncate(path, w.fs == POOLS_TMPFS ? INT64_MAX : 1L << 60), 0);
        CHECK_EQ(w.pool->ops->scan(w.pool, add, &list), 0);
        CHECK_EQ(list.n, sizeof(wanted) / sizeof(wanted[0]) + 3);
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
            found = find(&list, wanted[i][0]);
            REQUIRE(found);
            CHECK_EQ(found->kind, POOL_ENTRY_UNLISTED);
            CHECK(found->identity.ino != 0); /* it tells whether it is the file that was a volume */
            CHECK_STR(found->why, wanted[i][1]);
        }
        found = find(&list, long_name);
        CHECK(found && found->kind == POOL_ENTRY_UNLISTED);
        found = find(&list, "volume");
        CHECK(found && found->kind == POOL_ENTRY_VOLUME && found->size_bytes == 5);
        found = find(&list, "sparse");
        CHECK(found && found->kind == POOL_ENTRY_VOLUME);
        if (w.fs == POOLS_TMPFS)
            CHECK(found && found->size_bytes == INT64_MAX);
        CHECK_EQ(chdir("/"), 0);
        path_of(w.to, "mounted", path, sizeof(path));
        CHECK_EQ(umount(path), 0);
    }
}

TEST(nothing_but_a_plain_file_can_be_claimed)
{
    EACH_WORLD(w)
    {
        static const struct {
            const char *name;
            int error;
        } wanted[] = {{"shadow", EMEDIUMTYPE}, {"fifo", EMEDIUMTYPE}, {"sock", EMEDIUMTYPE},
                      {"null", EMEDIUMTYPE},   {"disk", EMEDIUMTYPE}, {"subdir", EMEDIUMTYPE},
                      {"one", EMLINK},         {"-leading", EINVAL},  {"mounted", EMEDIUMTYPE}};
        char long_name[256], path[1024];

        make_hostile(w.to, long_name);
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
            struct pool_request q = {.kind = POOL_CLAIM};

            strcpy(q.name, wanted[i].name);
            CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), -wanted[i].error);
        }
        CHECK_EQ(chdir("/"), 0);
        path_of(w.to, "mounted", path, sizeof(path));
        CHECK_EQ(umount(path), 0);
    }
}

static int open_in(const char *pool, const char *name, int flags)
{
    char path[1024];
    int fd;

    path_of(pool, name, path, sizeof(path));
    fd = open(path, flags | O_CLOEXEC);
    REQUIRE(fd >= 0);
    return fd;
}

static unsigned scanned_held(struct backend *pool, const char *name)
{
    struct list list = {0};
    const struct pool_entry *found;

    CHECK_EQ(pool->ops->scan(pool, add, &list), 0);
    found = find(&list, name);
    REQUIRE(found && found->kind == POOL_ENTRY_VOLUME);
    return found->held;
}

TEST(a_file_that_is_open_for_writing_is_held_and_our_own_copy_is_not)
{
    EACH_WORLD(w)
    {
        int reader, writer, copier;

        pools_write(w.to, "read", "x");
        pools_write(w.to, "written", "x");
        pools_write(w.to, "copy", "x");
        reader = open_in(w.to, "read", O_RDONLY);
        writer = open_in(w.to, "written", O_WRONLY);
        copier = open_in(w.to, "copy", O_RDWR);
        CHECK_EQ(scanned_held(w.pool, "copy"), 1);
        CHECK_EQ(fsetxattr(copier, POOL_XATTR, "x", 1, 0), 0);
        CHECK_EQ(scanned_held(w.pool, "copy"), 0);
        CHECK_EQ(scanned_held(w.pool, "read"), 0);
        CHECK_EQ(scanned_held(w.pool, "written"), 1);
        close(writer);
        CHECK_EQ(scanned_held(w.pool, "written"), 0);
        fault.no_leases = true;
        CHECK_EQ(scanned_held(w.pool, "read"), 0);
        fault.no_leases = false;
        close(reader);
        close(copier);
    }
}

/* Until the pool has something to tell of `name`, and what that is. */
static unsigned told_held(struct backend *pool, const char *name)
{
    struct pollfd p = {.fd = pool->ops->watch_fd(pool), .events = POLLIN};
    const struct pool_entry *found = NULL;

    while (!found) {
        struct list list = {0};

        REQUIRE(poll(&p, 1, 20000) == 1);
        CHECK_EQ(pool->ops->changed(pool, add, &list), 0);
        found = find(&list, name);
        if (found)
            return found->held;
    }
    return 0;
}

TEST(who_opens_a_file_for_writing_and_who_closes_it_is_told)
{
    EACH_WORLD(w)
    {
        struct list list = {0};
        int pipes[2], status;
        pid_t pid;

        pools_write(w.to, "volume", "x");
        pools_write(w.to, "other", "x");
        REQUIRE(w.pool->ops->watch_fd(w.pool) >= 0 && pipe(pipes) == 0);
        signal(SIGIO, SIG_IGN); /* as an agent does: the child may open it while it is looked at */
        CHECK_EQ(w.pool->ops->scan(w.pool, add, &list), 0);
        pid = fork(); /* what this process opens is taken for the agent's own looks */
        if (pid == 0) {
            char byte;

            close(pipes[1]);
            open_in(w.to, "volume", O_RDONLY);
            open_in(w.to, "volume", O_RDWR);
            _exit(read(pipes[0], &byte, 1) < 0);
        }
        CHECK_EQ(told_held(w.pool, "volume"), 1);
        CHECK_EQ(scanned_held(w.pool, "volume"), 1);
        CHECK_EQ(scanned_held(w.pool, "other"), 0);
        close(pipes[0]);
        close(pipes[1]);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(told_held(w.pool, "volume"), 0);
    }
}

/* Nothing tells of a lock that is given up, so what is held is looked at every now and then. */
TEST(a_lock_that_is_given_up_is_told)
{
    EACH_WORLD(w)
    {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        struct list list = {0};
        int writer;

        fault.no_leases = true;
        pools_write(w.to, "volume", "x");
        REQUIRE(w.pool->ops->watch_fd(w.pool) >= 0);
        CHECK_EQ(w.pool->ops->scan(w.pool, add, &list), 0);
        writer = open_in(w.to, "volume", O_RDWR);
        CHECK_EQ(fcntl(writer, F_OFD_SETLK, &lock), 0);
        REQUIRE(write(writer, "y", 1) == 1);
        CHECK_EQ(told_held(w.pool, "volume"), 1);
        lock.l_type = F_UNLCK;
        CHECK_EQ(fcntl(writer, F_OFD_SETLK, &lock), 0);
        CHECK_EQ(told_held(w.pool, "volume"), 0);
        close(writer);
        fault.no_leases = false;
    }
}

static int attach_error(const char *path)
{
    struct backend *backend = NULL;
    int has_marker, r;
    uuid_t uuid;

    said = (struct err){0};
    r = backend_by_name("dir")->attach(path, &backend, &has_marker, uuid, &said);
    if (r == 0)
        backend->ops->detach(backend);
    return r;
}

TEST(a_pool_is_a_real_directory_by_its_absolute_path)
{
    EACH_WORLD(w)
    {
        char path[1024], slash[1100];

        CHECK_EQ(attach_error("relative"), -EINVAL);
        CHECK_EQ(attach_error("/nowhere/at/all"), -ENOENT);
        path_of(w.from, "link", path, sizeof(path));
        CHECK_EQ(symlink(w.to, path), 0);
        CHECK(attach_error(path) == -ELOOP || attach_error(path) == -ENOTDIR);
        snprintf(slash, sizeof(slash), "%s//", path);
        CHECK(attach_error(slash) < 0);
        snprintf(slash, sizeof(slash), "%s//", w.to);
        CHECK_EQ(attach_error(slash), 0);
        path_of(w.from, "db", path, sizeof(path));
        CHECK_EQ(attach_error(path), -ENOTDIR);
    }
}

TEST(a_marker_that_is_none_is_an_error)
{
    EACH_WORLD(w)
    {
        char path[1024];

        path_of(w.to, POOL_MARKER, path, sizeof(path));
        pools_write(w.to, POOL_MARKER, "");
        CHECK_EQ(attach_error(w.to), -EUCLEAN);
        pools_write(w.to, POOL_MARKER, "00000000-0000-0000-0000-000000000000\n");
        CHECK_EQ(attach_error(w.to), -EUCLEAN);
        pools_write(w.to, POOL_MARKER, "5f0c7a52-8b70-4a0c-9a38-1f2d3c4b5a69\nmore");
        CHECK_EQ(attach_error(w.to), -EUCLEAN);
        pools_write(w.to, POOL_MARKER, "5f0c7a52-8b70-4a0c-9a38-1f2d3c4b5a69\n");
        CHECK_EQ(attach_error(w.to), 0);
        CHECK_EQ(unlink(path), 0);
        CHECK_EQ(symlink("/etc/shadow", path), 0);
        CHECK(attach_error(w.to) < 0);
        CHECK_EQ(unlink(path), 0);
        CHECK_EQ(mkfifo(path, 0600), 0);
        CHECK_EQ(attach_error(w.to), -EMEDIUMTYPE);
    }
}

TEST(a_pool_that_was_moved_away_is_noticed)
{
    EACH_WORLD(w)
    {
        char away[1024];

        CHECK_EQ(w.pool->ops->check(w.pool, &said), 0);
        snprintf(away, sizeof(away), "%s-away", w.to);
        CHECK_EQ(rename(w.to, away), 0);
        CHECK_EQ(w.pool->ops->check(w.pool, &said), -ENOENT);
        CHECK_EQ(mkdir(w.to, 0755), 0);
        CHECK_EQ(w.pool->ops->check(w.pool, &said), -ENODEV);
    }
}

static int count(const struct pool_entry *entry, void *arg)
{
    (void)entry;
    ++*(unsigned *)arg;
    return 0;
}

TEST(a_scan_of_10000_volumes_is_quick)
{
    struct world w = fresh_world(POOLS_TMPFS);
    struct timespec before, after;
    unsigned n = 0;
    double ms;

    for (unsigned i = 0; i < 10000; i++) {
        char name[64];

        snprintf(name, sizeof(name), "volume-%05u", i);
        pools_write(w.to, name, "");
    }
    clock_gettime(CLOCK_MONOTONIC, &before);
    CHECK_EQ(w.pool->ops->scan(w.pool, count, &n), 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ms = (double)(after.tv_sec - before.tv_sec) * 1e3 +
         (double)(after.tv_nsec - before.tv_nsec) / 1e6;
    printf("# %u volumes in %.1f ms\n", n, ms);
    CHECK_EQ(n, 10000);
    CHECK(ms < 1000);
    end_world(&w);
}

int main(int argc, char **argv)
{
    pools_make();
    return check_main(argc, argv);
}
