#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/backend/agent.h"

#define NS_PER_S        UINT64_C(1000000000)
#define SPACE_NS        (3 * NS_PER_S) /* looked at every 2 s, so at least every 5 s it is sent */
#define RESCAN_NS       (60 * NS_PER_S) /* growth that no event tells of: by mmap, by other machines */
#define RESCAN_BLIND_NS (6 * NS_PER_S) /* without a watch */

static void send_batch(struct agent *agent)
{
    struct pool_entries *batch = &agent->batch;

    if (batch->n == 0)
        return;
    batch->kind = POOL_ENTRIES;
    agent_say(agent, batch,
              offsetof(struct pool_entries, entries) + batch->n * sizeof(batch->entries[0]), -1);
    batch->n = 0;
}

/* A driver's scan ends early when the daemon has gone. */
static int on_entry(const struct pool_entry *entry, void *arg)
{
    struct agent *agent = arg;

    agent->batch.entries[agent->batch.n++] = *entry;
    if (agent->batch.n == ARRAY_N(agent->batch.entries))
        send_batch(agent);
    return agent->stage == AGENT_ENDED ? -EPIPE : 0;
}

static void send_scanned(struct agent *agent, bool complete)
{
    const struct pool_scanned scanned = {.kind = POOL_SCANNED, .complete = complete};

    send_batch(agent);
    agent_say(agent, &scanned, sizeof(scanned), -1);
}

static bool is_news(const struct pool_space *was, const struct pool_space *is)
{
    return is->at_ns - was->at_ns >= SPACE_NS || is->read_only != was->read_only ||
           is->capacity_bytes != was->capacity_bytes || is->free_bytes != was->free_bytes;
}

static void send_space(struct agent *agent, bool only_news)
{
    struct pool_space space = {0};
    int r;

    r = agent->pool->ops->space(agent->pool, &space);
    if (r < 0) {
        agent_lose(agent, -r, "statvfs: %s", strerror(-r));
        return;
    }
    space.kind = POOL_SPACE;
    if (only_news && !is_news(&agent->space, &space))
        return;
    agent->space = space;
    agent_say(agent, &space, sizeof(space), -1);
}

void agent_scan(struct agent *agent)
{
    int r;

    if (agent->stage != AGENT_UP)
        return;
    r = agent->pool->ops->scan(agent->pool, on_entry, agent);
    agent->scanned_ns = io_now_ns();
    if (r < 0) {
        agent_lose(agent, -r, "cannot scan the pool: %s", strerror(-r));
        return;
    }
    send_scanned(agent, true);
    if (agent->stage == AGENT_UP)
        send_space(agent, false);
}

void agent_look(struct agent *agent, const char *name)
{
    if (agent->stage != AGENT_UP)
        return;
    if (agent->pool->ops->look(agent->pool, name, on_entry, agent) == 0)
        send_scanned(agent, false);
}

static void on_change(void *arg, uint32_t events)
{
    struct agent *agent = arg;
    struct err e = {0};
    int r;

    (void)events;
    if (agent->stage != AGENT_UP)
        return;
    r = agent->pool->ops->changed(agent->pool, on_entry, agent);
    if (r == -EOVERFLOW) {
        agent_scan(agent);
    } else if (r < 0) {
        if (agent->pool->ops->check(agent->pool, &e) == 0)
            err_set(&e, -r, "the pool went away: %s", strerror(-r));
        agent_lose(agent, e.code, "%s", e.text);
    } else if (agent->batch.n > 0) {
        send_scanned(agent, false);
        if (agent->stage == AGENT_UP)
            send_space(agent, true);
    }
}

static void start_watch(struct agent *agent)
{
    int fd = agent->pool->ops->watch_fd(agent->pool);

    if (fd < 0 || loop_add_fd(agent->loop, fd, EPOLLIN, on_change, agent, &agent->watch) < 0)
        log_say(LOG_WARNING, "%s cannot be watched, it is scanned every few seconds",
                agent->attach.path);
}

/*
 * While we waited, the marker that is locked now may have been removed or replaced: then the lock
 * means nothing. The watch comes before the scan, so that no change falls between them.
 */
void agent_locked(struct agent *agent)
{
    const uint32_t up = POOL_UP;
    OWNED(fd) int parcel = -1;
    struct err e = {0};
    int r;

    r = agent->pool->ops->check(agent->pool, &e);
    if (r < 0) {
        agent_lose(agent, -r, "%s", e.text);
        return;
    }
    parcel = io_wrap(agent->pool->ops->lock_fd(agent->pool));
    if (parcel < 0) {
        agent_lose(agent, -parcel, "cannot hand on the pool's lock: %s", strerror(-parcel));
        return;
    }
    agent->stage = AGENT_UP;
    agent_say(agent, &up, sizeof(up), parcel);
    start_watch(agent);
    agent_scan(agent);
}

static void send_hello(struct agent *agent, enum pool_marker marker, const uuid_t uuid)
{
    struct pool_hello hello = {.kind = POOL_HELLO, .marker = marker};

    uuid_copy(hello.uuid, uuid);
    if (marker == POOL_MARKER_HELD)
        agent_lock_holder(agent->pool->ops->lock_fd(agent->pool), hello.text, sizeof(hello.text));
    agent_say(agent, &hello, sizeof(hello), -1);
}

static void wait_for_lock(struct agent *agent, int lock_fd)
{
    int r;

    agent->stage = AGENT_WAITING;
    r = agent_lock_wait(lock_fd, &agent->lock_waiter);
    if (r == 0)
        return;
    agent_lose(agent, -r, "cannot wait for the pool's lock: %s", strerror(-r));
}

static void take_lock(struct agent *agent, const uuid_t uuid)
{
    int lock_fd = agent->pool->ops->lock_fd(agent->pool);
    int r = agent_lock_try(lock_fd);

    if (r < 0 && r != -EWOULDBLOCK) {
        agent_lose(agent, -r, "cannot lock the pool: %s", strerror(-r));
        return;
    }
    send_hello(agent, r == 0 ? POOL_MARKER_FREE : POOL_MARKER_HELD, uuid);
    if (!uuid_is_null(agent->attach.expect) && uuid_compare(agent->attach.expect, uuid) != 0)
        agent_lose(agent, ESTALE, "another pool is there than the one that was expected");
    if (agent->stage == AGENT_ENDED)
        return;
    if (r == 0)
        agent_locked(agent);
    else
        wait_for_lock(agent, lock_fd);
}

static void open_pool(struct agent *agent, const struct backend_ops *ops)
{
    struct err e = {0};
    uuid_t uuid = {0};
    int has_marker, r;

    r = ops->attach(agent->attach.path, &agent->pool, &has_marker, uuid, &e);
    if (r < 0) {
        agent_lose(agent, -r, "%s", e.text);
        return;
    }
    agent->pool->used = &agent->used;
    if (has_marker) {
        take_lock(agent, uuid);
        return;
    }
    agent->stage = AGENT_UNMARKED;
    send_hello(agent, POOL_MARKER_NONE, uuid);
}

void agent_attach(struct agent *agent, const struct pool_attach *attach)
{
    const struct backend_ops *ops;

    if (agent->stage != AGENT_NEW || !memchr(attach->driver, '\0', sizeof(attach->driver)) ||
        !memchr(attach->path, '\0', sizeof(attach->path))) {
        agent_end(agent, 1);
        return;
    }
    agent->attach = *attach;
    ops = backend_by_name(attach->driver);
    if (ops)
        open_pool(agent, ops);
    else
        agent_lose(agent, ENOSYS, "there is no such storage driver");
}

/* Whoever made the marker, it is looked at as if it had always been there. */
void agent_mark(struct agent *agent, const uuid_t uuid)
{
    const struct backend_ops *ops;
    struct err e = {0};
    int r;

    if (agent->stage != AGENT_UNMARKED || uuid_is_null(uuid)) {
        agent_end(agent, 1);
        return;
    }
    ops = agent->pool->ops;
    r = ops->mark(agent->pool, uuid, &e);
    if (r < 0 && r != -EEXIST) {
        agent_lose(agent, -r, "%s", e.text);
        return;
    }
    ops->detach(take_ptr(agent->pool));
    open_pool(agent, ops);
}

void agent_look_after(struct agent *agent)
{
    uint64_t rescan_ns = agent->watch ? RESCAN_NS : RESCAN_BLIND_NS;
    struct err e = {0};
    int r;

    if (!agent->pool)
        return;
    r = agent->pool->ops->check(agent->pool, &e);
    if (r < 0) {
        agent_lose(agent, -r, "%s", e.text);
        return;
    }
    if (agent->stage != AGENT_UP)
        return;
    if (io_now_ns() - agent->scanned_ns >= rescan_ns)
        agent_scan(agent);
    else
        send_space(agent, true);
}
