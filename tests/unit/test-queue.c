#include "copy/endpoint/queue.h"

#include <dirent.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "copy/base/io.h"
#include "copy/endpoint/file.h"
#include "tests/unit/volumes.h"

#define BLOCK    ((size_t)64 << 10)
#define MS       UINT64_C(1000000)
#define N_BLOCKS 40u

static const enum queue_way ways[] = {QUEUE_THREADS, QUEUE_URING};
static unsigned n_ways = 1; /* without the second one where there is no io_uring for us */

static void ways_open(void)
{
    struct queue *queue;
    int r = queue_open(1, QUEUE_URING, &queue);

    if (r < 0) {
        printf("# no io_uring here: %s\n", strerror(-r));
        return;
    }
    n_ways = ARRAY_N(ways);
    queue_close(queue);
}

static struct queue *queue_of(unsigned depth, enum queue_way way)
{
    struct queue *queue;

    REQUIRE(queue_open(depth, way, &queue) == 0);
    return queue;
}

/* An endpoint over a piece of memory, that comes short, fails and waits on demand. */
struct made_up {
    struct endpoint ep;
    int fd; /* for the kernel; -1: none */
    unsigned char bytes[4 * BLOCK];
    size_t part; /* a transfer's most; 0: no limit */
    uint64_t bad_at, first_at;
    atomic_uint n_calls, n_interrupts;
    bool waits; /* for the gate */
    sem_t gate, arrived;
    struct request *held; /* by submit */
    atomic_bool closed;   /* the queue */
};

static int made_up_begin(struct made_up *made_up, size_t *n, uint64_t offset)
{
    if (atomic_fetch_add(&made_up->n_calls, 1) == 0)
        made_up->first_at = offset;
    if (made_up->waits) {
        sem_post(&made_up->arrived);
        while (sem_wait(&made_up->gate) < 0)
            ;
    }
    if (atomic_load(&made_up->n_interrupts) > 0) {
        atomic_fetch_sub(&made_up->n_interrupts, 1);
        return -EINTR;
    }
    if (offset >= made_up->bad_at)
        return -EREMOTEIO;
    if (made_up->part && *n > made_up->part)
        *n = made_up->part;
    if (*n > made_up->bad_at - offset)
        *n = made_up->bad_at - offset;
    return 0;
}

static int made_up_pread(struct endpoint *ep, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    struct made_up *made_up = (struct made_up *)ep;
    int r = made_up_begin(made_up, &n, offset);

    if (r == 0)
        memcpy(buf, made_up->bytes + offset, *ret_n = n);
    return r;
}

static int made_up_pwrite(struct endpoint *ep, const void *buf, size_t n, uint64_t offset,
                          size_t *ret_n)
{
    struct made_up *made_up = (struct made_up *)ep;
    int r = made_up_begin(made_up, &n, offset);

    if (r == 0)
        memcpy(made_up->bytes + offset, buf, *ret_n = n);
    return r;
}

static int made_up_fd(struct endpoint *ep, bool read, const void *buf, size_t n, uint64_t offset)
{
    (void)read, (void)buf, (void)n, (void)offset;
    return ((struct made_up *)ep)->fd;
}

static void made_up_hold(struct endpoint *ep, struct request *request)
{
    ((struct made_up *)ep)->held = request;
}

static void made_up_end_at_once(struct endpoint *ep, struct request *request)
{
    (void)ep;
    request->n_done = request->n_bytes;
    request_complete(request, 0);
}

static const struct endpoint_ops made_up_ops = {
    .pread = made_up_pread,
    .pwrite = made_up_pwrite,
    .fd = made_up_fd,
};
static const struct endpoint_ops held_ops = {.submit = made_up_hold};
static const struct endpoint_ops at_once_ops = {.submit = made_up_end_at_once};

static struct made_up *made_up_open(const struct endpoint_ops *ops)
{
    struct made_up *made_up = calloc(1, sizeof(*made_up));
    uint64_t random = 11;

    REQUIRE(made_up);
    made_up->ep.ops = ops;
    made_up->fd = -1;
    made_up->bad_at = UINT64_MAX;
    for (size_t i = 0; i < sizeof(made_up->bytes); i++)
        made_up->bytes[i] = (unsigned char)random_next(&random);
    sem_init(&made_up->gate, 0, 0);
    sem_init(&made_up->arrived, 0, 0);
    return made_up;
}

static void made_up_close(struct made_up *made_up)
{
    if (made_up->fd >= 0)
        close(made_up->fd);
    sem_destroy(&made_up->gate);
    sem_destroy(&made_up->arrived);
    free(made_up);
}

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) < 0)
        ;
}

/* A request that remembers how it ended. */
struct asked {
    struct request request;
    unsigned n_done;
    int r;
    unsigned *order, at; /* the how manieth it was */
};

static void note_end(struct request *request, int r)
{
    struct asked *asked = (struct asked *)request;

    asked->n_done++;
    asked->r = r;
    if (asked->order)
        asked->at = ++*asked->order;
}

static struct asked ask(enum request_kind kind, struct endpoint *ep, void *buf, size_t n,
                        uint64_t offset)
{
    return (struct asked){
        .request = {
            .kind = kind, .ep = ep, .buf = buf, .n_bytes = n, .offset = offset, .done = note_end}};
}

static int call_gate(struct request *request)
{
    struct made_up *made_up = request->arg;

    sem_post(&made_up->arrived);
    await(&made_up->gate);
    return -ENOTNAM;
}

static int call_nothing(struct request *request)
{
    (void)request;
    return 0;
}

static struct asked ask_call(int (*call)(struct request *request), void *arg)
{
    struct asked asked = ask(REQUEST_CALL, NULL, NULL, 0, 0);

    asked.request.call = call;
    asked.request.arg = arg;
    return asked;
}

/* Of this process, without those of the kernel's that it sees as its own. */
static unsigned n_threads(void)
{
    char path[64], name[32];
    unsigned n = 0;
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;

    REQUIRE(tasks);
    while ((task = readdir(tasks))) {
        OWNED(fd) int fd = -1;
        size_t got = 0;

        snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", task->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && io_read(fd, name, sizeof(name), &got) == 0 && got > 0)
            n += strncmp(name, "iou-", 4) != 0;
    }
    closedir(tasks);
    return n;
}

TEST(a_depth_of_nothing_or_too_much_is_refused)
{
    struct queue *queue;

    CHECK_EQ(queue_open(0, QUEUE_AUTO, &queue), -EINVAL);
    CHECK_EQ(queue_open(257, QUEUE_AUTO, &queue), -EINVAL);
    queue_close(NULL);
}

/* A slot copies blocks, one after the other, from one file to another: it submits in `done`. */
struct copying {
    struct queue *queue;
    struct endpoint *source, *destination;
    uint64_t next_bytes, size_bytes;
    size_t block_bytes;
};

static void on_copied(struct request *request, int r);

static void copy_next(struct request *request, struct copying *copying)
{
    uint64_t left = copying->size_bytes - copying->next_bytes;
    size_t n = left < copying->block_bytes ? (size_t)left : copying->block_bytes;

    if (n == 0)
        return;
    *request = (struct request){.kind = REQUEST_READ,
                                .ep = copying->source,
                                .buf = request->buf,
                                .n_bytes = n,
                                .offset = copying->next_bytes,
                                .done = on_copied,
                                .arg = copying};
    copying->next_bytes += n;
    queue_submit(copying->queue, request);
}

static void on_copied(struct request *request, int r)
{
    struct copying *copying = request->arg;

    CHECK_EQ(r, 0);
    CHECK_EQ(request->n_done, request->n_bytes);
    if (request->kind == REQUEST_WRITE) {
        copy_next(request, copying);
        return;
    }
    request->kind = REQUEST_WRITE;
    request->ep = copying->destination;
    queue_submit(copying->queue, request);
}

static void copy_file(const char *dir, enum queue_way way, unsigned depth, uint64_t size_bytes)
{
    int source_fd = volume_make(dir, "source", size_bytes);
    int destination_fd = volume_make(dir, "destination", size_bytes);
    struct copying copying = {.size_bytes = size_bytes, .block_bytes = BLOCK};
    struct request *slots = calloc(depth, sizeof(*slots));
    uint64_t random = 5;

    copying.queue = queue_of(depth, way);
    CHECK_EQ(queue_depth(copying.queue), depth);
    volume_write(source_fd, 0, size_bytes, 1, &random);
    REQUIRE(slots);
    REQUIRE(file_endpoint_wrap(source_fd, ENDPOINT_READ, &copying.source) == 0);
    REQUIRE(file_endpoint_wrap(destination_fd, ENDPOINT_WRITE, &copying.destination) == 0);
    REQUIRE(endpoint_drop(copying.source) == 0);
    for (unsigned i = 0; i < depth; i++) {
        slots[i].buf = aligned_alloc(GRAIN, BLOCK);
        REQUIRE(slots[i].buf);
        copy_next(&slots[i], &copying);
    }
    while (queue_wait(copying.queue, UINT64_MAX) > 0)
        ;
    CHECK_EQ(volume_difference(source_fd, destination_fd, size_bytes), size_bytes);
    queue_close(copying.queue);
    endpoint_close(copying.source);
    endpoint_close(copying.destination);
    for (unsigned i = 0; i < depth; i++)
        free(slots[i].buf);
    free(slots);
    close(source_fd);
    close(destination_fd);
}

TEST(files_are_copied_whole_whatever_the_depth_and_the_way)
{
    static const unsigned depths[] = {1, 2, 3, 16, 256};
    static const uint64_t sizes[] = {1, 4097, N_BLOCKS * BLOCK, N_BLOCKS * BLOCK + 511};

    for (unsigned dir = 0; dir < n_pool_dirs; dir++) {
        for (unsigned way = 0; way < n_ways; way++) {
            for (unsigned i = 0; i < ARRAY_N(depths) * ARRAY_N(sizes); i++)
                copy_file(pool_dirs[dir].path, ways[way], depths[i / ARRAY_N(sizes)],
                          sizes[i % ARRAY_N(sizes)]);
        }
    }
}

static void finish_short(enum queue_way way)
{
    struct queue *queue = queue_of(2, way);
    struct made_up *made_up = made_up_open(&made_up_ops);
    OWNED(mem) unsigned char *buf = aligned_alloc(GRAIN, 2 * BLOCK);
    struct asked asked = ask(REQUEST_READ, &made_up->ep, buf, 2 * BLOCK, BLOCK);
    size_t n_kernel = queue && strcmp(queue_name(queue), "io_uring") == 0 ? BLOCK / 2 + 7 : 0;

    /* The file that the kernel reads ends in the middle. */
    made_up->fd = volume_make(pool_dirs[0].path, "short", 0);
    REQUIRE(io_pwrite(made_up->fd, made_up->bytes, BLOCK + BLOCK / 2 + 7, 0) == 0);
    made_up->part = 10000;
    atomic_store(&made_up->n_interrupts, 3);
    queue_submit(queue, &asked.request);
    CHECK_EQ(queue_wait(queue, UINT64_MAX), 1);
    CHECK_EQ(asked.r, 0);
    CHECK_EQ(asked.request.n_done, 2 * BLOCK);
    CHECK(memcmp(buf, made_up->bytes + BLOCK, 2 * BLOCK) == 0);
    CHECK_EQ(made_up->first_at, BLOCK + n_kernel);
    CHECK(atomic_load(&made_up->n_calls) > 3 + (2 * BLOCK - n_kernel) / 10000);
    queue_close(queue);
    made_up_close(made_up);
}

TEST(what_comes_short_is_finished_from_where_it_stopped)
{
    for (unsigned way = 0; way < n_ways; way++)
        finish_short(ways[way]);
}

static void meet_errors(enum queue_way way)
{
    struct queue *queue = queue_of(1, way);
    struct made_up *made_up = made_up_open(&made_up_ops);
    OWNED(mem) unsigned char *buf = calloc(1, 2 * BLOCK);
    struct asked asked = ask(REQUEST_WRITE, &made_up->ep, buf, BLOCK, BLOCK);

    /* Nobody may write there, so the kernel fails; the endpoint's own operation does not. */
    made_up->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    REQUIRE(made_up->fd >= 0);
    queue_submit(queue, &asked.request);
    CHECK_EQ(queue_wait(queue, UINT64_MAX), 1);
    CHECK_EQ(asked.r, 0);
    CHECK_EQ(asked.n_done, 1);
    CHECK_EQ(made_up->first_at, BLOCK);
    CHECK(memcmp(made_up->bytes + BLOCK, buf, BLOCK) == 0);
    /* And now it does too, in the middle. */
    made_up->bad_at = BLOCK + 77;
    queue_submit(queue, &asked.request);
    CHECK_EQ(queue_wait(queue, UINT64_MAX), 1);
    CHECK_EQ(asked.r, -EREMOTEIO);
    CHECK_EQ(asked.request.n_done, 77);
    queue_close(queue);
    made_up_close(made_up);
}

TEST(what_the_kernel_refuses_the_endpoint_is_asked_for)
{
    for (unsigned way = 0; way < n_ways; way++)
        meet_errors(ways[way]);
}

TEST(the_end_of_a_file_is_told_as_such)
{
    for (unsigned way = 0; way < n_ways; way++) {
        struct queue *queue = queue_of(1, ways[way]);
        int fd = volume_make(pool_dirs[0].path, "early", 5 * GRAIN);
        OWNED(mem) void *buf = aligned_alloc(GRAIN, 8 * GRAIN);
        struct endpoint *ep;
        struct asked asked;

        REQUIRE(file_endpoint_wrap(fd, ENDPOINT_READ, &ep) == 0);
        asked = ask(REQUEST_READ, ep, buf, 8 * GRAIN, GRAIN);
        queue_submit(queue, &asked.request);
        CHECK_EQ(queue_wait(queue, UINT64_MAX), 1);
        CHECK_EQ(asked.r, -ESTALE);
        CHECK_EQ(asked.request.n_done, 4 * GRAIN);
        queue_close(queue);
        endpoint_close(ep);
        close(fd);
    }
}

TEST(what_ends_first_is_handed_over_first)
{
    for (unsigned way = 0; way < n_ways; way++) {
        struct queue *queue = queue_of(3, ways[way]);
        struct made_up *made_up = made_up_open(&made_up_ops), *slow = made_up_open(&made_up_ops);
        struct made_up *held = made_up_open(&held_ops);
        unsigned char buf[3][512];
        unsigned order = 0;
        struct asked asked[] = {
            ask(REQUEST_READ, &slow->ep, buf[0], 512, 0),
            ask(REQUEST_READ, &held->ep, buf[1], 512, 0),
            ask(REQUEST_READ, &made_up->ep, buf[2], 512, 0),
        };

        slow->waits = true;
        for (unsigned i = 0; i < ARRAY_N(asked); i++) {
            asked[i].order = &order;
            queue_submit(queue, &asked[i].request);
        }
        CHECK_EQ(queue_wait(queue, UINT64_MAX), 1);
        request_complete(held->held, -EPIPE);
        CHECK_EQ(queue_wait(queue, UINT64_MAX), 1);
        sem_post(&slow->gate);
        CHECK_EQ(queue_wait(queue, UINT64_MAX), 1);
        CHECK_EQ(queue_wait(queue, UINT64_MAX), 0);
        CHECK_EQ(asked[2].at, 1);
        CHECK_EQ(asked[1].at, 2);
        CHECK_EQ(asked[1].r, -EPIPE);
        CHECK_EQ(asked[0].at, 3);
        queue_close(queue);
        made_up_close(made_up);
        made_up_close(slow);
        made_up_close(held);
    }
}

TEST(done_is_never_called_below_submit)
{
    for (unsigned way = 0; way < n_ways; way++) {
        struct queue *queue = queue_of(1, ways[way]);
        struct made_up *made_up = made_up_open(&at_once_ops);
        char buf[1];
        struct asked asked = ask(REQUEST_WRITE, &made_up->ep, buf, 1, 0);

        queue_submit(queue, &asked.request);
        CHECK_EQ(asked.n_done, 0);
        CHECK_EQ(queue_wait(queue, 0), 1);
        CHECK_EQ(asked.n_done, 1);
        CHECK_EQ(asked.request.n_done, 1);
        queue_close(queue);
        made_up_close(made_up);
    }
}

/* Ends what it is given, on a thread of its own, until it is given NULL. */
struct network {
    struct endpoint ep;
    pthread_mutex_t lock;
    pthread_cond_t any;
    struct request *waiting[8];
    unsigned n_waiting;
    bool over;
};

static void network_submit(struct endpoint *ep, struct request *request)
{
    struct network *network = (struct network *)ep;

    pthread_mutex_lock(&network->lock);
    REQUIRE(network->n_waiting < ARRAY_N(network->waiting));
    network->waiting[network->n_waiting++] = request;
    pthread_cond_signal(&network->any);
    pthread_mutex_unlock(&network->lock);
}

static const struct endpoint_ops network_ops = {.submit = network_submit};

static void *network_main(void *arg)
{
    struct network *network = arg;

    for (;;) {
        struct request *request = NULL;

        pthread_mutex_lock(&network->lock);
        while (network->n_waiting == 0 && !network->over)
            pthread_cond_wait(&network->any, &network->lock);
        if (network->n_waiting > 0)
            request = network->waiting[--network->n_waiting];
        pthread_mutex_unlock(&network->lock);
        if (!request)
            return NULL;
        memset(request->buf, (int)request->offset, request->n_bytes);
        request->n_done = request->n_bytes;
        request_complete(request, 0);
    }
}

struct talk {
    struct queue *queue;
    unsigned n_left, n_ended;
};

static void talk_on(struct request *request, int r)
{
    struct talk *talk = request->arg;

    CHECK_EQ(r, 0);
    CHECK_EQ(*(unsigned char *)request->buf, (unsigned char)request->offset);
    talk->n_ended++;
    if (talk->n_left == 0)
        return;
    talk->n_left--;
    request->offset++;
    queue_submit(talk->queue, request);
}

static void end_on_foreign_threads(enum queue_way way, unsigned depth)
{
    struct network network = {.ep.ops = &network_ops, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct talk talk = {queue_of(depth, way), 5000 - depth, 0};
    struct request requests[8];
    unsigned char buf[8][16];
    pthread_t threads[3];

    pthread_cond_init(&network.any, NULL);
    for (unsigned i = 0; i < ARRAY_N(threads); i++)
        REQUIRE(pthread_create(&threads[i], NULL, network_main, &network) == 0);
    for (unsigned i = 0; i < depth; i++) {
        requests[i] = ask(REQUEST_READ, &network.ep, buf[i], sizeof(buf[i]), i).request;
        requests[i].done = talk_on;
        requests[i].arg = &talk;
        queue_submit(talk.queue, &requests[i]);
    }
    while (queue_wait(talk.queue, UINT64_MAX) > 0)
        ;
    CHECK_EQ(talk.n_ended, 5000);
    queue_close(talk.queue);
    pthread_mutex_lock(&network.lock);
    network.over = true;
    pthread_cond_broadcast(&network.any);
    pthread_mutex_unlock(&network.lock);
    for (unsigned i = 0; i < ARRAY_N(threads); i++)
        pthread_join(threads[i], NULL);
    pthread_cond_destroy(&network.any);
}

TEST(foreign_threads_end_requests_and_wake_the_queue)
{
    for (unsigned way = 0; way < n_ways; way++) {
        end_on_foreign_threads(ways[way], 1);
        end_on_foreign_threads(ways[way], 8);
    }
}

TEST(threads_are_started_as_they_are_needed)
{
    for (unsigned way = 0; way < n_ways; way++) {
        struct queue *queue = queue_of(4, ways[way]);
        struct made_up *made_up = made_up_open(&made_up_ops);
        struct asked asked[4];
        unsigned n_before = n_threads(), n_ended = 0;

        for (unsigned i = 0; i < 100; i++) {
            asked[0] = ask_call(call_nothing, NULL);
            queue_submit(queue, &asked[0].request);
            queue_wait(queue, UINT64_MAX);
        }
        CHECK_EQ(n_threads(), n_before + 1);
        for (unsigned i = 0; i < 4; i++) {
            asked[i] = ask_call(call_gate, made_up);
            queue_submit(queue, &asked[i].request);
        }
        for (unsigned i = 0; i < 4; i++)
            await(&made_up->arrived); /* all four are called at once */
        CHECK_EQ(n_threads(), n_before + 4);
        for (unsigned i = 0; i < 4; i++)
            sem_post(&made_up->gate);
        while (n_ended < 4)
            n_ended += queue_wait(queue, UINT64_MAX);
        for (unsigned i = 0; i < 4; i++)
            CHECK_EQ(asked[i].r, -ENOTNAM);
        queue_close(queue);
        while (n_threads() > n_before) /* the kernel takes one off the list after it was joined */
            sched_yield();
        made_up_close(made_up);
    }
}

/* How often this thread went to sleep. */
static long n_sleeps(void)
{
    struct rusage usage;

    REQUIRE(getrusage(RUSAGE_THREAD, &usage) == 0);
    return usage.ru_nvcsw;
}

TEST(waiting_ends_at_its_deadline_and_costs_nothing)
{
    for (unsigned way = 0; way < n_ways; way++) {
        struct queue *queue = queue_of(2, ways[way]);
        struct made_up *made_up = made_up_open(&made_up_ops);
        struct asked asked = ask_call(call_gate, made_up);
        struct asked call = ask_call(call_nothing, NULL);
        uint64_t until_ns;
        long n_before;

        CHECK_EQ(queue_wait(queue, UINT64_MAX), 0);
        CHECK_EQ(queue_wait(queue, 0), 0);
        until_ns = io_now_ns() + 20 * MS;
        CHECK_EQ(queue_wait(queue, until_ns), 0); /* nothing is in flight */
        CHECK(io_now_ns() >= until_ns);
        for (unsigned i = 0; i < 100; i++) { /* it has been woken by other threads before */
            queue_submit(queue, &call.request);
            CHECK_EQ(queue_wait(queue, UINT64_MAX), 1);
        }
        queue_submit(queue, &asked.request);
        await(&made_up->arrived);
        CHECK_EQ(queue_wait(queue, 0), 0);
        CHECK_EQ(queue_wait(queue, io_now_ns()), 0);
        n_before = n_sleeps();
        until_ns = io_now_ns() + 200 * MS;
        CHECK_EQ(queue_wait(queue, until_ns), 0);
        CHECK(io_now_ns() >= until_ns);
        CHECK(n_sleeps() - n_before < 20);
        sem_post(&made_up->gate);
        CHECK_EQ(queue_wait(queue, io_now_ns() + 60000 * MS), 1);
        CHECK_EQ(asked.r, -ENOTNAM);
        queue_close(queue);
        made_up_close(made_up);
    }
}

static struct {
    struct made_up *made_up;
    pthread_t target;
    atomic_uint n_signals;
} disturbing;

static void on_signal(int number)
{
    (void)number;
    if (atomic_fetch_add(&disturbing.n_signals, 1) == 9)
        sem_post(&disturbing.made_up->gate);
}

static void *disturb(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 10; i++) {
        unsigned before = atomic_load(&disturbing.n_signals);

        pthread_kill(disturbing.target, SIGUSR1);
        while (atomic_load(&disturbing.n_signals) == before)
            sched_yield();
    }
    return NULL;
}

TEST(signals_do_not_end_a_wait)
{
    const struct sigaction action = {.sa_handler = on_signal};

    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    for (unsigned way = 0; way < n_ways; way++) {
        struct queue *queue = queue_of(1, ways[way]);
        struct made_up *made_up = made_up_open(&made_up_ops);
        struct asked asked = ask_call(call_gate, made_up);
        pthread_t thread;

        disturbing.made_up = made_up;
        disturbing.target = pthread_self();
        atomic_store(&disturbing.n_signals, 0);
        queue_submit(queue, &asked.request);
        REQUIRE(pthread_create(&thread, NULL, disturb, NULL) == 0);
        CHECK_EQ(queue_wait(queue, UINT64_MAX), 1);
        CHECK_EQ(atomic_load(&disturbing.n_signals), 10);
        pthread_join(thread, NULL);
        queue_close(queue);
        made_up_close(made_up);
    }
}

static void *end_later(void *arg)
{
    struct made_up *made_up = arg;

    await(&made_up->arrived);
    sem_post(&made_up->gate);
    for (unsigned i = 0; i < 50000 && !atomic_load(&made_up->closed); i++)
        sched_yield();
    CHECK(!atomic_load(&made_up->closed));
    request_complete(made_up->held, 0);
    return NULL;
}

TEST(closing_waits_for_what_is_in_flight_and_tells_nobody)
{
    for (unsigned way = 0; way < n_ways; way++) {
        struct queue *queue = queue_of(4, ways[way]);
        struct made_up *made_up = made_up_open(&made_up_ops), *held = made_up_open(&held_ops);
        int fd = volume_make(pool_dirs[0].path, "closing", BLOCK);
        OWNED(mem) unsigned char *buf = aligned_alloc(GRAIN, 2 * BLOCK);
        struct endpoint *ep;
        struct asked asked[4];
        pthread_t thread;

        REQUIRE(file_endpoint_wrap(fd, ENDPOINT_WRITE, &ep) == 0);
        memset(buf, 'x', 2 * BLOCK);
        asked[0] = ask_call(call_gate, made_up);
        asked[1] = ask(REQUEST_READ, &held->ep, buf, 1, 0);
        asked[2] = ask(REQUEST_WRITE, ep, buf, BLOCK, 0);
        asked[3] = ask(REQUEST_READ, ep, buf + BLOCK, BLOCK, 2 * BLOCK); /* past the end */
        for (unsigned i = 0; i < 4; i++)
            queue_submit(queue, &asked[i].request);
        made_up->held = held->held;
        REQUIRE(pthread_create(&thread, NULL, end_later, made_up) == 0);
        queue_close(queue);
        atomic_store(&made_up->closed, true);
        memset(buf, 0, 2 * BLOCK); /* ours again */
        pthread_join(thread, NULL);
        for (unsigned i = 0; i < 4; i++)
            CHECK_EQ(asked[i].n_done, 0);
        REQUIRE(io_pread(fd, buf, 1, BLOCK - 1, NULL) == 0);
        CHECK_EQ(buf[0], 'x');
        endpoint_close(ep);
        close(fd);
        made_up_close(made_up);
        made_up_close(held);
    }
}

static void *read_some(void *arg)
{
    struct copying *copying = arg;
    OWNED(mem) void *buf = aligned_alloc(GRAIN, BLOCK);
    struct asked asked = ask(REQUEST_READ, copying->source, buf, BLOCK, 0);
    struct asked call = ask_call(call_nothing, NULL);

    for (unsigned i = 0; i < 20; i++) {
        queue_submit(copying->queue, &asked.request);
        CHECK_EQ(queue_wait(copying->queue, UINT64_MAX), 1);
        queue_submit(copying->queue, &call.request);
        CHECK_EQ(queue_wait(copying->queue, UINT64_MAX), 1);
        CHECK_EQ(asked.r, 0);
    }
    CHECK_EQ(queue_wait(copying->queue, io_now_ns() + MS), 0);
    return NULL;
}

TEST(one_thread_after_the_other_may_use_a_queue)
{
    for (unsigned way = 0; way < n_ways; way++) {
        struct copying copying = {.queue = queue_of(1, ways[way])};
        int fd = volume_make(pool_dirs[0].path, "several", BLOCK);
        pthread_t thread;

        REQUIRE(file_endpoint_wrap(fd, ENDPOINT_READ, &copying.source) == 0);
        for (unsigned i = 0; i < 20; i++) {
            REQUIRE(pthread_create(&thread, NULL, read_some, &copying) == 0);
            pthread_join(thread, NULL);
        }
        read_some(&copying);
        queue_close(copying.queue);
        endpoint_close(copying.source);
        close(fd);
    }
}

/* From now on two system calls fail, in this process. */
static void forbid(unsigned call, unsigned other, int error)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, other, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_N(rules), .filter = rules};

    REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* Run in a child, whose checks count as ours. */
static void in_child(void (*run)(unsigned argument), unsigned argument)
{
    int status = -1;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        check_failures = 0;
        run(argument);
        fflush(stdout);
        _exit(check_failures ? 1 : 0);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK_EQ(status, 0);
}

static void open_without(unsigned call)
{
    struct queue *queue = NULL;

    forbid(call, call, call == SYS_io_uring_setup ? ENOSYS : EPERM);
    CHECK_EQ(queue_open(2, QUEUE_URING, &queue), call == SYS_io_uring_setup ? -ENOSYS : -EPERM);
    REQUIRE(queue_open(2, QUEUE_AUTO, &queue) == 0);
    CHECK_STR(queue_name(queue), "threads");
    queue_close(queue);
    copy_file(pool_dirs[0].path, QUEUE_AUTO, 3, N_BLOCKS * BLOCK);
}

TEST(where_io_uring_is_forbidden_threads_do_its_work)
{
    if (SYS_io_uring_setup != 425)
        return;
    in_child(open_without, SYS_io_uring_setup);
    in_child(open_without, SYS_io_uring_register);
    in_child(open_without, SYS_io_uring_enter);
}

static void close_sandbox(unsigned argument)
{
    struct queue *queue = queue_of(1, QUEUE_URING);
    struct copying copying = {.queue = queue};
    int fd = volume_make(pool_dirs[0].path, "sandboxed", BLOCK);

    (void)argument;
    REQUIRE(file_endpoint_wrap(fd, ENDPOINT_READ, &copying.source) == 0);
    forbid(SYS_io_uring_setup, SYS_io_uring_register, EPERM);
    read_some(&copying);
    CHECK_STR(queue_name(queue), "io_uring");
    queue_close(queue);
}

TEST(a_queue_that_is_open_needs_no_call_but_one)
{
    if (n_ways > 1)
        in_child(close_sandbox, 0);
}

static int find_ring(void)
{
    char path[64], target[64] = "";

    for (int fd = 0; fd < 1024; fd++) {
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strstr(target, "io_uring"))
            return fd;
    }
    return -1;
}

TEST(a_ring_is_for_reading_and_writing_alone)
{
    struct queue *queue;

    if (n_ways < 2)
        return;
    queue = queue_of(1, QUEUE_URING);
    REQUIRE(find_ring() >= 0);
    CHECK_EQ(syscall(SYS_io_uring_register, find_ring(), IORING_UNREGISTER_EVENTFD, NULL, 0), -1);
    CHECK_EQ(errno, EACCES);
    queue_close(queue);
    CHECK_EQ(find_ring(), -1);
}

static void run_without_threads(unsigned way)
{
    struct queue *queue = queue_of(2, ways[way]);
    struct asked asked[] = {ask_call(call_nothing, NULL), ask_call(call_nothing, NULL)};

    forbid(SYS_clone, SYS_clone3, EAGAIN);
    for (unsigned i = 0; i < 2; i++)
        queue_submit(queue, &asked[i].request);
    CHECK_EQ(queue_wait(queue, UINT64_MAX), 2);
    CHECK_EQ(asked[0].r, -EAGAIN);
    CHECK_EQ(asked[1].r, -EAGAIN);
    queue_close(queue);
}

TEST(where_no_thread_can_be_had_a_call_ends_with_an_error)
{
    for (unsigned way = 0; way < n_ways; way++)
        in_child(run_without_threads, way);
}

int main(int argc, char **argv)
{
    pools_open();
    ways_open();
    return check_main(argc, argv);
}
