#include <sys/mman.h>

#include "tests/unit/mounted.h"

/* The word that the owner was last told. */
static const char *told(struct mounted *m)
{
    static struct told last;

    last = what_was_told(m->service);
    return last.word;
}

static unsigned n_told(struct mounted *m)
{
    return what_was_told(m->service).n_stored;
}

static void will_answer(struct mounted *m, int admit_result, int store_result)
{
    pthread_mutex_lock(&m->service->lock);
    m->service->admit_result = admit_result;
    m->service->store_result = store_result;
    pthread_mutex_unlock(&m->service->lock);
}

TEST(one_write_is_one_trimmed_command_about_its_volume)
{
    struct mounted m = mounted_begin(3);

    CHECK_EQ(write_at(&m, "vol00002/migrate/target", "hdd\n"), 0);
    CHECK_STR(told(&m), "hdd");
    CHECK_STR(what_was_told(m.service).attr, "target");
    CHECK_EQ(what_was_told(m.service).subject.volume, 2);
    CHECK_EQ(what_was_told(m.service).subject.host, 0);
    CHECK_EQ(what_was_told(m.service).caller.uid, 0);
    CHECK_EQ(write_at(&m, ".control/hosts/hdd/drain", " \t1 \n"), 0);
    CHECK_STR(told(&m), "1");
    CHECK_EQ(what_was_told(m.service).subject.volume, 0);
    CHECK_EQ(what_was_told(m.service).subject.host, 2);
    CHECK_EQ(write_at(&m, ".control/max_jobs", "7"), 0);
    CHECK_STR(told(&m), "7");
    CHECK_EQ(what_was_told(m.service).subject.host, 0);
    CHECK_EQ(n_told(&m), 3);
    mounted_end(&m);
}

TEST(offset_append_and_truncation_mean_nothing)
{
    struct mounted m = mounted_begin(1);
    const int flags[] = {O_WRONLY | O_APPEND, O_WRONLY | O_TRUNC, O_WRONLY | O_CREAT | O_TRUNC,
                         O_RDWR, O_WRONLY | O_SYNC};

    for (size_t i = 0; i < ARRAY_N(flags); i++) {
        OWNED(fd) int fd = open(at(&m, "vol00001/migrate/target"), flags[i], 0600);

        CHECK(fd >= 0);
        CHECK_EQ(pwrite(fd, "hdd", 3, 12345), 3);
        CHECK_EQ(write_fd(fd, "ssd\n", 4), 0);
        CHECK_STR(told(&m), "ssd");
    }
    CHECK_EQ(n_told(&m), 2 * ARRAY_N(flags));
    CHECK_EQ(truncate(at(&m, "vol00001/migrate/target"), 0), 0);
    CHECK_EQ(truncate(at(&m, "vol00001/migrate/target"), 9999), 0);
    CHECK_EQ(utimensat(AT_FDCWD, at(&m, "vol00001/migrate/target"), NULL, 0), 0);
    CHECK_EQ(n_told(&m), 2 * ARRAY_N(flags));
    CHECK_STR(text_at(&m, "vol00001/migrate/target"), "ssd\n");
    mounted_end(&m);
}

TEST(what_is_no_command_is_einval_and_reaches_the_owner_as_the_empty_word)
{
    struct mounted m = mounted_begin(1);
    const struct {
        const char *bytes;
        size_t n;
    } malformed[] = {{"\n", 1}, {"  \n", 3}, {"hdd\nssd", 7}, {"hdd\n\n", 5}, {"h\0d", 3}};
    char *big = calloc(1, 200000);
    OWNED(fd) int fd = open_at(&m, "vol00001/migrate/target", O_WRONLY);

    for (size_t i = 0; i < ARRAY_N(malformed); i++) {
        CHECK_EQ(write_fd(fd, malformed[i].bytes, malformed[i].n), -EINVAL);
        CHECK_STR(told(&m), "");
    }
    CHECK_EQ(n_told(&m), ARRAY_N(malformed));
    memset(big, 'x', 200000);
    CHECK_EQ(write_fd(fd, big, 4095), 0);
    CHECK_EQ(strlen(told(&m)), 4095);
    CHECK_EQ(write_fd(fd, big, 4096), -EINVAL);
    CHECK_EQ(write_fd(fd, big, 131072), -EINVAL);
    CHECK_EQ(n_told(&m), ARRAY_N(malformed) + 3);
    /* Comes in two pieces; the second, which would be a command, is never sent. */
    CHECK_EQ(write_fd(fd, big, 131072 + 3), -EINVAL);
    CHECK_EQ(write_fd(fd, big, 200000), -EINVAL);
    CHECK_EQ(n_told(&m), ARRAY_N(malformed) + 5);
    CHECK_STR(told(&m), "");
    free(big);
    mounted_end(&m);
}

TEST(a_refusal_is_the_errno_of_the_write)
{
    struct mounted m = mounted_begin(1);
    const int errors[] = {EBUSY, ENOSPC, EALREADY, ENXIO, EHOSTDOWN, EKEYREJECTED};

    for (size_t i = 0; i < ARRAY_N(errors); i++) {
        will_answer(&m, 0, -errors[i]);
        CHECK_EQ(write_at(&m, "vol00001/migrate/target", "hdd"), -errors[i]);
    }
    mounted_end(&m);
}

TEST(what_state_alone_refuses_is_the_errno_of_the_open)
{
    struct mounted m = mounted_begin(1);

    will_answer(&m, -EAGAIN, 0);
    CHECK_EQ(open_at(&m, "vol00001/migrate/target", O_WRONLY), -EAGAIN);
    CHECK_EQ(open_at(&m, "vol00001/migrate/target", O_RDWR), -EAGAIN);
    CHECK_EQ(open_at(&m, "vol00001/migrate/target", O_RDONLY | O_TRUNC), -EAGAIN);
    CHECK_EQ(what_was_told(m.service).n_admitted, 3);
    CHECK_STR(text_at(&m, "vol00001/migrate/target"), "ssd\n");
    CHECK_EQ(what_was_told(m.service).n_admitted, 3);
    CHECK_EQ(write_at(&m, "vol00001/migrate/verify", "off"), 0);
    mounted_end(&m);
}

TEST(a_file_without_a_store_cannot_be_opened_for_writing_by_root_either)
{
    struct mounted m = mounted_begin(1);

    CHECK_EQ(open_at(&m, "vol00001/status", O_WRONLY), -EACCES);
    CHECK_EQ(open_at(&m, "vol00001/status", O_RDWR), -EACCES);
    CHECK_EQ(open_at(&m, "vol00001/status", O_RDONLY | O_TRUNC), -EACCES);
    CHECK_EQ(truncate(at(&m, "vol00001/status"), 0), -1);
    CHECK_EQ(errno, EACCES);
    CHECK_EQ(open_at(&m, "vol00001/migrate/wait", O_WRONLY), -EACCES);
    CHECK_EQ(open_at(&m, "vol00001", O_WRONLY), -EISDIR);
    mounted_end(&m);
}

static int failed(int result)
{
    return result < 0 ? errno : 0;
}

TEST(what_changes_the_tree_is_eperm)
{
    struct mounted m = mounted_begin(2);

    CHECK_EQ(open(at(&m, "new"), O_WRONLY | O_CREAT, 0600), -1);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(open(at(&m, "vol00001/new"), O_WRONLY | O_CREAT | O_EXCL, 0600), -1);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(failed(mknod(at(&m, "new"), S_IFREG | 0600, 0)), EPERM);
    CHECK_EQ(failed(mknod(at(&m, "new"), S_IFCHR | 0600, 0)), EPERM);
    CHECK_EQ(failed(mkfifo(at(&m, "new"), 0600)), EPERM);
    CHECK_EQ(failed(mkdir(at(&m, "new"), 0700)), EPERM);
    CHECK_EQ(failed(symlink("x", at(&m, "new"))), EPERM);
    CHECK_EQ(failed(link(at(&m, "vol00001/status"), at(&m, "new"))), EPERM);
    CHECK_EQ(failed(unlink(at(&m, "vol00001/status"))), EPERM);
    CHECK_EQ(failed(rmdir(at(&m, "vol00001"))), EPERM);
    CHECK_EQ(failed(rmdir(at(&m, "vol00001/migrate"))), EPERM);
    CHECK_EQ(failed(rename(at(&m, "vol00001"), at(&m, "new"))), EPERM);
    CHECK_EQ(failed(rename(at(&m, "vol00001"), at(&m, "vol00002"))), EPERM);
    CHECK_EQ(failed(chmod(at(&m, "vol00001/status"), 0666)), EPERM);
    CHECK_EQ(failed(chmod(at(&m, "vol00001"), 0700)), EPERM);
    CHECK_EQ(failed(chown(at(&m, "vol00001/migrate/target"), 1, 1)), EPERM);
    CHECK_EQ(failed(mkdir(at(&m, "new"), 0700)), EPERM); /* and remembered by nobody */
    CHECK_STR(text_at(&m, "vol00001/status"), "available\n");
    mounted_end(&m);
}

TEST(a_store_to_a_mapping_is_no_command)
{
    struct mounted m = mounted_begin(1);
    OWNED(fd) int fd = open_at(&m, "vol00001/migrate/target", O_RDWR);
    char *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (bytes != MAP_FAILED) {
        memcpy(bytes, "hdd\n", 4);
        CHECK(msync(bytes, 4096, MS_SYNC) < 0);
        munmap(bytes, 4096);
    }
    CHECK_EQ(n_told(&m), 0);
    mounted_end(&m);
}

/* A child of nobody's uid that was handed an open file writes with the authority of who opened it.
 */
TEST(authority_is_that_of_who_opened)
{
    struct mounted m = mounted_begin(1);
    OWNED(fd) int fd = open_at(&m, "vol00001/migrate/target", O_WRONLY);
    pid_t opener = gettid(), pid = fork();
    int status;

    if (pid == 0)
        _exit(setuid(65534) == 0 && write(fd, "hdd", 3) == 3 ? 0 : 1);
    waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    CHECK_EQ(what_was_told(m.service).caller.uid, 0);
    CHECK_EQ(what_was_told(m.service).caller.pid, opener);
    mounted_end(&m);
}

struct writer {
    struct mounted *m;
    int result;
    _Atomic pid_t tid;
};

static void *write_slowly(void *arg)
{
    struct writer *writer = arg;

    atomic_store(&writer->tid, gettid());
    writer->result = write_at(writer->m, "vol00001/migrate/verify", "off");
    return NULL;
}

static struct request *hold_one(struct mounted *m, pthread_t *thread, struct writer *writer)
{
    struct request *held;

    pthread_mutex_lock(&m->service->lock);
    m->service->holds = true;
    pthread_mutex_unlock(&m->service->lock);
    REQUIRE(pthread_create(thread, NULL, write_slowly, writer) == 0);
    pthread_mutex_lock(&m->service->lock);
    while (!m->service->held)
        pthread_cond_wait(&m->service->wake, &m->service->lock);
    held = m->service->held;
    m->service->held = NULL;
    pthread_mutex_unlock(&m->service->lock);
    return held;
}

static void give_answer(struct service *service, void *arg)
{
    struct request *request = arg;

    (void)service;
    request->answer(request, -EHOSTUNREACH);
}

static void on_signal(int number)
{
    (void)number;
}

TEST(a_write_ends_when_the_owner_answers_and_not_by_a_signal)
{
    struct mounted m = mounted_begin(1);
    const struct sigaction action = {.sa_handler = on_signal};
    struct writer writer = {.m = &m};
    pthread_t thread;
    struct request *held;

    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    held = hold_one(&m, &thread, &writer);
    /* Others are served meanwhile. */
    CHECK_STR(text_at(&m, "vol00001/status"), "available\n");
    CHECK_EQ(write_at(&m, ".control/rescan", "1"), 0);
    pthread_kill(thread, SIGUSR1);
    CHECK_STR(text_at(&m, "vol00001/migrate/verify"), "full\n");
    on_owner(m.service, give_answer, held);
    pthread_join(thread, NULL);
    CHECK_EQ(writer.result, -EHOSTUNREACH);
    mounted_end(&m);
}

TEST(an_answer_that_comes_after_the_mount_was_closed_is_no_harm)
{
    struct mounted m = mounted_begin(1);
    struct writer writer = {.m = &m};
    pthread_t thread;
    struct request *held = hold_one(&m, &thread, &writer);

    mount_close(m.mount);
    on_owner(m.service, give_answer, held);
    pthread_join(thread, NULL);
    CHECK(writer.result == -EHOSTUNREACH);
    service_end(m.service);
    CHECK_EQ(rmdir(m.dir), 0);
}

static void *write_many(void *arg)
{
    struct mounted *m = arg;

    for (int i = 0; i < 50; i++)
        CHECK_EQ(write_at(m, i % 2 ? "vol00001/migrate/target" : ".control/rescan", "x"), 0);
    return NULL;
}

TEST(many_writers_are_all_answered)
{
    struct mounted m = mounted_begin(1);
    pthread_t threads[16];

    for (size_t i = 0; i < ARRAY_N(threads); i++)
        REQUIRE(pthread_create(&threads[i], NULL, write_many, &m) == 0);
    for (size_t i = 0; i < ARRAY_N(threads); i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(n_told(&m), 16 * 50);
    mounted_end(&m);
}

TEST_MAIN
