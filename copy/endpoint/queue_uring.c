/*
 * One ring, for as many requests as may be in flight and one read of the event descriptor. An entry
 * is submitted as it is made, so the submission queue holds one at most; completions have room for
 * all.
 *
 * A ring passes a system call filter by. So this one is restricted, when it is made, to reading and
 * writing: what a sandboxed process can do with its descriptors anyway.
 *
 * Not IORING_SETUP_SINGLE_ISSUER: it would tie the queue to the thread that opened it. When a
 * thread ends, what it has in flight is cancelled by the kernel at some time; of ours that is only
 * the read of the event descriptor, which is begun again whatever became of it.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/endpoint/queue_ways.h"

#define NS_PER_S     UINT64_C(1000000000)
#define RETRY_NS     UINT64_C(1000000)
#define TRANSFER_MAX (1u << 30) /* the kernel's limit is a little below 2 GiB */
#define BATCH        32

struct uring {
    struct io_uring ring;
    int event_fd;
    uint64_t event; /* read from it; the kernel's while armed */
    bool armed;     /* that read is in flight */
};

/* The first that the kernel knows: without interrupts for each completion (5.19), or with. */
static const unsigned setups[] = {
    IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_R_DISABLED,
};

static int set_up(struct io_uring *ring, unsigned n_entries)
{
    int r = -EINVAL;

    for (size_t i = 0; i < ARRAY_N(setups) && r == -EINVAL; i++)
        r = io_uring_queue_init(n_entries, ring, setups[i]);
    return r;
}

/* Flags of entries and further registrations are refused too, since none are named here. The
 * functions for these two registrations are missing from the library of Debian 12. */
static int restrict_and_enable(struct io_uring *ring)
{
    struct io_uring_restriction allowed[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE},
    };
    int fd = ring->ring_fd, r;

    r = io_uring_register((unsigned)fd, IORING_REGISTER_RESTRICTIONS, allowed, ARRAY_N(allowed));
    return r < 0 ? r : io_uring_register((unsigned)fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* Submit the one entry there is. What the kernel did not take, for want of memory say, is taken
 * back: nothing else will come along that would submit it. */
static bool submit_entry(struct io_uring *ring)
{
    struct io_uring_sq *sq = &ring->sq;

    io_uring_submit(ring);
    if (io_uring_sq_ready(ring) == 0)
        return true;
    sq->sqe_head = sq->sqe_tail = *sq->khead;
    *sq->ktail = *sq->khead;
    return false;
}

static void arm(struct uring *uring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);

    io_uring_prep_read(entry, uring->event_fd, &uring->event, sizeof(uring->event), 0);
    io_uring_sqe_set_data(entry, NULL);
    uring->armed = submit_entry(&uring->ring);
}

int uring_open(unsigned depth, struct endings *endings, struct uring **ret)
{
    OWNED(mem) struct uring *uring = calloc(1, sizeof(*uring));
    int r;

    if (!uring)
        return -ENOMEM;
    uring->event_fd = endings->event_fd;
    r = set_up(&uring->ring, depth + 1);
    if (r < 0)
        return r;
    /* The youngest thing that is needed, of 5.11: whoever has it reads and writes as well. */
    r = uring->ring.features & IORING_FEAT_EXT_ARG ? restrict_and_enable(&uring->ring) : -ENOSYS;
    if (r == 0)
        arm(uring);
    if (r == 0 && !uring->armed)
        r = -EPERM;
    if (r < 0) {
        io_uring_queue_exit(&uring->ring);
        return r;
    }
    *ret = take_ptr(uring);
    return 0;
}

/* The read of the event descriptor dies with the ring, and is not in the middle of anything: nobody
 * writes there any more. */
void uring_close(struct uring *uring)
{
    if (!uring)
        return;
    io_uring_queue_exit(&uring->ring);
    free(uring);
}

bool uring_submit(struct uring *uring, struct request *request, int fd)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    unsigned n = request->n_bytes < TRANSFER_MAX ? (unsigned)request->n_bytes : TRANSFER_MAX;

    if (request->kind == REQUEST_READ)
        io_uring_prep_read(entry, fd, request->buf, n, request->offset);
    else
        io_uring_prep_write(entry, fd, request->buf, n, request->offset);
    io_uring_sqe_set_data(entry, request);
    return submit_entry(&uring->ring);
}

void uring_take(struct uring *uring, struct requests *to)
{
    struct io_uring_cqe *cqes[BATCH];
    unsigned n;

    do {
        n = io_uring_peek_batch_cqe(&uring->ring, cqes, BATCH);
        for (unsigned i = 0; i < n; i++) {
            struct request *request = io_uring_cqe_get_data(cqes[i]);

            if (request) {
                request->n_done += cqes[i]->res > 0 ? (size_t)cqes[i]->res : 0;
                requests_add(to, request);
            } else {
                uring->armed = false;
            }
        }
        io_uring_cq_advance(&uring->ring, n);
    } while (n == BATCH);
}

void uring_wait(struct uring *uring, uint64_t until_ns)
{
    uint64_t now_ns = io_now_ns(), left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct __kernel_timespec left;
    struct io_uring_cqe *cqe;
    int r;

    if (!uring->armed)
        arm(uring);
    if (!uring->armed && left_ns > RETRY_NS)
        left_ns = RETRY_NS;
    left = (struct __kernel_timespec){.tv_sec = (long long)(left_ns / NS_PER_S),
                                      .tv_nsec = (long long)(left_ns % NS_PER_S)};
    r = io_uring_wait_cqe_timeout(&uring->ring, &cqe, &left);
    assert(r == 0 || r == -ETIME || r == -EINTR || r == -EAGAIN);
    (void)r;
}
