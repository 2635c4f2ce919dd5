/*
 * Strangers write in the pool too: what is theirs is neither written, replaced nor removed.
 */
#include "tests/unit/pool-world.h"

static void put_at_hidden(struct world *w, const char *bytes, const char *tag, mode_t mode,
                          uid_t uid)
{
    char path[1024];

    pools_write(w->to, hidden(w), bytes);
    path_of(w->to, hidden(w), path, sizeof(path));
    if (tag)
        REQUIRE(setxattr(path, POOL_XATTR, tag, strlen(tag), 0) == 0);
    REQUIRE(chmod(path, mode) == 0 && chown(path, uid, 0) == 0);
}

TEST(what_the_volume_has_no_more_its_copy_has_not_either)
{
    EACH_WORLD(w)
    {
        char path[1024], value[8];

        reserve(&w);
        path_of(w.to, hidden(&w), path, sizeof(path));
        REQUIRE(setxattr(path, "user.gone", "x", 1, 0) == 0);
        CHECK_EQ(run(&w, POOL_PUBLISH), 0);
        path_of(w.to, "db", path, sizeof(path));
        CHECK(getxattr(path, "user.gone", value, sizeof(value)) < 0 && errno == ENODATA);
        CHECK(getxattr(path, POOL_XATTR, value, 0) > 0);
    }
}

TEST(a_reservation_writes_into_no_file_of_a_stranger)
{
    EACH_WORLD(w)
    {
        char tag[128], other[128], path[1024];

        tag_of(&w, "7", tag);
        tag_of(&w, "8", other);
        const struct {
            const char *bytes, *tag;
            mode_t mode;
            uid_t uid;
        } strangers[] = {{"x", NULL, 0600, 0},   {"", NULL, 0644, 0},  {"", NULL, 0600, 1000},
                         {"x", other, 0600, 0},  {"x", tag, 0644, 0},  {"x", tag, 0600, 1000},
                         {"x", "junk", 0600, 0}, {"", "junk", 0600, 0}};
        for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
            struct stat st;

            put_at_hidden(&w, strangers[i].bytes, strangers[i].tag, strangers[i].mode,
                          strangers[i].uid);
            CHECK_EQ(run(&w, POOL_RESERVE), -ESTALE);
            path_of(w.to, hidden(&w), path, sizeof(path));
            CHECK_EQ(stat(path, &st), 0);
            CHECK_EQ(st.st_size, strlen(strangers[i].bytes));
            CHECK_EQ(unlink(path), 0);
        }
        put_at_hidden(&w, "", NULL, 0600, 0); /* ours, killed before it had its tag */
        CHECK_EQ(run(&w, POOL_RESERVE), 0);
    }
}

TEST(a_reservation_follows_no_symlink_and_opens_nothing_strange)
{
    EACH_WORLD(w)
    {
        char path[1024], second[1024];

        path_of(w.to, hidden(&w), path, sizeof(path));
        path_of(w.to, "second", second, sizeof(second));
        CHECK_EQ(symlink("/etc/shadow", path), 0);
        CHECK_EQ(run(&w, POOL_RESERVE), -ESTALE);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK_EQ(unlink(path), 0); /* it was left alone */
        CHECK_EQ(mkfifo(path, 0600), 0);
        CHECK_EQ(run(&w, POOL_RESERVE), -ESTALE);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK_EQ(unlink(path), 0);
        CHECK_EQ(mkdir(path, 0700), 0);
        CHECK_EQ(run(&w, POOL_RESERVE), -ESTALE);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK_EQ(rmdir(path), 0);
        put_at_hidden(&w, "", NULL, 0600, 0);
        CHECK_EQ(link(path, second), 0);
        CHECK_EQ(run(&w, POOL_RESERVE), -ESTALE);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK_EQ(n_files(w.to), 2);
    }
}

TEST(a_reserved_copy_that_vanished_is_not_made_anew)
{
    EACH_WORLD(w)
    {
        char path[1024];

        reserve(&w);
        CHECK_EQ(run(&w, POOL_RESERVE), 0);
        path_of(w.to, hidden(&w), path, sizeof(path));
        CHECK_EQ(unlink(path), 0);
        CHECK_EQ(run(&w, POOL_RESERVE), -ESTALE);
        CHECK_EQ(n_files(w.to), 0);
        CHECK_EQ(run(&w, POOL_PUBLISH), -ESTALE);
        CHECK_EQ(run(&w, POOL_ADOPT), -ESTALE);
        CHECK_EQ(where(&w), POOL_FOUND_NONE);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
    }
}

TEST(a_reserved_copy_that_was_published_is_found_again)
{
    EACH_WORLD(w)
    {
        published(&w);
        CHECK_EQ(run(&w, POOL_RESERVE), 0);
        CHECK_EQ(n_files(w.to), 1);
        CHECK_EQ(where(&w), POOL_FOUND_PUBLISHED);
        w.made.btime_ns++; /* as if it were another's */
        CHECK_EQ(run(&w, POOL_RESERVE), -ESTALE);
    }
}

TEST(a_publication_replaces_nothing)
{
    for (unsigned linked = 0; linked < 2; linked++) {
        EACH_WORLD(w)
        {
            char path[1024];
            struct stat st;

            reserve(&w);
            fault.no_renameat2 = linked;
            pools_write(w.to, "db", "theirs");
            CHECK_EQ(run(&w, POOL_PUBLISH), -EEXIST);
            CHECK_EQ(where(&w), POOL_FOUND_HIDDEN);
            CHECK_EQ(run(&w, POOL_REMOVE), 0);
            CHECK_EQ(where(&w), POOL_FOUND_OTHER);
            path_of(w.to, "db", path, sizeof(path));
            CHECK_EQ(stat(path, &st), 0);
            CHECK_EQ(st.st_size, 6);
        }
    }
}

TEST(an_xattr_that_the_pool_does_not_take_is_named)
{
    struct world w = fresh_world(POOLS_XFS);
    static char big[60000];
    char small[256];

    CHECK_EQ(fsetxattr(w.claim, "user.much", big, sizeof(big), 0), 0);
    pools_fresh(POOLS_EXT4, small, sizeof(small));
    w.pool->ops->detach(w.pool);
    w.pool = attach(small);
    reserve(&w);
    CHECK(run(&w, POOL_PUBLISH) < 0);
    CHECK(strstr(said.text, "user.much"));
    CHECK_EQ(where(&w), POOL_FOUND_HIDDEN);
    end_world(&w);
}

TEST(an_adoption_waits_until_the_pool_takes_every_xattr_and_needs_no_room_for_those_it_has)
{
    struct world w = fresh_world(POOLS_EXT4);
    char path[1024];

    CHECK_EQ(fsetxattr(w.claim, "user.colour", "red", 3, 0), 0);
    published(&w);
    path_of(w.to, "db", path, sizeof(path));
    CHECK_EQ(fsetxattr(w.claim, "user.new", "x", 1, 0), 0);
    fault.n = 0;
    fault.at = 3; /* after mode and owner */
    fault.error = ENOSPC;
    CHECK_EQ(run(&w, POOL_ADOPT), -ENOSPC);
    CHECK(strstr(said.text, "user.new"));
    CHECK(getxattr(path, POOL_XATTR, NULL, 0) > 0);
    CHECK_EQ(run(&w, POOL_ADOPT), 0);
    CHECK_EQ(getxattr(path, "user.new", NULL, 0), 1);
    CHECK_EQ(getxattr(path, POOL_XATTR, NULL, 0), -1);
    end_world(&w);
}

/* As uid 65534, to whom the volume and its copy belong. */
static bool adopts_without_root(struct world *w, unsigned fault_at)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        fault.n = 0;
        fault.at = fault_at;
        fault.error = KILL;
        REQUIRE(setresuid(65534, 65534, 65534) == 0);
        _exit(run(w, POOL_ADOPT) == 0 ? 0 : 1);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    return status == 0;
}

TEST(an_owner_who_may_not_write_his_volume_adopts_its_xattrs_after_a_kill_too)
{
    bool struck = true;

    for (unsigned at = 1; struck; at++) {
        struct world w = fresh_world(POOLS_EXT4);
        char path[1024];

        REQUIRE(fchown(w.claim, 65534, 65534) == 0 && fchmod(w.claim, 0400) == 0);
        published(&w);
        path_of(w.to, "db", path, sizeof(path));
        REQUIRE(chown(path, 65534, 65534) == 0);
        struck = !adopts_without_root(&w, at);
        if (getxattr(path, POOL_XATTR, NULL, 0) > 0) {
            REQUIRE(fsetxattr(w.claim, "user.colour", "blue", 4, 0) == 0);
            CHECK(adopts_without_root(&w, 0));
            CHECK_EQ(getxattr(path, "user.colour", NULL, 0), 4);
        }
        end_world(&w);
    }
}

TEST(an_acl_that_the_pool_would_lose_stops_the_publication)
{
    struct world w = fresh_world(POOLS_EXT4);

    REQUIRE(fsetxattr(w.claim, "system.posix_acl_access", acl, sizeof(acl), 0) == 0);
    reserve(&w);
    fault.n = 0;
    fault.at = 1; /* the ACL that is tried */
    fault.error = EOPNOTSUPP;
    CHECK_EQ(run(&w, POOL_PUBLISH), -EOPNOTSUPP);
    CHECK(strstr(said.text, "ACL"));
    CHECK_EQ(run(&w, POOL_PUBLISH), 0);
    end_world(&w);
}

TEST(an_acl_that_the_directory_gave_the_copy_does_not_survive)
{
    struct world w = fresh_world(POOLS_EXT4);
    char path[1024];

    REQUIRE(setxattr(w.to, "system.posix_acl_default", acl, sizeof(acl), 0) == 0);
    adopted(&w);
    path_of(w.to, "db", path, sizeof(path));
    CHECK_EQ(getxattr(path, "system.posix_acl_access", NULL, 0), -1);
    end_world(&w);
}

TEST(a_removal_leaves_the_file_of_another_alone)
{
    EACH_WORLD(w)
    {
        char path[1024], moved[1024];

        published(&w);
        path_of(w.to, "db", path, sizeof(path));
        path_of(w.to, "moved", moved, sizeof(moved));
        CHECK_EQ(rename(path, moved), 0);
        pools_write(w.to, "db", "theirs");
        CHECK_EQ(where(&w), POOL_FOUND_OTHER);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK(is_there(w.to, "db"));
        CHECK(is_there(w.to, "moved"));
        CHECK_EQ(unlink(path), 0);
        CHECK_EQ(symlink("moved", path), 0);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK(is_there(w.to, "db"));
    }
}

TEST(without_a_recorded_identity_only_what_proves_itself_is_removed)
{
    EACH_WORLD(w)
    {
        char tag[128];

        published(&w);
        memset(&w.made, 0, sizeof(w.made));
        CHECK_EQ(where(&w), POOL_FOUND_PUBLISHED);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK(is_there(w.to, "db"));
        put_at_hidden(&w, "x", NULL, 0600, 0);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK(is_there(w.to, hidden(&w)));
        put_at_hidden(&w, "", NULL, 0644, 0);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK(is_there(w.to, hidden(&w)));
        tag_of(&w, "7", tag);
        tag[UUID_STR_LEN] ^= 1; /* of another copy */
        put_at_hidden(&w, "x", tag, 0600, 0);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK_EQ(run(&w, POOL_OPEN), 0); /* the published one */
        CHECK_EQ(where(&w), POOL_FOUND_PUBLISHED);
        CHECK(is_there(w.to, hidden(&w)));
        tag[UUID_STR_LEN] ^= 1;
        put_at_hidden(&w, "x", tag, 0600, 0);
        CHECK_EQ(where(&w), POOL_FOUND_HIDDEN);
        CHECK_EQ(run(&w, POOL_REMOVE), 0);
        CHECK(!is_there(w.to, hidden(&w)));
    }
}

static struct pool_request removal(struct world *w)
{
    struct pool_request q = request(w, POOL_REMOVE);

    q.has_mtime = 1;
    q.mtime_ns =
        (uint64_t)w->claimed.st_mtim.tv_sec * 1000000000 + (uint64_t)w->claimed.st_mtim.tv_nsec;
    return q;
}

TEST(an_old_copy_that_somebody_writes_is_hidden_but_not_destroyed)
{
    EACH_WORLD(w)
    {
        struct pool_request q;
        char path[1024];
        int writer;

        adopted(&w);
        q = removal(&w);
        path_of(w.to, "db", path, sizeof(path));
        writer = open(path, O_WRONLY);
        CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), -EBUSY);
        CHECK(!is_there(w.to, "db"));
        CHECK(is_there(w.to, hidden(&w)));
        CHECK_EQ(write(writer, "y", 1), 1);
        close(writer);
        CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), -ESTALE);
        CHECK(is_there(w.to, hidden(&w)));
        q.has_mtime = 0;
        CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), 0);
        CHECK_EQ(n_files(w.to), 0);
    }
}

TEST(an_old_copy_with_another_hard_link_is_kept)
{
    EACH_WORLD(w)
    {
        struct pool_request q;
        char path[1024], second[1024];

        adopted(&w);
        q = removal(&w);
        path_of(w.to, "db", path, sizeof(path));
        path_of(w.to, "second", second, sizeof(second));
        CHECK_EQ(link(path, second), 0);
        CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), -EBUSY);
        CHECK_EQ(unlink(second), 0);
        CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), 0);
        CHECK_EQ(n_files(w.to), 0);
    }
}

TEST(an_inode_number_without_a_birth_time_is_no_proof_at_the_volumes_name)
{
    EACH_WORLD(w)
    {
        struct pool_request q;

        fault.no_btime = true;
        adopted(&w);
        CHECK_EQ(w.made.btime_ns, 0);
        CHECK_EQ(run(&w, POOL_REMOVE), -ESTALE);
        q = removal(&w);
        q.mtime_ns++;
        CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), -ESTALE);
        CHECK(is_there(w.to, "db"));
        q.mtime_ns--;
        CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), 0);
        CHECK_EQ(n_files(w.to), 0);
        memset(&w.made, 0, sizeof(w.made));
        published(&w);
        CHECK_EQ(run(&w, POOL_REMOVE), 0); /* it has the tag */
        CHECK_EQ(n_files(w.to), 0);
    }
}

/* Nor is it for what shall only be hidden: the tag that this sets proves nothing the next time. */
TEST(what_nothing_proves_at_the_volumes_name_is_not_retained)
{
    EACH_WORLD(w)
    {
        struct pool_request q;
        struct stat before, after;
        char path[1024];

        fault.no_btime = true;
        adopted(&w);
        path_of(w.to, "db", path, sizeof(path));
        REQUIRE(stat(path, &before) == 0);
        q = removal(&w);
        q.kind = POOL_RETAIN;
        q.mtime_ns++;
        for (unsigned i = 0; i < 2; i++)
            CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), -ESTALE);
        CHECK_EQ(stat(path, &after), 0);
        CHECK_EQ(after.st_ino, before.st_ino);
        CHECK_EQ(after.st_mode, before.st_mode);
        CHECK_EQ(getxattr(path, POOL_XATTR, NULL, 0), -1);
        q.mtime_ns--;
        CHECK_EQ(operate(w.pool, &q, -1, NULL, NULL), 0);
        CHECK(!is_there(w.to, "db"));
    }
}

/* The tag is news of the pool, and news let it be tried again: without end, if each try set it. */
TEST(what_cannot_be_hidden_is_tagged_once)
{
    EACH_WORLD(w)
    {
        adopted(&w);
        fault.n = 0;
        fault.at = 2; /* after the tag */
        fault.error = EIO;
        CHECK_EQ(run(&w, POOL_RETAIN), -EIO);
        CHECK(is_there(w.to, "db"));
        fault.trace[0] = '\0';
        CHECK_EQ(run(&w, POOL_RETAIN), 0);
        CHECK(!strstr(fault.trace, "fsetxattr"));
        CHECK(is_there(w.to, hidden(&w)));
    }
}

TEST(a_file_exchanged_at_the_last_moment_is_put_back)
{
    for (unsigned plain = 0; plain < 2; plain++) {
        EACH_WORLD(w)
        {
            char path[1024];
            struct stat st;

            published(&w);
            fault.no_renameat2 = plain;
            exchange_in = w.to;
            CHECK_EQ(run(&w, POOL_REMOVE), 0);
            CHECK(!exchange_in);
            path_of(w.to, "db", path, sizeof(path));
            CHECK_EQ(stat(path, &st), 0);
            CHECK_EQ(st.st_size, 6);
            CHECK_EQ(n_files(w.to), 1);
        }
    }
}

int main(int argc, char **argv)
{
    pools_make();
    return check_main(argc, argv);
}
