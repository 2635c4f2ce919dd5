#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "copy/base/io.h"
#include "copy/endpoint/queue_ways.h"

#define NS_PER_S UINT64_C(1000000000)

void requests_init(struct requests *list)
{
    list->first = NULL;
    list->last = &list->first;
}

void requests_add(struct requests *list, struct request *request)
{
    request->next = NULL;
    *list->last = request;
    list->last = &request->next;
}

struct request *requests_take(struct requests *list)
{
    struct request *request = list->first;

    if (request) {
        list->first = request->next;
        if (!list->first)
            list->last = &list->first;
    }
    return request;
}

void requests_move(struct requests *to, struct requests *from)
{
    if (!from->first)
        return;
    *to->last = from->first;
    to->last = from->last;
    requests_init(from);
}

int endings_init(struct endings *endings)
{
    requests_init(&endings->list);
    endings->asleep = false;
    endings->event_fd = eventfd(0, EFD_CLOEXEC);
    if (endings->event_fd < 0)
        return -errno;
    pthread_mutex_init(&endings->lock, NULL);
    return 0;
}

void endings_deinit(struct endings *endings)
{
    /* Whoever added the last one may still be on its way out of the lock. */
    pthread_mutex_lock(&endings->lock);
    pthread_mutex_unlock(&endings->lock);
    pthread_mutex_destroy(&endings->lock);
    close(endings->event_fd);
}

/* The descriptor is written within the lock: after the last request was taken, which takes the
 * lock, nobody uses it any more. It never blocks: the counter stays far below its limit. */
void endings_add(struct endings *endings, struct request *request)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&endings->lock);
    requests_add(&endings->list, request);
    if (endings->asleep) {
        int r = io_write(endings->event_fd, &one, sizeof(one));

        assert(r == 0);
        (void)r;
        endings->asleep = false;
    }
    pthread_mutex_unlock(&endings->lock);
}

void endings_take(struct endings *endings, struct requests *to, bool will_sleep)
{
    pthread_mutex_lock(&endings->lock);
    endings->asleep = will_sleep && !endings->list.first;
    requests_move(to, &endings->list);
    pthread_mutex_unlock(&endings->lock);
}

void endings_wait(struct endings *endings, uint64_t until_ns)
{
    struct pollfd event = {.fd = endings->event_fd, .events = POLLIN};
    uint64_t now_ns = io_now_ns(), left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec left = {.tv_sec = (time_t)(left_ns / NS_PER_S),
                            .tv_nsec = (long)(left_ns % NS_PER_S)};
    uint64_t n;

    if (ppoll(&event, 1, until_ns == UINT64_MAX ? NULL : &left, NULL) == 1)
        (void)io_read(endings->event_fd, &n, sizeof(n), NULL);
}
