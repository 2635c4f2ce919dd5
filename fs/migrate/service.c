/*
 * The owner thread: its loop, its inbox, and the order of things in a turn: what happened is worked
 * off, then the view is published, then the writers are answered, so that whoever is told of a
 * change sees it.
 */
#include <assert.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/migrate/evacuate.h"
#include "fs/migrate/events.h"
#include "fs/migrate/use.h"

#define TICK_NS      (100 * UINT64_C(1000000))
#define READY_MAX_NS (2 * NS_PER_S) /* a pool that hangs does not hold up the others */
#define LOOK_MS      1000
#define GETS_ON_NS   UINT64_C(1000000) /* of a processor, since the last look: less is no work */

uint64_t world_now_s(void)
{
    return (uint64_t)time(NULL);
}

struct view_store *service_views(struct service *s)
{
    return s->views;
}

void service_on_change(struct service *s, service_change_fn *fn, void *arg)
{
    s->on_change_arg = arg;
    atomic_store(&s->on_change, fn);
}

void service_submit(struct service *s, struct request *request)
{
    bool closed;

    request->next = NULL;
    pthread_mutex_lock(&s->inbox.lock);
    closed = s->inbox.closed;
    if (!closed) {
        *s->inbox.end = request;
        s->inbox.end = &request->next;
    }
    pthread_mutex_unlock(&s->inbox.lock);
    if (closed)
        request->answer(request, -ESHUTDOWN);
    else
        loop_wake(s->loop);
}

static struct request *take_inbox(struct service *s, bool close)
{
    struct request *first;

    pthread_mutex_lock(&s->inbox.lock);
    first = s->inbox.first;
    s->inbox.first = NULL;
    s->inbox.end = &s->inbox.first;
    s->inbox.closed |= close;
    pthread_mutex_unlock(&s->inbox.lock);
    return first;
}

void request_done(struct request *request, struct service *s, int result)
{
    s->totals.n_refused += result < 0 ? 1 : 0;
    request->result = result;
    request->next = NULL;
    *s->answered_end = request;
    s->answered_end = &request->next;
}

static void answer_all(struct service *s)
{
    struct request *request = s->answered;

    s->answered = NULL;
    s->answered_end = &s->answered;
    while (request) {
        struct request *next = request->next;

        request->answer(request, request->result);
        request = next;
    }
}

static bool is_ready(const struct service *s)
{
    if (io_now_ns() - s->began_ns > READY_MAX_NS)
        return true;
    for (size_t i = 0; i < s->n_sites; i++)
        if (s->sites[i]->host->scans == 0 && !s->sites[i]->host->last_error[0])
            return false;
    return true;
}

static void tell_ready(struct service *s)
{
    s->ready = true;
    world_look_again(s); /* at health: what was not said of the start alone */
    if (eventfd_write(s->ready_fd, 1) < 0)
        log_say(LOG_ERR, "cannot tell that the pools were looked at: %s", strerror(errno));
    malloc_trim(0); /* a start takes memory that nobody needs afterwards */
}

static void stop(struct service *s)
{
    s->stopped = true;
    world_look_again(s);
    for (struct request *next, *request = take_inbox(s, true); request; request = next) {
        next = request->next;
        request_done(request, s, -ESHUTDOWN);
    }
    for (size_t i = 0; i < s->by_number.table.n; i++)
        admission_cancel(s->by_number.table.items[i]);
    for (size_t i = 0; i < s->n_sites; i++)
        evacuation_cancel_check(s->sites[i]);
    use_stop_all(s);
    world_publish(s);
    answer_all(s);
    migration_close_all(s);
    for (size_t i = 0; i < s->n_sites; i++) {
        host_close(s->sites[i]->host);
        s->sites[i]->host = NULL;
    }
    loop_stop(s->loop);
}

static void after_turn(void *arg)
{
    struct service *s = arg;

    if (atomic_load(&s->stopping) && !s->stopped) {
        stop(s);
        return;
    }
    for (struct request *next, *request = take_inbox(s, false); request; request = next) {
        next = request->next;
        request->carry_out(s, request);
    }
    world_publish(s);
    answer_all(s);
    evacuation_go_on(s);
    if (!s->ready && is_ready(s))
        tell_ready(s);
    if (!s->ticking && (s->migrations.n || !s->ready || evacuation_is_any(s))) {
        s->ticking = true;
        loop_set_timer(s->tick, TICK_NS);
    }
}

static void on_tick(void *arg)
{
    struct service *s = arg;

    s->ticking = false;
    migration_tick(s);
}

/* What could not be recorded or shown is tried again. */
static void on_retry(void *arg)
{
    struct service *s = arg;

    world_save_discoveries(s);
    for (size_t i = 0; i < s->n_sites; i++)
        host_rescan(s->sites[i]->host);
}

static int open_hosts(struct service *s)
{
    for (size_t i = 0; i < s->config->n_hosts; i++) {
        struct site *site = s->sites[i];
        int r = host_open(s->loop, &s->config->hosts[i], i > 0 ? s->sites[i - 1]->host : NULL,
                          &world_host_events, s, &site->host);

        if (r < 0)
            return r;
        world_touch_site(site, UINT32_MAX);
        s->n_sites = i + 1;
    }
    return 0;
}

static int load_job(const struct job *job, void *arg)
{
    return migration_load(arg, job);
}

static void *run(void *arg)
{
    struct service *s = arg;
    struct err e = {0};

    s->began_ns = io_now_ns();
    s->result = open_hosts(s);
    if (s->result == 0)
        s->result = world_load(s, &e);
    if (s->result == 0)
        events_say(s, SAY_STARTED, NULL, "ferryfs %s begins: %zu hosts, %zu volumes known",
                   FERRYFS_VERSION, s->n_sites, s->by_number.table.n);
    if (s->result == 0)
        s->result = evacuation_load(s);
    if (s->result == 0)
        s->result = world_load_retained(s);
    if (s->result == 0)
        s->result = catalog_each_job(s->catalog, load_job, s);
    if (s->result == 0) {
        world_touch_service(s, UINT32_MAX);
        world_publish(s);
        loop_wake(s->loop);
        s->result = loop_run(s->loop);
    }
    if (s->result < 0) {
        log_say(LOG_ERR, "the service cannot go on: %s %s", strerror(-s->result), e.text);
        tell_ready(s);
    }
    if (eventfd_write(s->ended_fd, 1) < 0)
        log_say(LOG_ERR, "cannot tell that the service has ended: %s", strerror(errno));
    return NULL;
}

static int make_sites(struct service *s)
{
    s->sites = calloc(s->config->n_hosts + 1, sizeof(*s->sites));
    for (size_t i = 0; s->sites && i < s->config->n_hosts; i++) {
        s->sites[i] = calloc(1, sizeof(**s->sites));
        if (!s->sites[i])
            return -ENOMEM;
        s->sites[i]->service = s;
    }
    return s->sites ? 0 : -ENOMEM;
}

static int prepare_events(struct service *s)
{
    struct teller *notify = NULL;
    int r = 0;

    if (s->config->notify.words[0])
        r = teller_open(s->loop, &s->config->notify, &notify);
    if (r == 0)
        r = events_open(notify, &s->events);
    if (r < 0)
        teller_close(notify);
    return r;
}

static int prepare(struct service *s)
{
    int r = loop_open(&s->loop);

    if (r == 0)
        r = loop_add_timer(s->loop, on_tick, s, &s->tick);
    if (r == 0)
        r = loop_add_timer(s->loop, on_retry, s, &s->retry);
    if (r == 0)
        r = world_open_expiry(s);
    if (r == 0)
        r = make_sites(s);
    if (r < 0)
        return r;
    loop_set_after(s->loop, after_turn, s);
    r = prepare_events(s);
    if (r < 0)
        return r;
    s->views = view_store_open();
    if (!s->views)
        return -ENOMEM;
    s->ready_fd = eventfd(0, EFD_CLOEXEC);
    if (s->ready_fd >= 0)
        s->ended_fd = eventfd(0, EFD_CLOEXEC);
    return s->ended_fd < 0 ? -errno : 0;
}

int service_open(const struct service_config *config, struct service **ret, struct err *e)
{
    struct service *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(e, ENOMEM, "no memory");
    s->config = config;
    s->max_jobs = config->max_jobs;
    s->max_queue = config->max_queue;
    s->totals.began_at_s = world_now_s();
    s->speed_bytes_per_s = config->speed_bytes_per_s;
    s->pause = config->pause;
    s->ready_fd = s->ended_fd = s->expiry_fd = -1;
    s->answered_end = &s->answered;
    TAILQ_INIT(&s->news);
    world_init_volumes(s);
    s->notes_new = true;
    s->inbox.end = &s->inbox.first;
    pthread_mutex_init(&s->inbox.lock, NULL);
    r = prepare(s);
    if (r < 0)
        err_set(e, -r, "cannot prepare the service: %s", strerror(-r));
    if (r == 0)
        r = catalog_open(config->state_dir, &s->catalog, e);
    if (r == 0) {
        r = -pthread_create(&s->thread, NULL, run, s);
        if (r < 0)
            err_set(e, -r, "cannot start a thread: %s", strerror(-r));
    }
    if (r < 0) {
        service_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

static int await(int event_fd, int timeout_ms)
{
    struct pollfd event = {.fd = event_fd, .events = POLLIN};
    eventfd_t told;
    int n;

    do
        n = poll(&event, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return -ETIMEDOUT;
    return n < 0 || eventfd_read(event_fd, &told) < 0 ? -errno : 0;
}

int service_wait(struct service *s, int timeout_ms)
{
    uint64_t spent_ns = io_spent_ns(s->thread), before_ns;
    int r, idle_ms = 0;

    do {
        before_ns = spent_ns;
        r = await(s->ready_fd, LOOK_MS);
        spent_ns = io_spent_ns(s->thread);
        idle_ms = spent_ns > before_ns + GETS_ON_NS ? 0 : idle_ms + LOOK_MS;
    } while (r == -ETIMEDOUT && idle_ms < timeout_ms);
    return r < 0 ? r : s->result;
}

/* pthread_timedjoin_np goes by the time of day, which is set, and ThreadSanitizer does not know
 * pthread_clockjoin_np. */
int service_stop(struct service *s, int timeout_ms)
{
    int r;

    atomic_store(&s->stopping, true);
    loop_wake(s->loop);
    r = await(s->ended_fd, timeout_ms);
    return r < 0 ? r : -pthread_join(s->thread, NULL);
}

void service_abandon(struct service *s)
{
    catalog_close(take_ptr(s->catalog));
}

void service_close(struct service *s)
{
    if (!s)
        return;
    world_forget_shown(s);
    for (size_t i = 0; s->sites && i < s->config->n_hosts; i++) {
        if (s->sites[i]) {
            host_close(s->sites[i]->host);
            world_forget_taken(s->sites[i]);
        }
        free(s->sites[i]);
    }
    free(s->sites);
    world_forget_gone(s);
    world_forget_left(s);
    free(s->left.items);
    world_forget_volumes(s);
    free(s->migrations.items);
    free(s->history);
    free(s->notes);
    catalog_close(s->catalog);
    view_store_close(s->views);
    events_close(s->events);
    loop_remove(s->tick);
    loop_remove(s->retry);
    loop_remove(s->expiry);
    loop_close(s->loop);
    owned_fd(&s->expiry_fd);
    owned_fd(&s->ready_fd);
    owned_fd(&s->ended_fd);
    pthread_mutex_destroy(&s->inbox.lock);
    free(s);
}
