/*
 * What an agent tells of its pool, how it holds it and how it loses it.
 */
#include "tests/unit/agent-rig.h"

TEST(a_pool_without_a_marker_gets_one_when_the_daemon_says_so_and_is_held)
{
    EACH_POOL(path)
    {
        char marker[1024];
        struct rig rig;
        int fd;

        pools_write(path, "db", "x");
        pools_write(path, ".hidden", "x");
        rig = start(path);
        send_attach(&rig, "dir", (uuid_t){0});
        CHECK_EQ(come_up(&rig), 1);
        path_of(&rig, POOL_MARKER, marker);
        fd = open(marker, O_RDONLY);
        CHECK(fd >= 0);
        CHECK(flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
        end(&rig);
        CHECK_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
        close(fd);
        rig = up(path); /* the second time it is there */
        end(&rig);
    }
}

TEST(many_volumes_come_in_batches)
{
    char path[256];
    struct rig rig;

    pools_fresh(POOLS_TMPFS, path, sizeof(path));
    for (unsigned i = 0; i < 3000; i++) {
        char name[16];

        snprintf(name, sizeof(name), "v%u", i);
        pools_write(path, name, "");
    }
    rig = start(path);
    send_attach(&rig, "dir", (uuid_t){0});
    CHECK_EQ(come_up(&rig), 3000);
    end(&rig);
}

TEST(a_volume_that_appears_grows_is_renamed_or_goes_is_told_at_once)
{
    EACH_POOL(path)
    {
        struct rig rig = up(path);
        struct pool_entry entry;
        char file[1024], other[1024];

        path_of(&rig, "db", file);
        path_of(&rig, "db2", other);
        CHECK_EQ(mknod(file, S_IFREG | 0600, 0), 0);
        entry = change(&rig);
        CHECK_EQ(entry.kind, POOL_ENTRY_VOLUME);
        CHECK_STR(entry.name, "db");
        CHECK_EQ(truncate(file, 12345), 0);
        entry = change(&rig);
        CHECK_EQ(entry.size_bytes, 12345);
        CHECK_EQ(rename(file, other), 0);
        await_entry(&rig, POOL_ENTRY_VOLUME, "db2");
        CHECK_EQ(rename(other, file), 0);
        await_entry(&rig, POOL_ENTRY_GONE, "db2");
        CHECK_EQ(rename(file, other), 0);
        await_entry(&rig, POOL_ENTRY_VOLUME, "db2");
        CHECK_EQ(unlink(other), 0);
        await_entry(&rig, POOL_ENTRY_GONE, "db2");
        CHECK_EQ(symlink("/etc/shadow", file), 0);
        entry = await_entry(&rig, POOL_ENTRY_UNLISTED, "db");
        CHECK_STR(entry.why, "symlink");
        end(&rig);
    }
}

TEST(a_hidden_file_is_never_told)
{
    EACH_POOL(path)
    {
        struct rig rig = up(path);
        char file[1024], other[1024];

        path_of(&rig, ".ferryfs-stranger", file);
        path_of(&rig, "db", other);
        pools_write(path, ".ferryfs-stranger", "x");
        CHECK_EQ(rename(file, other), 0);
        CHECK_STR(change(&rig).name, "db");
        end(&rig);
    }
}

TEST(a_file_that_is_being_written_does_not_flood_and_its_last_state_is_told)
{
    EACH_POOL(path)
    {
        struct rig rig = up(path);
        uint64_t begun_ns, took_ns, told = 0;
        unsigned n = 0;
        union message m;
        char file[1024];
        int fd;

        path_of(&rig, "db", file);
        fd = open(file, O_WRONLY | O_CREAT, 0600);
        REQUIRE(fd >= 0);
        begun_ns = io_now_ns();
        for (unsigned i = 0; i < 3000; i++)
            CHECK_EQ(pwrite(fd, "0123456789", 10, (off_t)i * 10), 10);
        close(fd);
        while (told != 30000) {
            int kind = next(&rig, &m, NULL, PATIENCE_MS);

            REQUIRE(kind > 0);
            if (kind != POOL_ENTRIES)
                continue;
            n++;
            told = m.entries.entries[0].size_bytes;
        }
        took_ns = io_now_ns() - begun_ns;
        CHECK(n <= 3 + took_ns / 100000000);
        end(&rig);
    }
}

TEST(when_the_kernel_loses_events_everything_is_looked_at)
{
    char path[256], file[1024];
    struct rig rig;
    union message m;
    bool seen = false;

    pools_fresh(POOLS_TMPFS, path, sizeof(path));
    rig = up(path);
    REQUIRE(kill(rig.agent, SIGSTOP) == 0 && waitpid(rig.agent, NULL, WUNTRACED) == rig.agent);
    path_of(&rig, "a", file);
    for (unsigned i = 0; i < 20000; i++) {
        pools_write(path, i % 2 ? "a" : "b", "");
        if (i % 2)
            unlink(file);
    }
    pools_write(path, "last", "x");
    REQUIRE(kill(rig.agent, SIGCONT) == 0);
    for (;;) {
        int kind = next(&rig, &m, NULL, PATIENCE_MS);

        REQUIRE(kind > 0);
        if (kind == POOL_SCANNED && m.scanned.complete)
            break;
        for (unsigned i = 0; kind == POOL_ENTRIES && i < m.entries.n; i++)
            seen = seen || strcmp(m.entries.entries[i].name, "last") == 0;
    }
    CHECK(seen);
    end(&rig);
}

TEST(a_rescan_names_everything_again)
{
    char path[256];
    struct rig rig;
    struct pool_request rescan = {.kind = POOL_RESCAN};
    union message m;

    pools_fresh(POOLS_TMPFS, path, sizeof(path));
    pools_write(path, "db", "x");
    rig = up(path);
    ask(&rig, &rescan);
    expect(&rig, POOL_ENTRIES, &m, NULL);
    CHECK_STR(m.entries.entries[0].name, "db");
    expect(&rig, POOL_SCANNED, &m, NULL);
    CHECK_EQ(m.scanned.complete, 1);
    expect(&rig, POOL_SPACE, &m, NULL);
    CHECK_EQ(m.space.capacity_bytes, 64 << 20);
    CHECK(m.space.free_bytes > 0 && m.space.free_bytes <= m.space.capacity_bytes);
    end(&rig);
}

TEST(the_largest_file_that_is_told_can_be_made_and_no_larger_one)
{
    EACH_POOL(path)
    {
        struct rig rig = up(path);
        struct pool_request rescan = {.kind = POOL_RESCAN};
        char file[1024];
        union message m;
        off_t most;

        pools_write(path, ".large", "");
        path_of(&rig, ".large", file);
        ask(&rig, &rescan);
        expect(&rig, POOL_SCANNED, &m, NULL);
        expect(&rig, POOL_SPACE, &m, NULL);
        REQUIRE(m.space.max_file_bytes > 0 && m.space.max_file_bytes <= INT64_MAX);
        most = (off_t)m.space.max_file_bytes;
        CHECK_EQ(truncate(file, most), 0);
        if (most < INT64_MAX)
            CHECK(truncate(file, most + 1) < 0 && errno == EFBIG);
        end(&rig);
    }
}

TEST(an_idle_agent_gives_a_sign_of_life_every_five_seconds)
{
    char path[256];
    struct rig rig;
    union message m;

    pools_fresh(POOLS_TMPFS, path, sizeof(path));
    rig = up(path);
    CHECK_EQ(next(&rig, &m, NULL, 5000), POOL_SPACE);
    end(&rig);
}

TEST(a_second_agent_waits_for_the_first_and_comes_up_when_that_dies)
{
    EACH_POOL(path)
    {
        struct rig first = up(path), second = start(path);
        union message m;
        char who[32];
        int status;

        send_attach(&second, "dir", (uuid_t){0});
        expect(&second, POOL_HELLO, &m, NULL);
        CHECK_EQ(m.hello.marker, POOL_MARKER_HELD);
        CHECK_EQ(uuid_compare(m.hello.uuid, first.uuid), 0);
        snprintf(who, sizeof(who), "process %d (", first.agent);
        CHECK(strstr(m.hello.text, who));
        kill(first.agent, SIGKILL);
        status = await_end(&first);
        CHECK(WIFSIGNALED(status));
        expect(&second, POOL_UP, &m, NULL);
        expect(&second, POOL_SCANNED, &m, NULL);
        end(&second);
        end(&first);
    }
}

TEST(an_agent_that_waits_for_the_lock_ends_with_the_daemon)
{
    char path[256];
    struct rig first, second;
    union message m;

    pools_fresh(POOLS_EXT4, path, sizeof(path));
    first = up(path);
    second = start(path);
    send_attach(&second, "dir", (uuid_t){0});
    expect(&second, POOL_HELLO, &m, NULL);
    end(&second);
    end(&first);
    first = up(path); /* and its child waits no longer */
    end(&first);
}

TEST(a_marker_that_was_replaced_while_the_lock_was_awaited_is_worth_nothing)
{
    char path[256], marker[1024], away[1024];
    struct rig first, second;
    union message m;

    pools_fresh(POOLS_EXT4, path, sizeof(path));
    first = up(path);
    second = start(path);
    send_attach(&second, "dir", (uuid_t){0});
    expect(&second, POOL_HELLO, &m, NULL);
    path_of(&first, POOL_MARKER, marker);
    path_of(&first, ".away", away);
    CHECK_EQ(rename(marker, away), 0);
    pools_write(path, POOL_MARKER, "5f0c7a52-8b70-4a0c-9a38-1f2d3c4b5a69\n");
    kill(first.agent, SIGKILL);
    expect(&second, POOL_LOST, &m, NULL);
    CHECK_EQ(m.lost.error, ENODEV);
    end(&second);
    await_end(&first);
    end(&first);
}

TEST(another_pool_than_the_expected_one_is_not_taken)
{
    char path[256];
    struct rig rig;
    union message m;
    uuid_t other;

    pools_fresh(POOLS_EXT4, path, sizeof(path));
    rig = up(path);
    end(&rig);
    rig = start(path);
    uuid_generate(other);
    send_attach(&rig, "dir", other);
    expect(&rig, POOL_HELLO, &m, NULL);
    expect(&rig, POOL_LOST, &m, NULL);
    CHECK_EQ(m.lost.error, ESTALE);
    end(&rig);
}

TEST(a_pool_that_goes_away_is_lost)
{
    EACH_POOL(path)
    {
        struct rig rig = up(path);
        char away[512];
        union message m;

        snprintf(away, sizeof(away), "%s-away", path);
        CHECK_EQ(rename(path, away), 0);
        expect(&rig, POOL_LOST, &m, NULL);
        CHECK_EQ(next(&rig, &m, NULL, PATIENCE_MS), 0);
        end(&rig);
    }
}

TEST(a_pool_whose_marker_is_taken_away_is_lost)
{
    char path[256], marker[1024];
    struct rig rig;
    union message m;

    pools_fresh(POOLS_EXT4, path, sizeof(path));
    rig = up(path);
    path_of(&rig, POOL_MARKER, marker);
    CHECK_EQ(unlink(marker), 0);
    expect(&rig, POOL_LOST, &m, NULL);
    CHECK(strstr(m.lost.text, POOL_MARKER));
    end(&rig);
}

TEST(a_pool_that_is_unmounted_lazily_is_lost)
{
    char path[256];
    struct rig rig;
    union message m;

    pools_fresh(POOLS_TMPFS, path, sizeof(path));
    REQUIRE(mount("none", path, "tmpfs", 0, NULL) == 0);
    rig = up(path);
    CHECK_EQ(umount2(path, MNT_DETACH), 0);
    expect(&rig, POOL_LOST, &m, NULL);
    end(&rig);
}

TEST(what_cannot_be_attached_is_told_in_words)
{
    struct rig rig = start("/nowhere");
    union message m;

    send_attach(&rig, "dir", (uuid_t){0});
    expect(&rig, POOL_LOST, &m, NULL);
    CHECK_EQ(m.lost.error, ENOENT);
    CHECK(strstr(m.lost.text, "/nowhere"));
    end(&rig);
    rig = start("/");
    send_attach(&rig, "floppy", (uuid_t){0});
    expect(&rig, POOL_LOST, &m, NULL);
    end(&rig);
}

TEST(a_malformed_order_ends_the_agent)
{
    struct rig rig = start("/nowhere");
    int status;

    REQUIRE(io_send(rig.sock, "junk!", 5, -1) == 0);
    status = await_end(&rig);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    end(&rig);
}

TEST(a_signal_to_the_whole_group_does_not_end_the_agent)
{
    char path[256];
    struct rig rig;

    pools_fresh(POOLS_TMPFS, path, sizeof(path));
    rig = up(path);
    kill(rig.agent, SIGTERM);
    kill(rig.agent, SIGINT);
    pools_write(path, "db", "x");
    CHECK_STR(change(&rig).name, "db");
    end(&rig);
}

int main(int argc, char **argv)
{
    pools_make();
    return check_main(argc, argv);
}
