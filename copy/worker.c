/*
 * copy-worker: moves the bytes of one job for the daemon that started it (copy/wire.h). The main
 * thread listens; a job runs in a thread of its own, which conducts the engine's requests. The
 * daemon's death closes the socket and ends the process where it stands: whatever was settled by
 * then is found again through the checkpoints.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/crash.h"
#include "copy/base/io.h"
#include "copy/base/log.h"
#include "copy/endpoint/file.h"
#include "copy/engine.h"
#include "copy/refuse.h"
#include "copy/sandbox.h"
#include "copy/wire.h"

struct worker {
    struct wire_memory *memory;
    struct endpoint *source, *destination;
    struct queue *queue;     /* the job's thread's, while there is one */
    struct digests *digests; /* of the job, and afterwards of a whole copy; NULL: none */
    uint64_t digests_bytes;  /* the size that they are of */
    atomic_bool stop;
    bool busy; /* from here on: the job's, while it runs */
    struct wire_request request;
    struct wire_reply reply;
    uint64_t told_bytes; /* the last checkpoint */
    pthread_t thread;
    int done_fd; /* readable: the job has ended */
};

/* What a request asks for. */
struct command {
    enum wire_command command;
    enum wire_event event; /* that answers it */
    int (*prepare)(struct worker *worker);
    int (*run)(const struct engine_job *job, struct engine_result *ret);
    void (*conclude)(struct worker *worker, int r);
};

/* Threads may be in the middle of a request or hang in a disk: nothing is waited for, not even what
 * a sanitizer does in _exit. */
static _Noreturn void end_at_once(int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}

/* What lies above the low mark is known here alone: the daemon goes on from the mark. */
static void on_checkpoint(void *arg, const struct journal_mark *mark)
{
    struct worker *worker = arg;
    struct wire_reply reply = {
        .version = WIRE_VERSION, .event = WIRE_CHECKPOINT, .offset_bytes = mark->low_bytes};

    if (mark->low_bytes == worker->told_bytes)
        return;
    worker->told_bytes = mark->low_bytes;
    /* One that finds the socket full is left out: the next one says more. */
    (void)io_send(WIRE_FD_SOCKET, &reply, sizeof(reply), -1);
}

static void forget_digests(struct worker *worker)
{
    digests_close(worker->digests);
    worker->digests = NULL;
}

static int prepare_digests(struct worker *worker)
{
    uint64_t size_bytes = worker->request.size_bytes;

    forget_digests(worker);
    worker->digests_bytes = size_bytes;
    return digests_open(size_bytes, ENGINE_BLOCK_BYTES, &worker->digests);
}

static int prepare_copy(struct worker *worker)
{
    forget_digests(worker);
    return worker->request.start_bytes == 0 ? prepare_digests(worker) : 0;
}

/* The digests of half a copy prove nothing. */
static void conclude_copy(struct worker *worker, int r)
{
    if (r < 0)
        forget_digests(worker);
    else
        CRASH_POINT("worker-copied");
}

/* The engine takes what it may not write as it finds it: that it comes from the disk is seen to
 * here. */
static int prepare_comparison(struct worker *worker)
{
    int r = worker->destination->ops->sync(worker->destination);

    if (r == 0)
        r = endpoint_drop(worker->destination);
    return r < 0 ? r : prepare_digests(worker);
}

static int prepare_verify(struct worker *worker)
{
    if (worker->request.no_repair)
        return prepare_comparison(worker);
    if (worker->request.compare_source)
        return prepare_digests(worker);
    return worker->digests && worker->digests_bytes == worker->request.size_bytes ? 0 : -EINVAL;
}

static void conclude_verify(struct worker *worker, int r)
{
    (void)worker;
    if (r == 0)
        CRASH_POINT("worker-verified");
}

static const struct command commands[] = {
    {WIRE_COPY, WIRE_COPIED, prepare_copy, engine_copy, conclude_copy},
    {WIRE_VERIFY, WIRE_VERIFIED, prepare_verify, engine_verify, conclude_verify},
};

static const struct command *find_command(uint32_t command)
{
    for (size_t i = 0; i < ARRAY_N(commands); i++) {
        if (command == (uint32_t)commands[i].command)
            return &commands[i];
    }
    return NULL;
}

static struct wire_reply failure(int r, const struct engine_result *result)
{
    struct wire_reply reply = {.version = WIRE_VERSION, .event = WIRE_FAILED, .error = -r};

    reply.flushed = 1; /* a mark only ever counts what was flushed */
    reply.offset_low_bytes = result->mark.low_bytes;
    reply.offset_bytes = result->bad_bytes;
    memcpy(reply.text, result->err.text, sizeof(reply.text));
    return reply;
}

static void run_job(struct worker *worker, const struct command *command)
{
    const struct wire_request *request = &worker->request;
    struct engine_result result = {.bad_bytes = ENGINE_NO_PLACE};
    struct engine_job job = {
        .queue = worker->queue,
        .source = worker->source,
        .destination = worker->destination,
        .size_bytes = request->size_bytes,
        .block_bytes = ENGINE_BLOCK_BYTES,
        .stop = &worker->stop,
        .speed_bytes_per_s = &worker->memory->steering.speed_bytes_per_s,
        .progress = &worker->memory->progress,
        .start = {.low_bytes = request->start_bytes},
        .checkpoint_ns = request->checkpoint_ns,
        .destination_zero = request->destination_zero != 0,
        .verify_behind = request->verify_behind != 0,
        .checkpoint = on_checkpoint,
        .checkpoint_arg = worker,
        .compare_source = request->compare_source != 0,
        .no_repair = request->no_repair != 0,
    };
    int r = command->prepare(worker);

    job.digests = worker->digests;
    if (r < 0)
        engine_refuse(&result, r, "cannot prepare the digests");
    else
        r = command->run(&job, &result);
    command->conclude(worker, r);
    worker->reply = (struct wire_reply){.version = WIRE_VERSION, .event = command->event};
    memcpy(worker->reply.digest, result.digest.bytes, sizeof(worker->reply.digest));
    if (r < 0)
        worker->reply = failure(r, &result);
}

static void *job_main(void *arg)
{
    struct worker *worker = arg;
    const uint64_t one = 1;

    run_job(worker, find_command(worker->request.command));
    if (io_write(worker->done_fd, &one, sizeof(one)) < 0)
        end_at_once(1); /* nobody would ever hear of the end; a death is heard */
    return NULL;
}

/* Returns 0, or -errno: the daemon is gone. */
static int answer(const struct wire_reply *reply)
{
    struct pollfd room = {.fd = WIRE_FD_SOCKET, .events = POLLOUT};
    int r;

    while ((r = io_send(WIRE_FD_SOCKET, reply, sizeof(*reply), -1)) == -EAGAIN) {
        if (poll(&room, 1, -1) < 0 && errno != EINTR)
            return -errno;
    }
    return r;
}

static int answer_error(int error, const char *text)
{
    struct engine_result result = {.bad_bytes = ENGINE_NO_PLACE};
    struct wire_reply reply;

    err_set(&result.err, error, "%s", text);
    reply = failure(-error, &result);
    reply.flushed = 0;
    return answer(&reply);
}

static int begin_job(struct worker *worker, const struct wire_request *request)
{
    int r;

    worker->request = *request;
    worker->told_bytes = request->start_bytes;
    atomic_store(&worker->stop, false);
    r = file_endpoint_set_claim(worker->source, request->lease ? FILE_LEASED : FILE_TIMED);
    if (r < 0)
        return answer_error(-r, "cannot look at the source");
    r = pthread_create(&worker->thread, NULL, job_main, worker);
    if (r != 0)
        return answer_error(r, "cannot start a thread");
    worker->busy = true;
    return 0;
}

/* A stop has the last word, whatever the job came to in the meantime: one answer for it, always. */
static int end_job(struct worker *worker)
{
    uint64_t n;
    int r = io_read(worker->done_fd, &n, sizeof(n), NULL);

    if (r == 0)
        r = -pthread_join(worker->thread, NULL);
    if (r < 0)
        return r;
    worker->busy = false;
    if (atomic_load(&worker->stop)) {
        worker->reply.event = WIRE_FAILED;
        worker->reply.error = ECANCELED;
        worker->reply.offset_bytes = ENGINE_NO_PLACE;
    }
    return answer(&worker->reply);
}

static int take_request(struct worker *worker, const struct wire_request *request)
{
    if (request->version != WIRE_VERSION)
        return answer_error(EPROTO, "the daemon and its copy-worker are of different builds");
    if (request->command == WIRE_STOP && worker->busy) {
        atomic_store(&worker->stop, true);
        return 0;
    }
    if (request->command == WIRE_STOP)
        return answer_error(ECANCELED, "stopped");
    if (worker->busy)
        return answer_error(EBUSY, "a request is under way");
    if (!find_command(request->command))
        return answer_error(EPROTO, "no such request");
    return begin_job(worker, request);
}

/* Returns 0 to go on, 1 when the daemon has gone, or a negative errno. */
static int listen_once(struct worker *worker)
{
    struct pollfd fds[] = {{.fd = WIRE_FD_SOCKET, .events = POLLIN},
                           {.fd = worker->done_fd, .events = POLLIN}};
    struct wire_request request;
    int r = 0, fd = -1;
    size_t n = 0;

    if (poll(fds, ARRAY_N(fds), -1) < 0)
        return errno == EINTR ? 0 : -errno;
    if (fds[0].revents) {
        r = io_receive(WIRE_FD_SOCKET, &request, sizeof(request), &n, &fd);
        owned_fd(&fd);
        if (r == 0 && n == 0)
            return 1;
        if (r == 0)
            r = n == sizeof(request) ? take_request(worker, &request) : -EPROTO;
        if (r == -EAGAIN)
            r = 0;
    }
    if (r == 0 && fds[1].revents)
        r = end_job(worker);
    return r;
}

/* Everything that needs a name or a privilege. */
static int open_end(int fd, enum endpoint_mode mode, struct endpoint **ret)
{
    int file = io_unwrap(fd);

    return file < 0 ? file : file_endpoint_wrap(file, mode, ret);
}

static int prepare(struct worker *worker, struct err *e)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXFSZ};
    struct stat st;
    int r;

    for (size_t i = 0; i < ARRAY_N(ignored); i++)
        signal(ignored[i],
               SIG_IGN); /* those who stop a whole group mean the daemon, which tells us */
    if (fstat(WIRE_FD_MEMORY, &st) < 0 || st.st_size < WIRE_MEMORY_BYTES)
        return err_set(e, EBADF, "copy-worker is started by ferryfs, not by hand");
    worker->memory =
        mmap(NULL, WIRE_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, WIRE_FD_MEMORY, 0);
    if (worker->memory == MAP_FAILED)
        return err_set(e, errno, "cannot map the shared memory: %s", strerror(errno));
    worker->done_fd = eventfd(0, EFD_CLOEXEC);
    if (worker->done_fd < 0)
        return err_set(e, errno, "cannot make an eventfd: %s", strerror(errno));
    r = open_end(WIRE_FD_SOURCE, ENDPOINT_READ, &worker->source);
    if (r < 0)
        return err_set(e, -r, "cannot use the source: %s", strerror(-r));
    r = open_end(WIRE_FD_DESTINATION, ENDPOINT_WRITE, &worker->destination);
    if (r < 0)
        return err_set(e, -r, "cannot use the destination: %s", strerror(-r));
    r = queue_open(ENGINE_QUEUE_DEPTH, QUEUE_AUTO, &worker->queue);
    if (r < 0)
        return err_set(e, -r, "cannot begin transfers: %s", strerror(-r));
    return sandbox_enter(e);
}

int main(void)
{
    struct worker worker = {.done_fd = -1};
    struct err e;
    int r;

    log_init("copy-worker", false);
    if (prepare(&worker, &e) < 0) {
        log_say(LOG_ERR, "%s", e.text);
        end_at_once(1);
    }
    CRASH_POINT("worker-start");
    do
        r = listen_once(&worker);
    while (r == 0);
    if (r < 0)
        log_say(LOG_ERR, "cannot talk to the daemon: %s", strerror(-r));
    end_at_once(r < 0 ? 1 : 0);
}
