#include <dirent.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "tests/unit/mounted.h"

TEST(a_file_reads_as_its_value_and_a_newline)
{
    struct mounted m = mounted_begin(3);

    CHECK_STR(text_at(&m, "vol00002/status"), "available\n");
    CHECK_STR(text_at(&m, "vol00001/migrate/target"), "ssd\n");
    CHECK_STR(text_at(&m, ".control/health"), "ok\n");
    CHECK_STR(text_at(&m, ".control/hosts/hdd/address"), "/srv/hdd\n");
    mounted_end(&m);
}

TEST(a_read_at_0_is_anew_and_the_others_go_on)
{
    struct mounted m = mounted_begin(1);
    OWNED(fd) int fd = open_at(&m, "vol00001/status", O_RDONLY);
    char bytes[64];

    CHECK_EQ(pread(fd, bytes, 4, 0), 4);
    change_volume(m.service, 1, begin_job, JOB_EVENTS);
    CHECK_EQ(pread(fd, bytes, sizeof(bytes), 4), 6);
    CHECK(memcmp(bytes, "lable\n", 6) == 0);
    CHECK_EQ(pread(fd, bytes, sizeof(bytes), 10), 0);
    CHECK_EQ(pread(fd, bytes, sizeof(bytes), 1 << 20), 0);
    CHECK_EQ(pread(fd, bytes, sizeof(bytes), 0), 10);
    CHECK(memcmp(bytes, "migrating\n", 10) == 0);
    mounted_end(&m);
}

TEST(st_size_is_true_and_mtime_is_that_of_the_value)
{
    struct mounted m = mounted_begin(1);
    struct stat st;

    CHECK_EQ(stat(at(&m, "vol00001/status"), &st), 0);
    CHECK_EQ(st.st_size, 10);
    CHECK_EQ(st.st_mtime, 1700000000 + EVENT_STATUS);
    CHECK_EQ(st.st_mtim.tv_nsec, 5);
    CHECK_EQ(st.st_mode, S_IFREG | 0444);
    CHECK_EQ(st.st_nlink, 1);
    change_volume(m.service, 1, begin_job, JOB_EVENTS);
    CHECK_EQ(stat(at(&m, "vol00001/migrate/status"), &st), 0);
    CHECK_EQ(st.st_size, 10);
    CHECK_EQ(st.st_mtim.tv_nsec, 6);
    CHECK_EQ(stat(at(&m, "vol00001/migrate/target"), &st), 0);
    CHECK_EQ(st.st_mode, S_IFREG | 0664);
    CHECK_EQ(st.st_uid, 0);
    CHECK_EQ(st.st_gid, 6);
    mounted_end(&m);
}

static void fail_job(struct view_volume *volume)
{
    volume->result = "error";
    volume->status = VOLUME_ERROR;
}

static off_t size_at(const struct mounted *m, const char *name)
{
    struct stat st = {0};

    CHECK_EQ(stat(at(m, name), &st), 0);
    return st.st_size;
}

/* Just before the change the kernel was told that it may remember. */
TEST(st_size_is_true_at_once_after_a_change)
{
    struct mounted m = mounted_begin(2);

    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(size_at(&m, "vol00002/status"), 10);
        change_volume(m.service, 2, fail_job, JOB_EVENTS);
        CHECK_EQ(size_at(&m, "vol00002/status"), 6);
        CHECK_EQ(size_at(&m, "vol00002/migrate/status"), 6);
        CHECK_EQ(size_at(&m, "vol00001/status"), 10);
        change_volume(m.service, 2, end_job, JOB_EVENTS);
        CHECK_EQ(size_at(&m, "vol00002/migrate/status"), 8);
    }
    mounted_end(&m);
}

TEST(directories_tell_how_many_are_in_them_and_since_when)
{
    struct mounted m = mounted_begin(3);
    struct stat st;

    CHECK_EQ(stat(m.dir, &st), 0);
    CHECK_EQ(st.st_nlink, 2 + 3 + 1);
    CHECK_EQ(st.st_mode, S_IFDIR | 0555);
    CHECK_EQ(st.st_mtime, 1700000000 + EVENT_MEMBERS);
    CHECK_EQ(st.st_ino, 1);
    CHECK_EQ(stat(at(&m, "vol00002"), &st), 0);
    CHECK_EQ(st.st_nlink, 3);
    CHECK_EQ(stat(at(&m, ".control/hosts"), &st), 0);
    CHECK_EQ(st.st_nlink, 4);
    remove_volume(m.service, 3);
    CHECK_EQ(stat(m.dir, &st), 0);
    CHECK_EQ(st.st_nlink, 2 + 2 + 1);
    mounted_end(&m);
}

TEST(a_shared_mapping_shows_the_value)
{
    struct mounted m = mounted_begin(1);
    const char *names[] = {"vol00001/status", "vol00001/migrate/target"};

    for (size_t i = 0; i < ARRAY_N(names); i++) {
        OWNED(fd) int fd = open_at(&m, names[i], O_RDONLY);
        char *bytes = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

        REQUIRE(bytes != MAP_FAILED);
        CHECK_STR(bytes, text_at(&m, names[i]));
        munmap(bytes, 4096);
        change_volume(m.service, 1, begin_job, JOB_EVENTS);
        bytes = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        REQUIRE(bytes != MAP_FAILED);
        CHECK_STR(bytes, text_at(&m, names[i]));
        munmap(bytes, 4096);
    }
    mounted_end(&m);
}

/* The names of a directory, a blank between; their inode numbers are those of stat. */
static const char *names_of(const struct mounted *m, const char *name)
{
    static char names[4096];
    DIR *dir = opendir(at(m, name));
    struct dirent *entry;

    REQUIRE(dir);
    names[0] = '\0';
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;

        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s ", entry->d_name);
        CHECK_EQ(fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
        if (strcmp(name, "") != 0 || strcmp(entry->d_name, "..") != 0)
            CHECK_EQ(entry->d_ino, st.st_ino);
        CHECK_EQ(DTTOIF(entry->d_type), st.st_mode & S_IFMT);
    }
    closedir(dir);
    return names;
}

TEST(listings_hold_everything_but_what_blocks)
{
    struct mounted m = mounted_begin(3);

    CHECK_STR(names_of(&m, ""), ". .. .control vol00001 vol00002 vol00003 ");
    CHECK_STR(names_of(&m, "vol00002"),
              ". .. uuid size allocated host path status previous_status migrate ");
    CHECK_STR(names_of(&m, "vol00002/migrate"),
              ". .. target status phase progress eta rate stat message error abort candidates "
              "pause speed verify keep retained ");
    CHECK_STR(names_of(&m, ".control"),
              ". .. version help health jobs history metrics events hidden "
              "rescan max_jobs max_queue pause speed hosts ");
    CHECK_STR(names_of(&m, ".control/hosts"), ". .. ssd hdd ");
    CHECK_EQ(access(at(&m, "vol00002/migrate/wait"), F_OK), 0);
    mounted_end(&m);
}

TEST(a_listing_goes_on_where_it_was_while_volumes_come_and_go)
{
    struct mounted m = mounted_begin(2000);
    DIR *dir = opendir(m.dir);
    struct dirent *entry;
    unsigned n = 0, next = 1;
    long place;

    for (int i = 0; i < 3; i++)
        REQUIRE(readdir(dir));
    for (; n < 500 && (entry = readdir(dir)); n++)
        CHECK_EQ(atoi(entry->d_name + 3), next++);
    place = telldir(dir);
    remove_volume(m.service, 7);
    remove_volume(m.service, 1999);
    seekdir(dir, place);
    for (; (entry = readdir(dir)); n++) {
        next += next == 1999 ? 1 : 0;
        CHECK_EQ(atoi(entry->d_name + 3), next++);
    }
    CHECK_EQ(n, 1999);
    rewinddir(dir);
    for (n = 0; readdir(dir); n++)
        ;
    CHECK_EQ(n, 1998 + 3);
    closedir(dir);
    mounted_end(&m);
}

/* A command of bash in which $M is the mount: its exit status, and that of all of a pipe. */
static int run(const struct mounted *m, const char *command)
{
    char whole[1024];

    snprintf(whole, sizeof(whole), "M=%s bash -c 'set -e -o pipefail; %s'", m->dir, command);
    printf("# %s\n", command);
    return system(whole);
}

TEST(programs_that_read_everything_end_well)
{
    struct mounted m = mounted_begin(20);

    change_volume(m.service, 3, begin_job, JOB_EVENTS);
    CHECK_EQ(run(&m, "grep -r . $M | grep -c /vol00003/migrate/stat: | grep -qx 18"), 0);
    CHECK_EQ(run(&m, "find $M -type f | wc -l | grep -qx $((20 * (7 + 16) + 13 + 2 * 13))"), 0);
    CHECK_EQ(run(&m, "every() { find $M -type f -exec \"$@\" {} +; }; "
                     "cmp <(every cat) <(every busybox cat)"),
             0);
    CHECK_EQ(run(&m, "d=$(mktemp -d); cp -r $M $d/x; diff -r $d/x $M; rm -rf $d"), 0);
    CHECK_EQ(run(&m, "d=$(mktemp -d); tar cf - -C $M . | tar xf - -C $d; diff -r $d $M; rm -rf $d"),
             0);
    CHECK_EQ(run(&m, "tail -c 3 $M/vol00001/status | grep -qx le"), 0);
    CHECK_EQ(run(&m, "dd if=$M/vol00001/status bs=1 2>/dev/null | grep -qx available"), 0);
    CHECK_EQ(run(&m, "test $(< $M/vol00003/status) = migrating"), 0);
    CHECK_EQ(run(&m, "df $M | grep -q \" 0 \""), 0);
    mounted_end(&m);
}

TEST(a_volume_that_is_gone_answers_enoent_and_its_open_files_enodev)
{
    struct mounted m = mounted_begin(2);
    OWNED(fd) int fd = open_at(&m, "vol00001/status", O_RDONLY);
    OWNED(fd) int dir = open_at(&m, "vol00001", O_RDONLY | O_DIRECTORY);
    char bytes[64];
    struct stat st;

    CHECK_EQ(read(fd, bytes, 2), 2);
    CHECK_EQ(stat(at(&m, "vol00001"), &st), 0);
    remove_volume(m.service, 1);
    CHECK_EQ(stat(at(&m, "vol00001"), &st), -1);
    CHECK_EQ(errno, ENOENT);
    CHECK_EQ(open_at(&m, "vol00001/status", O_RDONLY), -ENOENT);
    CHECK_EQ(open_at(&m, "vol00001/migrate/target", O_WRONLY), -ENOENT);
    CHECK_EQ(open_at(&m, "vol00001", O_RDONLY | O_DIRECTORY), -ENOENT);
    CHECK_EQ(read(fd, bytes, sizeof(bytes)), 8);
    CHECK_EQ(pread(fd, bytes, 10, 0), -1);
    CHECK_EQ(errno, ENODEV);
    CHECK_EQ(openat(dir, "status", O_RDONLY), -1);
    CHECK(errno == ENOENT || errno == ESTALE);
    CHECK_STR(text_at(&m, "vol00002/status"), "available\n");
    mounted_end(&m);
}

static void rename_to_1(struct view_volume *volume)
{
    strcpy(volume->name, "vol00001");
}

TEST(a_name_that_another_volume_takes_over_leads_to_that_volume)
{
    struct mounted m = mounted_begin(2);

    CHECK(strstr(text_at(&m, "vol00001/uuid"), "0001\n") != NULL);
    remove_volume(m.service, 1);
    change_volume(m.service, 2, rename_to_1, JOB_EVENTS);
    CHECK(strstr(text_at(&m, "vol00001/uuid"), "0002\n") != NULL);
    mounted_end(&m);
}

TEST(names_that_are_not_there_are_enoent_at_any_depth)
{
    struct mounted m = mounted_begin(1);
    char name[300];

    memset(name, 'n', sizeof(name));
    name[255] = '\0';
    CHECK_EQ(open_at(&m, name, O_RDONLY), -ENOENT);
    name[255] = 'n';
    name[256] = '\0';
    CHECK_EQ(open_at(&m, name, O_RDONLY), -ENAMETOOLONG);
    CHECK_EQ(open_at(&m, "ssd", O_RDONLY), -ENOENT);
    CHECK_EQ(open_at(&m, "migrate", O_RDONLY), -ENOENT);
    CHECK_EQ(open_at(&m, "vol00001/hosts", O_RDONLY), -ENOENT);
    CHECK_EQ(open_at(&m, ".control/hosts/vol00001", O_RDONLY), -ENOENT);
    CHECK_EQ(open_at(&m, "vol00001/migrate/migrate/x", O_RDONLY), -ENOENT);
    CHECK_EQ(open_at(&m, "vol00001/status/x", O_RDONLY), -ENOTDIR);
    mounted_end(&m);
}

TEST(statfs_reports_nothing_so_that_df_is_silent)
{
    struct mounted m = mounted_begin(1);
    struct statvfs st;

    CHECK_EQ(statvfs(m.dir, &st), 0);
    CHECK_EQ(st.f_blocks, 0);
    CHECK_EQ(st.f_namemax, 255);
    CHECK(st.f_flag & ST_NOSUID && st.f_flag & ST_NODEV && st.f_flag & ST_NOEXEC);
    mounted_end(&m);
}

/* In a child that is uid 65534 in the groups given. */
static int as_nobody(const struct mounted *m, gid_t group, const char *name, int flags)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        int fd = setgroups(0, NULL) == 0 && setgid(group) == 0 && setuid(65534) == 0
                     ? open(at(m, name), flags)
                     : -1;

        _exit(fd < 0 ? errno : 0);
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

TEST(who_may_open_what_is_said_by_the_modes)
{
    struct mounted m = mounted_begin(1);

    CHECK_EQ(as_nobody(&m, 65534, "vol00001/status", O_RDONLY), 0);
    CHECK_EQ(as_nobody(&m, 65534, "vol00001/path", O_RDONLY), EACCES);
    CHECK_EQ(as_nobody(&m, 65534, ".control/hidden", O_RDONLY), EACCES);
    CHECK_EQ(as_nobody(&m, 65534, ".control/hosts/ssd/address", O_RDONLY), EACCES);
    CHECK_EQ(as_nobody(&m, 65534, "vol00001/migrate/target", O_RDONLY), 0);
    CHECK_EQ(as_nobody(&m, 65534, "vol00001/migrate/target", O_WRONLY), EACCES);
    CHECK_EQ(as_nobody(&m, 6, "vol00001/migrate/target", O_WRONLY), 0);
    CHECK_EQ(as_nobody(&m, 6, "vol00001/status", O_WRONLY), EACCES);
    mounted_end(&m);
}

static void *write_max_jobs(void *arg)
{
    CHECK_EQ(write_at(arg, ".control/max_jobs", "3\n"), 0);
    return NULL;
}

TEST(a_thread_that_serves_no_more_is_noticed)
{
    struct mounted m = mounted_begin(1);
    pthread_t writer;

    for (int i = 0; i < 100; i++)
        CHECK(mount_is_alive(m.mount));
    pthread_mutex_lock(&m.service->lock); /* a thread hands the command on, and stays there */
    REQUIRE(pthread_create(&writer, NULL, write_max_jobs, &m) == 0);
    until_true(!mount_is_alive(m.mount));
    CHECK(!mount_is_alive(m.mount));
    pthread_mutex_unlock(&m.service->lock);
    pthread_join(writer, NULL);
    until_true(mount_is_alive(m.mount));
    CHECK_STR(text_at(&m, "vol00001/status"), "available\n");
    CHECK(mount_is_alive(m.mount));
    mounted_end(&m);
}

TEST_MAIN
