/*
 * Claiming a volume, and asking whether one could be made.
 */
#include "copy/base/cleanup.h"
#include "tests/unit/pool-world.h"

static int claim(struct world *w, struct pool_reply *reply, int *ret_fd)
{
    struct pool_request q = request(w, POOL_CLAIM);

    q.has_expect = 0;
    return operate(w->source, &q, -1, reply, ret_fd);
}

static void check_names_us(void)
{
    char us[64];

    snprintf(us, sizeof(us), "process %d (", getpid());
    CHECK(strstr(said.text, us));
}

TEST(a_claim_tells_what_it_holds_and_keeps_writers_out_until_it_is_closed)
{
    EACH_WORLD(w)
    {
        struct pool_reply reply = {0};
        char path[1024];
        int fd = -1, writer;

        signal(SIGIO, SIG_IGN);
        CHECK_EQ(claim(&w, &reply, &fd), 0);
        CHECK_EQ(reply.size_bytes, SIZE);
        CHECK_EQ(reply.allocated_bytes, w.claimed.st_blocks * 512);
        CHECK_EQ(reply.identity.ino, w.claimed.st_ino);
        CHECK_EQ(reply.mtime_ns % 1000000000, w.claimed.st_mtim.tv_nsec);
        CHECK_EQ(reply.weak, 0);
        CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
        CHECK_EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
        path_of(w.from, "db", path, sizeof(path));
        CHECK(open(path, O_WRONLY | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
        CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK); /* it is to be given back */
        close(fd);
        writer = open(path, O_WRONLY | O_NONBLOCK);
        CHECK(writer >= 0);
        close(writer);
    }
}

TEST(a_volume_that_somebody_writes_is_busy_and_he_is_named)
{
    EACH_WORLD(w)
    {
        char path[1024];
        int writer, fd = -1;

        path_of(w.from, "db", path, sizeof(path));
        writer = open(path, O_RDWR);
        REQUIRE(writer >= 0);
        CHECK_EQ(claim(&w, NULL, &fd), -EBUSY);
        check_names_us();
        close(writer);
        CHECK_EQ(claim(&w, NULL, &fd), 0);
        close(fd);
    }
}

static int serve(struct world *w, struct pool_reply *reply, int *ret_fd)
{
    struct pool_request q = request(w, POOL_SERVE);

    q.has_expect = 1;
    CHECK_EQ(io_identify(w->claim, &q.expect), 0);
    close(take_fd(&w->claim)); /* else somebody has it open */
    return operate(w->source, &q, -1, reply, ret_fd);
}

TEST(what_is_served_can_be_written_and_keeps_all_others_out)
{
    EACH_WORLD(w)
    {
        struct pool_reply reply = {0};
        char path[1024];
        int fd = -1;

        signal(SIGIO, SIG_IGN);
        CHECK_EQ(serve(&w, &reply, &fd), 0);
        CHECK_EQ(reply.size_bytes, SIZE);
        CHECK_EQ(reply.identity.ino, w.claimed.st_ino);
        CHECK_EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
        CHECK_EQ(fcntl(fd, F_GETLEASE), F_WRLCK);
        CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
        path_of(w.from, "db", path, sizeof(path));
        CHECK(open(path, O_RDONLY | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
        close(fd);
    }
}

TEST(what_somebody_reads_is_not_served_and_he_is_named)
{
    EACH_WORLD(w)
    {
        char path[1024];
        int reader, fd = -1;

        path_of(w.from, "db", path, sizeof(path));
        reader = open(path, O_RDONLY);
        CHECK_EQ(serve(&w, NULL, &fd), -EBUSY);
        check_names_us();
        close(reader);
    }
}

TEST(what_is_setuid_is_not_served)
{
    EACH_WORLD(w)
    {
        int fd = -1;

        REQUIRE(fchmod(w.claim, 04755) == 0);
        CHECK_EQ(serve(&w, NULL, &fd), -EPERM);
        CHECK_EQ(fd, -1);
    }
}

TEST(without_leases_nothing_is_served)
{
    EACH_WORLD(w)
    {
        int fd = -1;

        fault.no_leases = true;
        CHECK_EQ(serve(&w, NULL, &fd), -EOPNOTSUPP);
        CHECK_EQ(fd, -1);
    }
}

TEST(another_file_than_the_one_that_is_known_is_not_served)
{
    EACH_WORLD(w)
    {
        char path[1024], old[1024];
        int fd = -1;

        path_of(w.from, "db", path, sizeof(path));
        path_of(w.from, "old", old, sizeof(old));
        CHECK_EQ(rename(path, old), 0);
        pools_write(w.from, "db", "another");
        CHECK_EQ(serve(&w, NULL, &fd), -ESTALE);
    }
}

TEST(a_volume_behind_a_loop_device_is_busy_and_the_device_is_named)
{
    struct world w = fresh_world(POOLS_EXT4);
    char command[1024];
    int fd = -1;

    snprintf(command, sizeof(command), "cd %s && losetup -f --show db >loop.dev", w.from);
    if (system(command) == 0) {
        CHECK_EQ(claim(&w, NULL, &fd), -EBUSY);
        CHECK(strstr(said.text, "the loop device /dev/loop"));
        snprintf(command, sizeof(command), "cd %s && losetup -d $(cat loop.dev)", w.from);
        CHECK_EQ(system(command), 0);
    }
    end_world(&w);
}

TEST(without_leases_a_claim_is_weak_but_sees_writers_and_locks)
{
    EACH_WORLD(w)
    {
        struct pool_reply reply = {0};
        char path[1024];
        int writer, fd = -1;

        fault.no_leases = true;
        CHECK_EQ(claim(&w, &reply, NULL), 0);
        CHECK_EQ(reply.weak, 1);
        path_of(w.from, "db", path, sizeof(path));
        writer = open(path, O_RDWR);
        CHECK_EQ(claim(&w, NULL, NULL), -EBUSY);
        CHECK(strstr(said.text, "open for writing"));
        close(writer);
        CHECK_EQ(claim(&w, &reply, &fd), 0);
        close(fd);
    }
}

TEST(a_write_lock_that_is_seen_is_respected)
{
    struct world w = fresh_world(POOLS_EXT4);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    char path[1024];
    int writer, status;
    pid_t pid;

    /* The holder needs a descriptor for writing. That one is not seen from another user's process
     * without rights over it: a second process plays that part. */
    path_of(w.from, "db", path, sizeof(path));
    writer = open(path, O_RDWR);
    REQUIRE(writer >= 0 && fcntl(writer, F_OFD_SETLK, &lock) == 0);
    pid = fork();
    if (pid == 0) {
        int r;

        close(writer);
        REQUIRE(chown(path, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
        fault.no_leases = true;
        r = claim(&w, NULL, NULL);
        _exit(r == -EBUSY && strstr(said.text, "locked") ? 0 : 1);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK_EQ(status, 0);
    close(writer);
    end_world(&w);
}

TEST(a_claim_of_another_file_than_expected_is_stale)
{
    EACH_WORLD(w)
    {
        struct pool_request q = request(&w, POOL_CLAIM);
        struct pool_reply reply = {0};

        CHECK_EQ(operate(w.source, &q, -1, &reply, NULL), 0);
        q.has_expect = 1;
        q.expect = reply.identity;
        CHECK_EQ(operate(w.source, &q, -1, NULL, NULL), 0);
        q.expect.btime_ns++;
        CHECK_EQ(operate(w.source, &q, -1, NULL, NULL), -ESTALE);
        strcpy(q.name, "nobody");
        CHECK_EQ(operate(w.source, &q, -1, NULL, NULL), -ENOENT);
        strcpy(q.name, "../db");
        CHECK_EQ(operate(w.source, &q, -1, NULL, NULL), -EINVAL);
    }
}

TEST(without_root_only_an_own_volume_can_be_claimed)
{
    struct world w = fresh_world(POOLS_EXT4);
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int fd = -1;

        REQUIRE(setresuid(65534, 65534, 65534) == 0);
        _exit(claim(&w, NULL, &fd) == -EACCES ? 0 : 1);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK_EQ(status, 0);
    end_world(&w);
}

TEST(a_copy_is_opened_whatever_its_name_is_by_now)
{
    EACH_WORLD(w)
    {
        struct pool_request q;
        struct pool_reply reply = {0};
        int fd = -1;

        CHECK_EQ(run(&w, POOL_OPEN), -ENOENT);
        reserve(&w);
        q = request(&w, POOL_OPEN);
        CHECK_EQ(operate(w.pool, &q, -1, &reply, &fd), 0);
        CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
        close(fd);
        CHECK(io_same(&reply.identity, &w.made));
        q.has_expect = 0;
        CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), 0);
        CHECK_EQ(run(&w, POOL_PUBLISH), 0);
        q.has_expect = 1;
        CHECK_EQ(operate(w.pool, &q, -1, &reply, NULL), 0);
        CHECK(io_same(&reply.identity, &w.made));
    }
}

static int admit(struct world *w, const char *name, uint64_t size_bytes)
{
    struct pool_request q = {.kind = POOL_ADMIT, .size_bytes = size_bytes};

    snprintf(q.name, sizeof(q.name), "%s", name);
    return operate(w->pool, &q, w->claim, NULL, NULL);
}

TEST(an_owner_and_a_mode_that_the_copy_could_not_have_are_refused_before_it_is_begun)
{
    static const char *const said_of[] = {"owner", "mode"};
    struct world w = fresh_world(POOLS_EXT4);

    for (unsigned i = 0; i < 2; i++) {
        fault.n = 0;
        fault.at = 2 + i; /* after the tag: fchown, fchmod */
        fault.error = EPERM;
        CHECK_EQ(admit(&w, "new", SIZE), -EACCES);
        CHECK(strstr(said.text, said_of[i]));
    }
    end_world(&w);
}

TEST(what_cannot_be_made_is_refused_before_it_is_begun)
{
    EACH_WORLD(w)
    {
        char path[1024];

        CHECK_EQ(admit(&w, "new", SIZE), 0);
        CHECK_EQ(n_files(w.to), 0);
        pools_write(w.to, "taken", "x");
        CHECK_EQ(admit(&w, "taken", SIZE), -EEXIST);
        path_of(w.to, "dangling", path, sizeof(path));
        REQUIRE(symlink("nowhere", path) == 0);
        CHECK_EQ(admit(&w, "dangling", SIZE), -EEXIST);
        CHECK_EQ(admit(&w, "huge", UINT64_MAX), -EFBIG);
        if (w.fs == POOLS_EXT4)
            CHECK_EQ(admit(&w, "huge", INT64_MAX), -EFBIG);
    }
}

TEST(a_read_only_pool_admits_nothing)
{
    EACH_WORLD(w)
    {
        REQUIRE(mount(w.to, w.to, NULL, MS_BIND, NULL) == 0 &&
                mount(NULL, w.to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
        w.pool->ops->detach(w.pool);
        w.pool = attach(w.to);
        CHECK_EQ(admit(&w, "new", SIZE), -EROFS);
        w.pool->ops->detach(w.pool);
        w.pool = attach(w.from);
        CHECK_EQ(umount(w.to), 0);
    }
}

TEST(a_pool_without_xattrs_is_refused_in_words)
{
    struct world w = fresh_world(POOLS_EXT4);

    fault.n = 0;
    fault.at = 1; /* fsetxattr is the first */
    fault.error = EOPNOTSUPP;
    CHECK_EQ(admit(&w, "new", SIZE), -EOPNOTSUPP);
    CHECK(strstr(said.text, "keeps no user xattrs"));
    end_world(&w);
}

int main(int argc, char **argv)
{
    pools_make();
    return check_main(argc, argv);
}
