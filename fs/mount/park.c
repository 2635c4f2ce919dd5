/*
 * Who may answer a parked read: while it is not armed, the thread that has it in hand (settle);
 * while it is armed, whoever disarms it under the lock. What comes to one that is not armed leaves
 * a mark, and settle looks again. So a request is answered once, and no news is lost between
 * looking at the view and falling asleep.
 */
#include "fs/mount/park.h"

#include <errno.h>
#include <stdlib.h>

#include "copy/base/cleanup.h"
#include "fs/mount/state.h"

struct parked {
    struct parked *next, **pprev;
    struct parked *next_due; /* in the hands of who disarmed it */
    fuse_req_t req;
    struct handle *handle;
    size_t size;
    uint64_t offset, lock_owner;
    bool armed, stirred, ended;
};

int park_ready(struct mount *mount, const struct node *node)
{
    OWNED(view) struct view *view = view_get(mount->views);
    struct attr_of of;

    if (node_find(view, node, &of) < 0)
        return -ENODEV;
    return node->attr->ready(&of) ? 1 : 0;
}

void reply_read(fuse_req_t req, struct mount *mount, struct handle *handle, size_t size,
                uint64_t offset)
{
    OWNED(snapshot) struct snapshot *snapshot = NULL;
    int r = handle_read(mount, handle, offset, &snapshot);
    size_t n;

    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    n = offset < snapshot->text.n ? snapshot->text.n - (size_t)offset : 0;
    fuse_reply_buf(req, n ? snapshot->text.bytes + offset : NULL, n < size ? n : size);
}

static void answer(struct mount *mount, struct parked *parked, int result)
{
    if (result < 0)
        fuse_reply_err(parked->req, -result);
    else
        reply_read(parked->req, mount, parked->handle, parked->size, parked->offset);
    handle_put(parked->handle);
    free(parked);
}

static void unlink_parked(struct parked *parked)
{
    *parked->pprev = parked->next;
    if (parked->next)
        parked->next->pprev = parked->pprev;
}

/* The caller has it in hand: arm it, or answer it. */
static void settle(struct mount *mount, struct parked *parked)
{
    bool armed = false;
    int result = 0;

    while (!armed && result == 0) {
        pthread_mutex_lock(&mount->lock);
        parked->stirred = false;
        pthread_mutex_unlock(&mount->lock);
        result = park_ready(mount, &parked->handle->node);
        pthread_mutex_lock(&mount->lock);
        if (parked->ended || mount->closing)
            result = -EINTR;
        armed = result == 0 && !parked->stirred;
        parked->armed = armed;
        if (result != 0)
            unlink_parked(parked);
        pthread_mutex_unlock(&mount->lock);
    }
    if (result != 0)
        answer(mount, parked, result);
}

/* Called with the request's own lock held, in the middle of fuse_req_interrupt_func too: only an
 * armed one may be answered from here. It is found by its request, as `parked` itself may be freed.
 */
static void on_interrupt(fuse_req_t req, void *arg)
{
    struct mount *mount = arg;
    struct parked *parked;
    bool in_hand = false;

    pthread_mutex_lock(&mount->lock);
    for (parked = mount->parked; parked && parked->req != req;)
        parked = parked->next;
    if (parked) {
        in_hand = parked->armed;
        parked->armed = false;
        parked->ended = true;
        if (in_hand)
            unlink_parked(parked);
    }
    pthread_mutex_unlock(&mount->lock);
    if (in_hand)
        answer(mount, parked, -EINTR);
}

void park_read(struct mount *mount, fuse_req_t req, struct handle *handle, size_t size,
               uint64_t offset, uint64_t lock_owner)
{
    struct parked *parked = calloc(1, sizeof(*parked));

    if (!parked) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    parked->req = req;
    parked->handle = handle_ref(handle);
    parked->size = size;
    parked->offset = offset;
    parked->lock_owner = lock_owner;
    pthread_mutex_lock(&mount->lock);
    parked->next = mount->parked;
    parked->pprev = &mount->parked;
    if (parked->next)
        parked->next->pprev = &parked->next;
    mount->parked = parked;
    pthread_mutex_unlock(&mount->lock);
    fuse_req_interrupt_func(req, on_interrupt, mount);
    settle(mount, parked);
}

struct park_query {
    const struct handle *handle; /* NULL: any */
    uint64_t lock_owner;
    bool ends;
    enum about about;
    uint64_t number;
    uint32_t events;
};

static bool matches(const struct parked *parked, const struct park_query *q)
{
    if (q->handle)
        return parked->handle == q->handle && parked->lock_owner == q->lock_owner;
    /* Whatever it waits for may have gone away. */
    if (q->ends || (q->about == ABOUT_SERVICE && q->events & EVENT_BIT(EVENT_MEMBERS)))
        return true;
    return node_wakes(&parked->handle->node, q->about, q->number, q->events);
}

/* Take in hand what matches, mark what another has in hand, settle. */
static void look_again(struct mount *mount, const struct park_query *q)
{
    struct parked *due = NULL, *next;

    pthread_mutex_lock(&mount->lock);
    for (struct parked *parked = mount->parked; parked; parked = parked->next) {
        if (!matches(parked, q))
            continue;
        parked->stirred = true;
        parked->ended |= q->ends;
        if (!parked->armed)
            continue;
        parked->armed = false;
        parked->next_due = due;
        due = parked;
    }
    pthread_mutex_unlock(&mount->lock);
    for (; due; due = next) {
        next = due->next_due;
        settle(mount, due);
    }
}

void park_stir(struct mount *mount, enum about about, uint64_t number, uint32_t events)
{
    const struct park_query q = {.about = about, .number = number, .events = events};

    look_again(mount, &q);
}

void park_end_owner(struct mount *mount, const struct handle *handle, uint64_t lock_owner)
{
    const struct park_query q = {.handle = handle, .lock_owner = lock_owner, .ends = true};

    look_again(mount, &q);
}

void park_end_all(struct mount *mount)
{
    const struct park_query q = {.ends = true};

    pthread_mutex_lock(&mount->lock);
    mount->closing = true;
    pthread_mutex_unlock(&mount->lock);
    look_again(mount, &q);
}
