/* What an agent says. It is our own program, but what it looks at is not: every length is checked.
 */
#include "fs/host/talk.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"

static void on_hello(struct host *host, const struct pool_hello *hello)
{
    struct pool_request mark = {.kind = POOL_MARK};
    struct err e = {0};
    int r;

    host->held = hello->marker == POOL_MARKER_HELD;
    host->pool[0] = '\0';
    if (hello->marker != POOL_MARKER_NONE)
        uuid_unparse_lower(hello->uuid, host->pool);
    r = host->events->hello(host->events_arg, host, hello, mark.volume, &e);
    if (r < 0) {
        host_lose(host, e.text);
        return;
    }
    if (hello->marker == POOL_MARKER_NONE && host_send(host, &mark, sizeof(mark), -1) < 0)
        host_lose(host, "its agent takes no orders");
    if (host->held) {
        char text[ERR_TEXT_BYTES];

        snprintf(text, sizeof(text), "the pool is held by another process%s%.200s",
                 hello->text[0] ? ": " : "", hello->text);
        host_say(host, text);
        host->events->changed(host->events_arg, host);
    }
    if (hello->marker != POOL_MARKER_NONE)
        host_show(host);
}

static void on_entries(struct host *host, const struct pool_entries *entries, size_t n_bytes)
{
    size_t head = offsetof(struct pool_entries, entries);

    if (n_bytes < head || entries->n > ARRAY_N(entries->entries) ||
        n_bytes != head + entries->n * sizeof(entries->entries[0])) {
        host_lose(host, "its agent sent a malformed list");
        return;
    }
    for (uint32_t i = 0; i < entries->n; i++)
        host->events->entry(host->events_arg, host, &entries->entries[i]);
}

static void on_scanned(struct host *host, bool complete)
{
    host->scans += complete ? 1U : 0U;
    host->failures = 0;
    if (complete && !host->up) {
        host->last_error[0] = '\0';
        host->up = true;
    }
    host->events->scanned(host->events_arg, host, complete);
    host->events->changed(host->events_arg, host);
}

static void on_space(struct host *host, const struct pool_space *space)
{
    bool same;

    if (space->at_ns < host->space_ns || space->at_ns == 0)
        return;
    same = host->capacity_bytes == space->capacity_bytes && host->free_bytes == space->free_bytes &&
           host->read_only == (space->read_only != 0);
    host->space_ns = space->at_ns;
    host->capacity_bytes = space->capacity_bytes;
    host->free_bytes = space->free_bytes;
    host->max_file_bytes = space->max_file_bytes;
    host->read_only = space->read_only != 0;
    if (!same)
        host->events->changed(host->events_arg, host);
}

/* Every fixed message has its whole size; texts are made to end. */
static const size_t message_bytes[] = {
    [POOL_HELLO] = sizeof(struct pool_hello),
    [POOL_UP] = sizeof(uint32_t),
    [POOL_ENTRIES] = 0,
    [POOL_SCANNED] = sizeof(struct pool_scanned),
    [POOL_SPACE] = sizeof(struct pool_space),
    [POOL_LOST] = sizeof(struct pool_lost),
    [POOL_REPLY] = sizeof(struct pool_reply),
};

void host_take_message(struct host *host, union host_message *m, size_t n, int *fd)
{
    if (n < sizeof(m->kind) || m->kind == 0 || m->kind >= ARRAY_N(message_bytes) ||
        (message_bytes[m->kind] && n != message_bytes[m->kind])) {
        host_lose(host, "its agent sent a malformed message");
        return;
    }
    host->heard_ns = io_now_ns();
    switch ((enum pool_event)m->kind) {
    case POOL_HELLO:
        m->hello.text[sizeof(m->hello.text) - 1] = '\0';
        on_hello(host, &m->hello);
        break;
    case POOL_UP:
        host->held = false;
        owned_fd(&host->lock_fd);
        host->lock_fd = take_fd(fd);
        break;
    case POOL_ENTRIES:
        on_entries(host, &m->entries, n);
        break;
    case POOL_SCANNED:
        on_scanned(host, m->scanned.complete != 0);
        break;
    case POOL_SPACE:
        on_space(host, &m->space);
        break;
    case POOL_LOST:
        m->lost.text[sizeof(m->lost.text) - 1] = '\0';
        host_lose(host, m->lost.text);
        break;
    case POOL_REPLY:
        m->reply.text[sizeof(m->reply.text) - 1] = '\0';
        on_space(host, &m->reply.space); /* first: what the answer leads to is judged by it */
        host_take_reply(host, &m->reply, fd);
        break;
    }
}
