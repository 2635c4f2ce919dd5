#include <grp.h>
#include <sys/syscall.h>

#include "fs/mount/state.h"
#include "tests/unit/mounted.h"

#ifdef FERRYFS_SANITIZED
const char *__lsan_default_suppressions(void);

/* libfuse keeps an INTERRUPT that came after the answer until the next request, and what it has
 * kept to the end it never frees (check_interrupt() and fuse_session_destroy() of 3.14). A request
 * of ours that nobody answers shows otherwise: its client hangs. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfuse3.so";
}
#endif

TEST(what_blocks_answers_at_once_when_it_is_ready)
{
    struct mounted m = mounted_begin(1);
    OWNED(fd) int fd = open_at(&m, "vol00001/migrate/wait", O_RDONLY);
    char bytes[64];

    CHECK_STR(text_at(&m, "vol00001/migrate/wait"), "null\n");
    CHECK_EQ(polled(fd, POLLIN, 0), POLLIN);
    CHECK_EQ(read(fd, bytes, 2), 2);
    change_volume(m.service, 1, begin_job, JOB_EVENTS);
    CHECK_EQ(read(fd, bytes, sizeof(bytes)), 3);
    CHECK_EQ(read(fd, bytes, sizeof(bytes)), 0);
    CHECK_EQ(polled(fd, POLLIN, 0), 0);
    CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(pread(fd, bytes, sizeof(bytes), 0), -1);
    CHECK_EQ(errno, EAGAIN);
    mounted_end(&m);
}

struct reader {
    const struct mounted *m;
    int fd;
    ssize_t n;
    int error;
    char bytes[64];
    _Atomic pid_t tid;
    pthread_t thread;
};

static void *read_wait(void *arg)
{
    struct reader *reader = arg;

    atomic_store(&reader->tid, gettid());
    reader->n = read(reader->fd, reader->bytes, sizeof(reader->bytes) - 1);
    reader->error = reader->n < 0 ? errno : 0;
    return NULL;
}

/* A job runs, and a thread sleeps in a read of `wait`. */
static void reader_begin(struct reader *reader, struct mounted *m)
{
    change_volume(m->service, 1, begin_job, JOB_EVENTS);
    reader->fd = open_at(m, "vol00001/migrate/wait", O_RDONLY);
    REQUIRE(pthread_create(&reader->thread, NULL, read_wait, reader) == 0);
    until_true(atomic_load(&reader->tid) && sleeps_in(atomic_load(&reader->tid), SYS_read));
}

TEST(what_blocks_is_answered_when_the_job_ends)
{
    struct mounted m = mounted_begin(2);
    struct reader readers[5] = {0};

    for (size_t i = 0; i < ARRAY_N(readers); i++)
        reader_begin(&readers[i], &m);
    change_volume(m.service, 2, end_job, JOB_EVENTS);
    change_volume(m.service, 1, begin_job, JOB_EVENTS);
    CHECK(sleeps_in(atomic_load(&readers[0].tid), SYS_read));
    change_volume(m.service, 1, end_job, JOB_EVENTS);
    for (size_t i = 0; i < ARRAY_N(readers); i++) {
        pthread_join(readers[i].thread, NULL);
        CHECK_STR(readers[i].bytes, "success\n");
        CHECK_EQ(read(readers[i].fd, readers[i].bytes, 10), 0);
        close(readers[i].fd);
    }
    mounted_end(&m);
}

static void on_signal(int number)
{
    (void)number;
}

TEST(a_signal_ends_a_read_that_blocks)
{
    struct mounted m = mounted_begin(1);
    const struct sigaction action = {.sa_handler = on_signal};
    struct reader reader = {0};

    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    reader_begin(&reader, &m);
    pthread_kill(reader.thread, SIGUSR1);
    pthread_join(reader.thread, NULL);
    CHECK_EQ(reader.n, -1);
    CHECK_EQ(reader.error, EINTR);
    close(reader.fd);
    mounted_end(&m);
}

TEST(sigkill_ends_a_process_that_blocks)
{
    struct mounted m = mounted_begin(1);
    char command[256];

    change_volume(m.service, 1, begin_job, JOB_EVENTS);
    snprintf(command, sizeof(command), "timeout -s KILL 0.3 cat %s",
             at(&m, "vol00001/migrate/wait"));
    CHECK_EQ(WEXITSTATUS(system(command)), 128 + SIGKILL);
    mounted_end(&m);
}

static bool has_parked(struct mount *mount)
{
    bool has;

    pthread_mutex_lock(&mount->lock);
    has = mount->parked != NULL;
    pthread_mutex_unlock(&mount->lock);
    return has;
}

TEST(closing_the_descriptor_ends_a_read_that_blocks)
{
    struct mounted m = mounted_begin(1);
    struct reader reader = {0};

    reader_begin(&reader, &m);
    until_true(has_parked(m.mount)); /* a close that overtakes the read ends nothing */
    /* Past the eyes of a race detector, to which this is what no program should do. */
    CHECK_EQ(syscall(SYS_close, reader.fd), 0);
    pthread_join(reader.thread, NULL);
    CHECK_EQ(reader.n, -1);
    CHECK_EQ(reader.error, EINTR);
    mounted_end(&m);
}

TEST(a_child_that_closes_its_copy_ends_nothing)
{
    struct mounted m = mounted_begin(1);
    struct reader reader = {0};
    int status;
    pid_t pid;

    reader_begin(&reader, &m);
    pid = fork();
    if (pid == 0)
        _exit(close(reader.fd) == 0 ? 0 : 1);
    waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    CHECK(sleeps_in(atomic_load(&reader.tid), SYS_read));
    change_volume(m.service, 1, end_job, JOB_EVENTS);
    pthread_join(reader.thread, NULL);
    CHECK_STR(reader.bytes, "success\n");
    close(reader.fd);
    mounted_end(&m);
}

TEST(a_volume_that_goes_ends_a_read_that_blocks)
{
    struct mounted m = mounted_begin(1);
    struct reader reader = {0};

    reader_begin(&reader, &m);
    remove_volume(m.service, 1);
    pthread_join(reader.thread, NULL);
    CHECK_EQ(reader.error, ENODEV);
    close(reader.fd);
    mounted_end(&m);
}

TEST(closing_the_mount_ends_a_read_that_blocks)
{
    struct mounted m = mounted_begin(1);
    struct reader reader = {0};

    reader_begin(&reader, &m);
    mounted_end(&m);
    pthread_join(reader.thread, NULL);
    CHECK_EQ(reader.error, EINTR);
    close(reader.fd);
}

TEST(one_user_may_hold_256_files_that_block_and_no_more)
{
    struct mounted m = mounted_begin(1);
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        int n = 0;

        if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
            _exit(1);
        while (open_at(&m, "vol00001/migrate/wait", O_RDONLY) >= 0)
            n++;
        _exit(n == 256 && open_at(&m, "vol00001/migrate/wait", O_RDONLY) == -EMFILE &&
                      open_at(&m, "vol00001/status", O_RDONLY) >= 0
                  ? 0
                  : 1);
    }
    waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    CHECK_STR(text_at(&m, "vol00001/migrate/wait"), "null\n");
    mounted_end(&m);
}

struct waiter {
    int fd;
    atomic_bool over;
    atomic_uint n_read;
};

static void *wait_again_and_again(void *arg)
{
    struct waiter *waiter = arg;
    char bytes[64];

    while (!atomic_load(&waiter->over)) {
        CHECK(pread(waiter->fd, bytes, sizeof(bytes), 0) > 0);
        atomic_fetch_add(&waiter->n_read, 1);
    }
    return NULL;
}

/* Jobs that end in the very moment in which a reader lies down. */
TEST(no_end_of_a_job_is_missed)
{
    struct mounted m = mounted_begin(1);
    struct waiter waiters[3] = {0};
    pthread_t threads[ARRAY_N(waiters)];

    for (size_t i = 0; i < ARRAY_N(waiters); i++) {
        waiters[i].fd = open_at(&m, "vol00001/migrate/wait", O_RDONLY);
        REQUIRE(pthread_create(&threads[i], NULL, wait_again_and_again, &waiters[i]) == 0);
    }
    for (int i = 0; i < 3000 && check_failures == 0; i++) {
        unsigned seen[ARRAY_N(waiters)];

        change_volume(m.service, 1, begin_job, JOB_EVENTS);
        for (volatile int spin = 0; spin < i % 500; spin++)
            ;
        for (size_t w = 0; w < ARRAY_N(waiters); w++)
            seen[w] = atomic_load(&waiters[w].n_read);
        change_volume(m.service, 1, end_job, JOB_EVENTS);
        for (size_t w = 0; w < ARRAY_N(waiters); w++)
            until_true(atomic_load(&waiters[w].n_read) > seen[w]);
    }
    for (size_t i = 0; i < ARRAY_N(waiters); i++)
        atomic_store(&waiters[i].over, true);
    change_volume(m.service, 1, end_job, JOB_EVENTS);
    for (size_t i = 0; i < ARRAY_N(waiters); i++) {
        pthread_join(threads[i], NULL);
        close(waiters[i].fd);
    }
    mounted_end(&m);
}

static atomic_bool storm_over;

static void *storm(void *arg)
{
    const struct mounted *m = arg;

    while (!atomic_load(&storm_over)) {
        OWNED(fd) int fd = open_at(m, "vol00001/migrate/progress", O_RDWR | O_NONBLOCK);
        OWNED(fd) int status = open_at(m, "vol00001/status", O_RDONLY);
        OWNED(fd) int wait = open_at(m, "vol00001/migrate/wait", O_RDONLY | O_NONBLOCK);
        char bytes[64];
        ssize_t n = read(wait, bytes, sizeof(bytes));

        CHECK(n > 0 || errno == EAGAIN);
        polled(status, POLLPRI, 1);
        n = pread(status, bytes, sizeof(bytes), 0);
        CHECK_EQ(n, 10);
        polled(wait, POLLIN, 1);
    }
    return NULL;
}

TEST(readers_pollers_and_changes_do_not_disturb_each_other)
{
    struct mounted m = mounted_begin(3);
    struct reader reader = {0};
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_N(threads); i++)
        REQUIRE(pthread_create(&threads[i], NULL, storm, &m) == 0);
    for (int i = 0; i < 100; i++) {
        reader = (struct reader){0};
        reader_begin(&reader, &m);
        change_volume(m.service, 1, end_job, JOB_EVENTS);
        pthread_join(reader.thread, NULL);
        CHECK_STR(reader.bytes, "success\n");
        close(reader.fd);
    }
    atomic_store(&storm_over, true);
    for (size_t i = 0; i < ARRAY_N(threads); i++)
        pthread_join(threads[i], NULL);
    mounted_end(&m);
}

TEST_MAIN
