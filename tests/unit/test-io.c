#include "copy/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "tests/unit/check.h"

/* A folder of our own as the current directory, gone at the end of the process. */
static char folder[] = "/tmp/ferryfs-test-io-XXXXXX";

static void remove_folder(void)
{
    char *const argv[] = {(char[]){"rm"}, (char[]){"-rf"}, folder, NULL};
    pid_t pid = fork();

    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static int fresh_folder(void)
{
    static int dirfd = -1;

    if (dirfd < 0) {
        REQUIRE(mkdtemp(folder) != NULL);
        atexit(remove_folder);
        dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        REQUIRE(dirfd >= 0);
    }
    return dirfd;
}

static void make_file(int dirfd, const char *name, const char *text)
{
    OWNED(fd) int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    REQUIRE(fd >= 0 && io_write(fd, text, strlen(text)) == 0);
}

static int n_open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void *write_in_drops(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        if (write(*(int *)arg, "ab", 2) != 2)
            break;
    }
    close(*(int *)arg);
    return NULL;
}

TEST(a_read_goes_on_until_all_is_there_or_the_end)
{
    int pipe_fds[2];
    char buf[2000];
    pthread_t thread;
    size_t n = 77;

    REQUIRE(pipe2(pipe_fds, O_CLOEXEC) == 0);
    REQUIRE(pthread_create(&thread, NULL, write_in_drops, &pipe_fds[1]) == 0);
    CHECK_EQ(io_read(pipe_fds[0], buf, 1500, NULL), 0);
    CHECK_EQ(io_read(pipe_fds[0], buf, 1000, &n), 0);
    CHECK_EQ(n, 500);
    CHECK_EQ(io_read(pipe_fds[0], buf, 1, NULL), -ENODATA);
    CHECK_EQ(io_read(pipe_fds[0], buf, 0, NULL), 0);
    pthread_join(thread, NULL);
    close(pipe_fds[0]);
}

TEST(reads_and_writes_at_an_offset_leave_the_position_alone)
{
    OWNED(fd) int fd = openat(fresh_folder(), "offsets", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char buf[8] = {0};
    size_t n;

    CHECK_EQ(io_pwrite(fd, "hello", 5, 100), 0);
    CHECK_EQ(io_pread(fd, buf, 5, 100, NULL), 0);
    CHECK_STR(buf, "hello");
    CHECK_EQ(io_pread(fd, buf, 8, 101, &n), 0);
    CHECK_EQ(n, 4);
    CHECK_EQ(io_pread(fd, buf, 8, 101, NULL), -ENODATA);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
    CHECK_EQ(io_sync(fd), 0);
}

TEST(an_offset_outside_of_any_file_is_refused)
{
    OWNED(fd) int fd = openat(fresh_folder(), "outside", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char byte = 0;
    size_t n = 77;

    CHECK_EQ(io_pread(fd, &byte, 1, UINT64_MAX, &n), -EINVAL);
    CHECK_EQ(n, 0);
    CHECK_EQ(io_pread(fd, &byte, 1, INT64_MAX, NULL), -EINVAL);
    CHECK_EQ(io_pwrite(fd, &byte, 1, UINT64_MAX - 1), -EINVAL);
    CHECK_EQ(io_pwrite(fd, &byte, 1, INT64_MAX), -EINVAL);
}

TEST(errors_of_the_system_come_back)
{
    OWNED(fd) int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    OWNED(fd) int dir = dup(fresh_folder());
    char buf[16];
    size_t n = 77;

    CHECK_EQ(io_write(full, "x", 1), -ENOSPC);
    CHECK_EQ(io_pwrite(full, "x", 1, 0), -ENOSPC);
    CHECK_EQ(io_read(dir, buf, 16, &n), -EISDIR);
    CHECK_EQ(n, 0);
    CHECK_EQ(io_write(-1, "x", 1), -EBADF);
    CHECK_EQ(io_sync(-1), -EBADF);
}

TEST(nothing_but_the_named_file_is_opened_beneath)
{
    int dirfd = fresh_folder();
    OWNED(fd) int fd = -1;

    make_file(dirfd, "plain", "x");
    REQUIRE(symlinkat("plain", dirfd, "link") == 0);
    REQUIRE(symlinkat("/proc/self/exe", dirfd, "magic") == 0);
    fd = io_open_beneath(dirfd, "plain", O_RDWR, 0);
    REQUIRE(fd >= 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(io_open_beneath(dirfd, "link", O_RDONLY, 0), -ELOOP);
    CHECK_EQ(io_open_beneath(dirfd, "link", O_PATH, 0), -ELOOP);
    CHECK_EQ(io_open_beneath(dirfd, "magic", O_RDONLY, 0), -ELOOP);
    CHECK_EQ(io_open_beneath(dirfd, "..", O_RDONLY, 0), -EXDEV);
    CHECK_EQ(io_open_beneath(dirfd, "/etc/passwd", O_RDONLY, 0), -EINVAL);
    CHECK_EQ(io_open_beneath(dirfd, "./plain", O_RDONLY, 0), -EINVAL);
    CHECK_EQ(io_open_beneath(dirfd, "plain/", O_RDONLY, 0), -EINVAL);
    CHECK_EQ(io_open_beneath(dirfd, "none", O_RDONLY, 0), -ENOENT);
    CHECK_EQ(io_open_beneath(dirfd, "", O_RDONLY, 0), -ENOENT);
}

TEST(a_file_is_made_with_its_mode_and_never_through_a_symlink)
{
    int dirfd = fresh_folder();
    OWNED(fd) int fd = io_open_beneath(dirfd, "made", O_RDWR | O_CREAT | O_EXCL, 0600);
    struct stat st;

    REQUIRE(fd >= 0 && fstat(fd, &st) == 0);
    CHECK_EQ(st.st_mode & 07777, 0600);
    CHECK_EQ(io_open_beneath(dirfd, "made", O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
    REQUIRE(symlinkat("not-yet", dirfd, "dangling") == 0);
    CHECK_EQ(io_open_beneath(dirfd, "dangling", O_RDWR | O_CREAT, 0600), -ELOOP);
    CHECK_EQ(faccessat(dirfd, "not-yet", F_OK, 0), -1);
}

TEST(only_a_regular_file_with_one_link_is_a_regular_file)
{
    int dirfd = fresh_folder();

    make_file(dirfd, "two-links", "x");
    REQUIRE(linkat(dirfd, "two-links", dirfd, "second", 0) == 0);
    REQUIRE(symlinkat("offsets", dirfd, "to-regular") == 0);
    REQUIRE(mkfifoat(dirfd, "fifo", 0600) == 0);
    REQUIRE(mkdirat(dirfd, "dir", 0700) == 0);
    CHECK_EQ(io_open_regular(dirfd, "two-links", O_RDONLY), -EMLINK);
    CHECK_EQ(io_open_regular(dirfd, "to-regular", O_RDONLY), -EMEDIUMTYPE);
    CHECK_EQ(io_open_regular(dirfd, "fifo", O_RDONLY), -EMEDIUMTYPE);
    CHECK_EQ(io_open_regular(dirfd, "fifo", O_RDWR), -EMEDIUMTYPE);
    CHECK_EQ(io_open_regular(dirfd, "dir", O_RDONLY), -EMEDIUMTYPE);
    CHECK_EQ(io_open_regular(dirfd, ".", O_RDONLY), -EMEDIUMTYPE);
    CHECK_EQ(io_open_regular(dirfd, "..", O_RDONLY), -EXDEV);
    CHECK_EQ(io_open_regular(dirfd, "dir/x", O_RDONLY), -EINVAL);
    CHECK_EQ(io_open_regular(dirfd, "none", O_RDONLY), -ENOENT);
    if (geteuid() == 0 && mknodat(dirfd, "null", S_IFCHR | 0600, makedev(1, 3)) == 0)
        CHECK_EQ(io_open_regular(dirfd, "null", O_RDONLY), -EMEDIUMTYPE);
}

TEST(a_regular_file_opens_for_blocking_use)
{
    int dirfd = fresh_folder();
    OWNED(fd) int fd = -1;
    char buf[4] = {0};

    make_file(dirfd, "volume", "abc");
    fd = io_open_regular(dirfd, "volume", O_RDWR);
    REQUIRE(fd >= 0);
    CHECK_EQ(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_RDWR);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(io_pread(fd, buf, 3, 0, NULL), 0);
    CHECK_STR(buf, "abc");
}

TEST(a_lease_of_another_holds_no_open_up)
{
    int dirfd = fresh_folder();
    OWNED(fd) int leased = -1;

    make_file(dirfd, "leased", "x");
    leased = io_open_regular(dirfd, "leased", O_RDONLY);
    signal(SIGIO, SIG_IGN);
    REQUIRE(leased >= 0 && fcntl(leased, F_SETLEASE, F_RDLCK) == 0);
    CHECK_EQ(io_open_regular(dirfd, "leased", O_RDWR), -EAGAIN);
}

/* In a process and mount namespace of its own; its exit status is that of the checks. */
static int mounted_over(void)
{
    OWNED(fd) int dirfd = -1;

    if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return 77;
    if (chdir(folder) < 0 || mount("cover", "covered", NULL, MS_BIND, NULL) < 0)
        return 1;
    dirfd = open(".", O_PATH | O_CLOEXEC);
    return io_open_regular(dirfd, "covered", O_RDONLY) != -EXDEV ||
           io_open_beneath(dirfd, "covered", O_RDONLY, 0) != -EXDEV;
}

TEST(what_is_mounted_over_a_file_is_not_opened)
{
    int dirfd = fresh_folder(), status = -1;
    pid_t pid;

    make_file(dirfd, "cover", "cover");
    make_file(dirfd, "covered", "covered");
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(mounted_over());
    REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        puts("# no mount namespace to be had here: not looked at");
    else
        CHECK_EQ(WEXITSTATUS(status), 0);
}

TEST(an_identity_follows_the_file_not_the_name)
{
    int dirfd = fresh_folder();
    struct io_identity before, by_name, by_fd, after;
    OWNED(fd) int fd = -1;
    struct stat st, direct;

    make_file(dirfd, "who", "x");
    REQUIRE(io_identify_at(dirfd, "who", &before, NULL) == 0);
    REQUIRE(renameat(dirfd, "who", dirfd, "who-else") == 0);
    make_file(dirfd, "who", "y");
    REQUIRE(io_identify_at(dirfd, "who-else", &by_name, &st) == 0);
    REQUIRE(fstatat(dirfd, "who-else", &direct, 0) == 0);
    fd = io_open_regular(dirfd, "who-else", O_RDONLY);
    REQUIRE(io_identify(fd, &by_fd) == 0);
    REQUIRE(io_identify_at(dirfd, "who", &after, NULL) == 0);
    CHECK(io_same(&before, &by_name) && io_same(&before, &by_fd));
    CHECK(!io_same(&before, &after));
    CHECK(memcmp(&st, &direct, sizeof(st)) == 0);
    CHECK_EQ(io_identify_at(dirfd, "none", &after, NULL), -ENOENT);
    CHECK_EQ(io_identify(-1, &after), -EBADF);
}

TEST(a_symlink_is_identified_itself)
{
    int dirfd = fresh_folder();
    struct io_identity link, target;
    struct stat st;

    make_file(dirfd, "pointed-at", "x");
    REQUIRE(symlinkat("pointed-at", dirfd, "pointer") == 0);
    REQUIRE(io_identify_at(dirfd, "pointer", &link, &st) == 0);
    REQUIRE(io_identify_at(dirfd, "pointed-at", &target, NULL) == 0);
    CHECK(S_ISLNK(st.st_mode));
    CHECK(!io_same(&link, &target));
}

static void socket_pair(int socks[2])
{
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) == 0);
}

TEST(a_message_travels_with_its_descriptor)
{
    int socks[2], fd = 77;
    char buf[16] = {0};
    struct io_identity sent, received;
    size_t n;

    socket_pair(socks);
    CHECK_EQ(io_send(socks[0], "hello", 5, fresh_folder()), 0);
    CHECK_EQ(io_send(socks[0], "plain", 5, -1), 0);
    CHECK_EQ(io_receive(socks[1], buf, sizeof(buf), &n, &fd), 0);
    CHECK_EQ(n, 5);
    CHECK_STR(buf, "hello");
    REQUIRE(io_identify(fresh_folder(), &sent) == 0 && io_identify(fd, &received) == 0);
    CHECK(io_same(&sent, &received));
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    CHECK_EQ(io_receive(socks[1], buf, sizeof(buf), &n, &fd), 0);
    CHECK_EQ(n, 5);
    CHECK_EQ(fd, -1);
    close(socks[0]);
    CHECK_EQ(io_receive(socks[1], buf, sizeof(buf), &n, &fd), 0);
    CHECK_EQ(n, 0);
    CHECK_EQ(io_send(socks[1], "x", 1, -1), -EPIPE);
    close(socks[1]);
}

TEST(a_message_that_does_not_fit_leaks_no_descriptor)
{
    int socks[2], fd = 77, before;
    char buf[4];
    size_t n = 77;

    socket_pair(socks);
    before = n_open_fds();
    CHECK_EQ(io_send(socks[0], "hello", 5, fresh_folder()), 0);
    CHECK_EQ(io_receive(socks[1], buf, sizeof(buf), &n, &fd), -EMSGSIZE);
    CHECK_EQ(n, 77);
    CHECK_EQ(fd, 77);
    CHECK_EQ(n_open_fds(), before);
    close(socks[0]);
    close(socks[1]);
}

TEST(a_stranger_who_sends_two_descriptors_is_refused_both)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    int socks[2], fd = 77, two[2] = {STDOUT_FILENO, STDOUT_FILENO}, before;
    char buf[4];
    struct iovec iov = {buf, 1};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
    size_t n;

    socket_pair(socks);
    before = n_open_fds();
    hdr.msg_controllen = sizeof(control.space);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(two));
    memcpy(CMSG_DATA(&control.header), two, sizeof(two));
    buf[0] = 'x';
    REQUIRE(sendmsg(socks[0], &hdr, 0) == 1);
    CHECK_EQ(io_receive(socks[1], buf, sizeof(buf), &n, &fd), -EMSGSIZE);
    CHECK_EQ(n_open_fds(), before);
    close(socks[0]);
    close(socks[1]);
}

TEST(a_parcel_keeps_a_file_open_and_gives_it_as_often_as_it_is_asked)
{
    int fd = memfd_create("parcel", MFD_CLOEXEC), parcel, again, socks[2];
    char byte = 0;

    REQUIRE(fd >= 0 && write(fd, "x", 1) == 1);
    parcel = io_wrap(fd);
    REQUIRE(parcel >= 0);
    CHECK_EQ(fcntl(parcel, F_GETFD), FD_CLOEXEC);
    close(fd);
    for (int i = 0; i < 3; i++) {
        again = io_unwrap(parcel);
        REQUIRE(again >= 0 && again != parcel);
        CHECK_EQ(fcntl(again, F_GETFD), FD_CLOEXEC);
        CHECK(pread(again, &byte, 1, 0) == 1 && byte == 'x');
        CHECK_EQ(io_unwrap(again), again);
        close(again);
    }
    again = io_unwrap_last(parcel);
    CHECK(pread(again, &byte, 1, 0) == 1 && byte == 'x');
    CHECK_EQ(io_unwrap_last(again), again);
    close(again);
    CHECK(io_unwrap(parcel) < 0);
    CHECK(io_unwrap_last(parcel) < 0);
    close(parcel);
    CHECK_EQ(io_wrap(-1), -EBADF);
    socket_pair(socks);
    CHECK_EQ(io_unwrap(socks[0]), -EAGAIN);
    CHECK_EQ(io_send(socks[1], "", 1, -1), 0);
    CHECK_EQ(io_unwrap(socks[0]), -EBADMSG);
    close(socks[0]);
    close(socks[1]);
}

TEST(a_full_socket_says_so_at_once)
{
    int socks[2], r = 0;

    socket_pair(socks);
    for (int i = 0; i < 100000 && r == 0; i++)
        r = io_send(socks[0], "message", 7, -1);
    CHECK_EQ(r, -EAGAIN);
    close(socks[0]);
    close(socks[1]);
}

TEST(the_clock_does_not_go_back)
{
    uint64_t before = io_now_ns();

    CHECK(before > 0 && io_now_ns() >= before);
}

TEST_MAIN
