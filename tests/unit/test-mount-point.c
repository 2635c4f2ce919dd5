#include <spawn.h>

#include "tests/unit/mounted.h"

static char dir_made[64];

static const char *make_dir(void)
{
    strcpy(dir_made, "/tmp/mount-test-XXXXXX");
    REQUIRE(mkdtemp(dir_made));
    return dir_made;
}

/* What mount_open says of a path. */
static int try_open(const char *path, const char *says)
{
    const struct mount_config config = {.path = path, .source = "test", .allow_other = true};
    struct service *service = service_begin(1);
    struct mount *mount = NULL;
    struct err e = {0};
    int r = mount_open(&config, service, &mount, &e);

    printf("# %s\n", e.text);
    CHECK(strstr(e.text, says) != NULL);
    CHECK_EQ(r, -e.code);
    mount_close(mount);
    service_end(service);
    return r;
}

TEST(a_path_that_is_no_empty_directory_is_refused)
{
    const char *dir = make_dir();
    char path[128], link_path[128], slash[130];

    snprintf(path, sizeof(path), "%s/x", dir);
    snprintf(link_path, sizeof(link_path), "%s/link", dir);
    snprintf(slash, sizeof(slash), "%s/", link_path);
    CHECK_EQ(try_open(path, "No such file"), -ENOENT);
    CHECK_EQ(mkdir(path, 0700), 0);
    CHECK_EQ(symlink(path, link_path), 0);
    CHECK_EQ(try_open(link_path, "symbolic link"), -ELOOP);
    CHECK_EQ(try_open(slash, "symbolic link"), -ELOOP);
    CHECK_EQ(try_open(dir, "not empty"), -ENOTEMPTY);
    CHECK_EQ(rmdir(path), 0);
    close(creat(path, 0600));
    CHECK_EQ(try_open(path, "not a directory"), -ENOTDIR);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(unlink(link_path), 0);
    CHECK_EQ(rmdir(dir), 0);
}

TEST(a_path_where_something_is_mounted_is_refused)
{
    struct mounted m = mounted_begin(1);
    const char *dir = make_dir();

    CHECK_EQ(try_open(m.dir, "mounted at"), -EBUSY);
    CHECK_STR(text_at(&m, "vol00001/status"), "available\n");
    CHECK_EQ(mount("none", dir, "tmpfs", 0, NULL), 0);
    CHECK_EQ(try_open(dir, "mounted at"), -EBUSY);
    CHECK_EQ(umount(dir), 0);
    CHECK_EQ(rmdir(dir), 0);
    mounted_end(&m);
}

/* This program again, as a daemon that serves dir until it is killed. */
static pid_t start_daemon(const char *dir, const char *how)
{
    char self[] = "/proc/self/exe", flag[16], where[64], answer[8] = "";
    char *argv[] = {self, flag, where, NULL};
    posix_spawn_file_actions_t actions;
    int pair[2];
    pid_t pid;

    snprintf(where, sizeof(where), "%s", dir);
    snprintf(flag, sizeof(flag), "%s", how);
    REQUIRE(pipe2(pair, O_CLOEXEC) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[1], 1);
    REQUIRE(posix_spawn(&pid, self, &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    REQUIRE(read(pair[0], answer, 5) == 5 && memcmp(answer, "ready", 5) == 0);
    close(pair[0]);
    return pid;
}

static int serve(const char *dir, bool busily)
{
    struct mounted m = {0};
    struct pollfd pfd;

    snprintf(m.dir, sizeof(m.dir), "%s", dir);
    m.service = service_begin(2);
    mounted_open(&m);
    pfd = (struct pollfd){.fd = mount_ended_fd(m.mount), .events = POLLIN};
    REQUIRE(write(1, "ready", 5) == 5);
    while (busily && poll(&pfd, 1, 0) == 0)
        change_volume(m.service, 1, begin_job, JOB_EVENTS);
    REQUIRE(poll(&pfd, 1, 60000) == 1);
    mount_close(m.mount);
    service_end(m.service);
    return 0;
}

static int reap(pid_t pid)
{
    int status = -1;

    waitpid(pid, &status, 0);
    return status;
}

TEST(a_dead_mount_of_ours_is_cleared_away)
{
    struct mounted m = {.dir = "/tmp/mount-test-XXXXXX"};
    struct stat st;

    REQUIRE(mkdtemp(m.dir));
    for (int i = 0; i < 2; i++) {
        pid_t pid = start_daemon(m.dir, "--serve");

        CHECK_STR(text_at(&m, "vol00002/status"), "available\n");
        CHECK_EQ(stat(m.dir, &st), 0);
        kill(pid, SIGKILL);
        reap(pid);
        CHECK_EQ(open_at(&m, "vol00002/status", O_RDONLY), -ENOTCONN);
    }
    m.service = service_begin(1);
    mounted_open(&m);
    CHECK_STR(text_at(&m, "vol00001/status"), "available\n");
    mounted_end(&m);
}

/* Its own thread waits for an answer of its own file system then, as often as not. */
TEST(a_daemon_that_is_killed_while_it_tells_inotify_dies_at_once)
{
    struct mounted m = {0};
    const struct timespec a_moment = {.tv_nsec = 3000000};

    strcpy(m.dir, make_dir());
    strcpy(watched, m.dir);
    signal(SIGALRM, give_up);
    alarm(60);
    for (int i = 0; i < 30; i++) {
        pid_t pid = start_daemon(m.dir, "--serve-busily");

        nanosleep(&a_moment, NULL);
        kill(pid, SIGKILL);
        reap(pid);
    }
    CHECK_EQ(umount(m.dir), 0);
    CHECK_EQ(rmdir(m.dir), 0);
}

TEST(umount_ends_it)
{
    const char *dir = make_dir();
    pid_t pid = start_daemon(dir, "--serve");

    CHECK_EQ(umount(dir), 0);
    CHECK_EQ(reap(pid), 0);
    CHECK_EQ(rmdir(dir), 0);
}

TEST(a_lazy_umount_ends_it_when_the_last_file_is_closed)
{
    struct mounted m = {0};
    pid_t pid;
    char bytes[64];
    int fd;

    strcpy(m.dir, make_dir());
    pid = start_daemon(m.dir, "--serve");
    fd = open_at(&m, "vol00001/status", O_RDONLY);
    CHECK_EQ(umount(m.dir), -1);
    CHECK_EQ(errno, EBUSY);
    CHECK_EQ(umount2(m.dir, MNT_DETACH), 0);
    CHECK_EQ(pread(fd, bytes, sizeof(bytes), 0), 10);
    CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
    close(fd);
    CHECK_EQ(reap(pid), 0);
    CHECK_EQ(rmdir(m.dir), 0);
}

TEST(closing_leaves_alone_what_another_mounted_there)
{
    struct mounted m = mounted_begin(1);
    struct stat st;

    CHECK_EQ(mount("none", m.dir, "tmpfs", 0, "mode=0700"), 0);
    mount_close(m.mount);
    CHECK_EQ(stat(m.dir, &st), 0);
    CHECK_EQ(st.st_mode & 07777, 0700);
    CHECK_EQ(umount(m.dir), 0);
    CHECK_EQ(umount2(m.dir, MNT_DETACH), 0);
    service_end(m.service);
    CHECK_EQ(rmdir(m.dir), 0);
}

TEST(a_file_that_stays_open_does_not_hold_up_the_end)
{
    struct mounted m = mounted_begin(1);
    OWNED(fd) int fd = open_at(&m, "vol00001/status", O_RDONLY);
    char bytes[8];

    CHECK_EQ(read(fd, bytes, sizeof(bytes)), 8);
    mounted_end(&m);
    CHECK_EQ(pread(fd, bytes, sizeof(bytes), 0), -1);
    CHECK_EQ(errno, ENOTCONN);
}

static void *read_until_the_end(void *arg)
{
    char bytes[64];

    while (pread(*(int *)arg, bytes, sizeof(bytes), 0) > 0)
        ;
    return NULL;
}

TEST(readers_that_never_rest_do_not_hold_up_the_end)
{
    struct mounted m = mounted_begin(1);
    pthread_t threads[32];
    int fd = open_at(&m, "vol00001/status", O_RDONLY);
    time_t begin;

    for (size_t i = 0; i < ARRAY_N(threads); i++)
        REQUIRE(pthread_create(&threads[i], NULL, read_until_the_end, &fd) == 0);
    begin = time(NULL);
    mounted_end(&m);
    CHECK(time(NULL) - begin <= 2);
    for (size_t i = 0; i < ARRAY_N(threads); i++)
        pthread_join(threads[i], NULL);
    close(fd);
}

TEST(names_with_blanks_and_relative_paths_will_do)
{
    struct mounted m = {0};
    char path[64];

    strcpy(m.dir, "a b\tc");
    snprintf(path, sizeof(path), "%s", make_dir());
    REQUIRE(chdir(path) == 0 && mkdir(m.dir, 0700) == 0);
    for (int i = 0; i < 2; i++) {
        pid_t pid = start_daemon(m.dir, "--serve");

        kill(pid, SIGKILL);
        reap(pid);
    }
    m.service = service_begin(1);
    mounted_open(&m);
    REQUIRE(chdir("/") == 0);
    mount_close(m.mount);
    service_end(m.service);
    REQUIRE(chdir(path) == 0);
    CHECK_EQ(rmdir(m.dir), 0);
    REQUIRE(chdir("/") == 0);
    CHECK_EQ(rmdir(path), 0);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--serve") == 0)
        return serve(argv[2], false);
    if (argc == 3 && strcmp(argv[1], "--serve-busily") == 0)
        return serve(argv[2], true);
    return check_main(argc, argv);
}
