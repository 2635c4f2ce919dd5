/*
 * From the first open of a volume's `data` to the last close the volume is in use: its file is open
 * here, once, with a lease that keeps others away from it (POOL_SERVE).
 *
 * A use is asked for (ask, or again: the timer), then open (n_open), then being closed (closed_fd),
 * which a thread of its own does, for a close may wait for the storage. Opens that come before and
 * after it is open wait; the use ends when nobody does.
 */
#include "fs/migrate/use.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "copy/base/cleanup.h"
#include "fs/live/live.h"
#include "fs/migrate/admission.h"

#define ASK_NS    (10 * NS_PER_S) /* who opens it cannot be killed meanwhile */
#define AGAIN_NS  (20 * UINT64_C(1000000))
#define TRIES_MAX 6 /* twice as long after each: 0.6 s in all */
#define GUARD_NS  NS_PER_S

struct use {
    struct service *service;
    uint64_t volume; /* its number: it may go meanwhile */
    char name[TEXT_NAME_BYTES], host[TEXT_HOST_BYTES];
    struct request *waiting, **end;
    struct host_ask *ask;
    struct loop_source *again;
    unsigned n_tries;
    size_t n_open;     /* each has a reference to: */
    struct live *live; /* NULL: not open */
    bool passed;
    int closed_fd; /* an eventfd: the thread has closed it; -1: it is not being closed */
    struct loop_source *closed;
};

static int compare(const void *key, const void *item)
{
    uint64_t number = *(const uint64_t *)key, other = ((const struct use *)item)->volume;

    return (number > other) - (number < other);
}

static struct use *find(const struct service *s, uint64_t volume)
{
    size_t at;

    return table_find(&s->uses, &volume, compare, &at) ? s->uses.items[at] : NULL;
}

bool use_is(const struct vol *v)
{
    return find(v->service, v->record.number) != NULL;
}

static void tell_status(const struct use *use)
{
    struct vol *v = world_volume_by_number(use->service, use->volume);

    if (v)
        world_touch(v, EVENT_BIT(EVENT_STATUS));
}

static void free_use(struct use *use)
{
    host_forget(use->ask);
    loop_remove(use->again);
    loop_remove(use->closed);
    owned_fd(&use->closed_fd);
    free(use);
}

/* A file that took the name of one that is still open may be in use as well. */
static bool is_used_at(const struct service *s, const char *host, const char *name)
{
    for (size_t i = 0; i < s->uses.n; i++) {
        const struct use *use = s->uses.items[i];

        if (strcmp(use->host, host) == 0 && strcmp(use->name, name) == 0)
            return true;
    }
    return false;
}

/* It is out of the table, or goes on elsewhere. */
static void leave_host(struct use *use)
{
    struct site *site = world_site(use->service, use->host);

    use->host[0] = '\0';
    if (site && !is_used_at(use->service, site->host->config.name, use->name))
        host_unuse(site->host, use->name);
}

static void end(struct use *use)
{
    size_t at;

    if (table_find(&use->service->uses, &use->volume, compare, &at))
        table_remove(&use->service->uses, at);
    leave_host(use);
    tell_status(use);
    free_use(use);
}

static void wait(struct use *use, struct request *request)
{
    request->next = NULL;
    *use->end = request;
    use->end = &request->next;
}

static void refuse(struct service *s, struct request *request, const struct err *e)
{
    struct vol *v = world_volume_by_number(s, request->subject.volume);

    request_done(request, s, v ? vol_refuse(v, request, e) : -ENODEV);
}

/* The first takes the reference that the use was opened with. */
static void give(struct use *use, struct request *request)
{
    request->live = use->n_open++ == 0 ? use->live : live_ref(use->live);
    request_done(request, use->service, 0);
}

/* All that wait; e: why they are refused, or NULL: they are given it. */
static void answer_all(struct use *use, const struct err *e)
{
    struct request *request = use->waiting;

    use->waiting = NULL;
    use->end = &use->waiting;
    for (struct request *next; request; request = next) {
        next = request->next;
        if (e)
            refuse(use->service, request, e);
        else
            give(use, request);
    }
}

static void give_up(struct use *use, const struct err *e)
{
    answer_all(use, e);
    end(use);
}

static void guard(void *arg);

/* Without memory for the timer nobody is told who gets past us. */
static void guard_later(struct service *s)
{
    if (s->guarding || (!s->guard && loop_add_timer(s->loop, guard, s, &s->guard) < 0))
        return;
    s->guarding = true;
    loop_set_timer(s->guard, GUARD_NS);
}

static void begin(struct use *use, int fd, uint64_t size_bytes)
{
    struct err e = {ENOMEM, "no memory"};

    use->live = live_open(fd, size_bytes);
    if (!use->live) {
        owned_fd(&fd);
        give_up(use, &e);
        return;
    }
    answer_all(use, NULL);
    guard_later(use->service);
}

static void ask(struct use *use);

static void on_again(void *arg)
{
    ask(arg);
}

/* The volume may have gone, or begun to move, since it was asked last. */
static int may_serve(const struct vol *v, struct err *e)
{
    const struct site *site = v ? world_site(v->service, v->record.host) : NULL;

    if (!v)
        return err_set(e, ENODEV, "the volume is gone");
    if (v->record.status == VOLUME_MIGRATING)
        return err_set(e, EBUSY, "it is being moved; its data can be opened after that");
    if (v->conflict)
        return err_set(e, EIO, "%.200s", v->conflict);
    if (!site || !site->host->up)
        return err_set(e, EHOSTDOWN, "%s is down; see .control/hosts/%s/last_error", v->record.host,
                       v->record.host);
    return 0;
}

static void on_served(void *arg, const struct pool_reply *reply, int fd)
{
    struct use *use = arg;
    struct vol *v = world_volume_by_number(use->service, use->volume);
    struct err e;

    use->ask = NULL;
    if (reply->error == 0 && fd >= 0 && v && may_serve(v, &e) == 0) {
        world_see(v, reply);
        begin(use, fd, reply->size_bytes);
        return;
    }
    owned_fd(&fd);
    /* A look of our own, for a writer of `target`, may be about to end. */
    if (reply->error == EBUSY && use->n_tries < TRIES_MAX) {
        loop_set_timer(use->again, AGAIN_NS << use->n_tries++);
        return;
    }
    if (reply->error)
        e = admission_err(reply);
    else if (may_serve(v, &e) == 0)
        err_set(&e, EIO, "its file did not come");
    give_up(use, &e);
}

static int ask_host(struct use *use, struct host *host, const struct pool_request *request)
{
    int r;

    if (strcmp(use->host, host->config.name) != 0) /* it was moved since it was asked for first */
        leave_host(use);
    snprintf(use->host, sizeof(use->host), "%s", host->config.name);
    r = host_use(host, use->name);

    return r < 0 ? r : host_ask(host, request, -1, ASK_NS, on_served, use, &use->ask);
}

static void ask(struct use *use)
{
    struct vol *v = world_volume_by_number(use->service, use->volume);
    struct pool_request request = {.kind = POOL_SERVE, .has_expect = 1};
    struct err e = {0};
    int r = may_serve(v, &e);

    if (r == 0) {
        request.expect = v->identity;
        snprintf(request.name, sizeof(request.name), "%s", use->name);
        r = v->admission ? -EAGAIN /* which has a lease of its own */
                         : ask_host(use, world_site(use->service, v->record.host)->host, &request);
        if (r < 0)
            err_set(&e, -r, "%s cannot be asked: %s", v->record.host, strerror(-r));
    }
    if (r == -EAGAIN) /* many ask at once */
        loop_set_timer(use->again, AGAIN_NS);
    else if (r < 0)
        give_up(use, &e);
}

static struct use *open_use(struct service *s, const struct vol *v)
{
    struct use *use = calloc(1, sizeof(*use));
    size_t at;

    if (!use)
        return NULL;
    *use = (struct use){.service = s, .volume = v->record.number, .closed_fd = -1};
    use->end = &use->waiting;
    snprintf(use->name, sizeof(use->name), "%s", v->name);
    table_find(&s->uses, &use->volume, compare, &at);
    if (loop_add_timer(s->loop, on_again, use, &use->again) < 0 ||
        table_insert(&s->uses, at, use) < 0) {
        free_use(use);
        return NULL;
    }
    tell_status(use);
    return use;
}

/* It may be refused for the volume's state, and the use ends again, before it returns. */
static void open_first(struct service *s, struct vol *v, struct request *request)
{
    struct use *use = open_use(s, v);
    struct err e = {ENOMEM, "no memory"};

    if (!use) {
        refuse(s, request, &e);
        return;
    }
    wait(use, request);
    ask(use);
}

void service_admit_data(struct service *s, struct request *request)
{
    struct use *use = find(s, request->subject.volume);
    struct vol *v = world_volume_by_number(s, request->subject.volume);

    if (use && use->live)
        give(use, request);
    else if (use)
        wait(use, request);
    else if (v)
        open_first(s, v, request);
    else
        request_done(request, s, -ENODEV);
}

static void on_closed(void *arg, uint32_t events)
{
    struct use *use = arg;

    (void)events;
    loop_remove(take_ptr(use->closed));
    owned_fd(&use->closed_fd);
    use->closed_fd = -1;
    use->n_tries = 0;
    if (use->waiting)
        ask(use);
    else
        end(use);
}

static void close_use(struct use *use, struct live *live)
{
    int r;

    if (use->passed)
        world_look_again(use->service);
    use->live = NULL;
    use->passed = false;
    r = live_close(live, &use->closed_fd);
    if (r == 0)
        r = loop_add_fd(use->service->loop, use->closed_fd, EPOLLIN, on_closed, use, &use->closed);
    if (r < 0) /* no memory: nobody waits for it to be closed */
        on_closed(use, 0);
}

void service_close_data(struct service *s, struct request *request)
{
    struct use *use = find(s, request->subject.volume);
    struct live *live = take_ptr(request->live);

    if (--use->n_open == 0)
        close_use(use, live);
    else
        live_put(live);
    request_done(request, s, 0);
}

/* Whoever opens a file that is leased is not told of, nor who has waited for long enough. */
static void guard(void *arg)
{
    struct service *s = arg;
    bool any = false;

    s->guarding = false;
    for (size_t i = 0; i < s->uses.n; i++) {
        struct use *use = s->uses.items[i];
        bool passed = use->live && !live_is_ours(use->live);

        any |= use->live != NULL;
        if (passed != use->passed)
            world_look_again(s);
        use->passed = passed;
    }
    if (any)
        guard_later(s);
}

void use_report(const struct service *s, use_report_fn *fn, void *arg)
{
    for (size_t i = 0; i < s->uses.n; i++) {
        const struct use *use = s->uses.items[i];

        if (use->passed)
            fn(arg, use->name, "somebody opens its file past data, or waits to");
    }
}

void use_stop_all(struct service *s)
{
    struct err e = {ESHUTDOWN, "ferryfs is stopping"};

    for (size_t i = 0; i < s->uses.n; i++) {
        struct use *use = s->uses.items[i];

        host_forget(take_ptr(use->ask));
        loop_stop_timer(use->again);
        answer_all(use, &e);
    }
}

void use_forget_all(struct service *s)
{
    while (s->uses.n > 0)
        free_use(s->uses.items[--s->uses.n]);
    free(s->uses.items);
    loop_remove(s->guard);
}
