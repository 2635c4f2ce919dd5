/*
 * A made-up service with an owner thread of its own, that shows a made-up world and does nothing.
 */
#pragma once

#include <pthread.h>

#include "copy/base/cleanup.h"
#include "fs/attr/attr.h"
#include "fs/mount/mount.h"
#include "tests/unit/check.h"
#include "tests/unit/made-up.h"
#include "tests/unit/no-service.h"

/* Its owner thread carries requests out, and whatever a test wants done there. */
struct service {
    struct view_store *views;
    pthread_t owner;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct request *first, **last;
    bool stop;
    struct mount *mount;

    struct told {
        char word[TEXT_COMMAND_MAX + 1];
        char attr[32];
        struct caller caller;
        struct subject subject;
        unsigned n_stored, n_admitted;
    } told;                         /* what the last stored request was */
    int store_result, admit_result; /* what to answer */
    bool holds;                     /* keep the next request instead of answering it */
    struct request *held;
};

void service_submit(struct service *service, struct request *request)
{
    request->next = NULL;
    pthread_mutex_lock(&service->lock);
    *service->last = request;
    service->last = &request->next;
    pthread_cond_broadcast(&service->wake);
    pthread_mutex_unlock(&service->lock);
}

struct view_store *service_views(struct service *service)
{
    return service->views;
}

static void answer(struct service *service, struct request *request, int result)
{
    pthread_mutex_lock(&service->lock);
    if (service->holds) {
        service->held = request;
        service->holds = false;
        pthread_cond_broadcast(&service->wake);
        request = NULL;
    }
    pthread_mutex_unlock(&service->lock);
    if (request)
        request->answer(request, result);
}

static void store(struct service *service, struct request *request)
{
    int result;

    pthread_mutex_lock(&service->lock);
    strcpy(service->told.word, request->word);
    snprintf(service->told.attr, sizeof(service->told.attr), "%s", request->attr);
    service->told.caller = request->caller;
    service->told.subject = request->subject;
    service->told.n_stored++;
    result = service->store_result;
    pthread_mutex_unlock(&service->lock);
    answer(service, request, result);
}

static void admit(struct service *service, struct request *request)
{
    int result;

    pthread_mutex_lock(&service->lock);
    service->told.n_admitted++;
    result = service->admit_result;
    pthread_mutex_unlock(&service->lock);
    answer(service, request, result);
}

#define STORES(name)                                                                               \
    void service_store_##name(struct service *service, struct request *request)                    \
    {                                                                                              \
        store(service, request);                                                                   \
    }
#define ADMITS(name)                                                                               \
    void service_admit_##name(struct service *service, struct request *request)                    \
    {                                                                                              \
        admit(service, request);                                                                   \
    }
STORES(target)
STORES(abort)
STORES(verify)
STORES(keep)
STORES(retained)
STORES(rescan)
STORES(max_jobs)
STORES(max_queue)
STORES(drain)
STORES(speed)
STORES(evacuate)
STORES(pause)
ADMITS(target)
ADMITS(abort)
ADMITS(retained)
ADMITS(data)

/* No open of it is ever answered with something to close. */
void service_close_data(struct service *service, struct request *request)
{
    store(service, request);
}

static inline struct told what_was_told(struct service *service)
{
    struct told told;

    pthread_mutex_lock(&service->lock);
    told = service->told;
    pthread_mutex_unlock(&service->lock);
    return told;
}

static inline void *own(void *arg)
{
    struct service *service = arg;
    bool stop = false;

    while (!stop) {
        struct request *request;

        pthread_mutex_lock(&service->lock);
        while (!service->first && !service->stop)
            pthread_cond_wait(&service->wake, &service->lock);
        request = service->first;
        stop = !request;
        if (request) {
            service->first = request->next;
            if (!service->first)
                service->last = &service->first;
        }
        pthread_mutex_unlock(&service->lock);
        if (request)
            request->carry_out(service, request);
    }
    return NULL;
}

static inline struct service *service_begin(size_t n_volumes)
{
    struct service *service = calloc(1, sizeof(*service));

    REQUIRE(service);
    service->views = view_store_open();
    service->last = &service->first;
    pthread_mutex_init(&service->lock, NULL);
    pthread_cond_init(&service->wake, NULL);
    view_publish(service->views, made_up_view(n_volumes));
    REQUIRE(pthread_create(&service->owner, NULL, own, service) == 0);
    return service;
}

static inline void service_end(struct service *service)
{
    pthread_mutex_lock(&service->lock);
    service->stop = true;
    pthread_cond_broadcast(&service->wake);
    pthread_mutex_unlock(&service->lock);
    pthread_join(service->owner, NULL);
    view_store_close(service->views);
    free(service);
}

/* A job for the owner that is no request of anybody. */
struct errand {
    struct request request;
    void (*run)(struct service *service, void *arg);
    void *arg;
    bool done;
};

static inline void errand_carry_out(struct service *service, struct request *request)
{
    struct errand *errand = request->answer_arg;

    errand->run(service, errand->arg);
    pthread_mutex_lock(&service->lock);
    errand->done = true;
    pthread_cond_broadcast(&service->wake);
    pthread_mutex_unlock(&service->lock);
}

static inline void on_owner(struct service *service, void (*run)(struct service *, void *),
                            void *arg)
{
    struct errand errand = {.request.carry_out = errand_carry_out, .run = run, .arg = arg};

    errand.request.answer_arg = &errand;
    service_submit(service, &errand.request);
    pthread_mutex_lock(&service->lock);
    while (!errand.done)
        pthread_cond_wait(&service->wake, &service->lock);
    pthread_mutex_unlock(&service->lock);
}

/* The next view: that of now, a volume's fields changed, or it taken out. */
struct change {
    uint64_t number; /* of a volume; 0: none */
    void (*volume)(struct view_volume *volume);
    bool removes;
    enum about about; /* what is told */
    uint64_t told;
    uint32_t events;
};

static inline struct view_volume *changed_volume(const struct change *change,
                                                 struct view_volume *volume)
{
    struct view_volume *copy;

    if (volume->number != change->number || !change->volume)
        return view_volume_ref(volume);
    copy = made_up_copy(volume);
    change->volume(copy);
    for (int event = 0; event < EVENT_N; event++)
        if (change->events & EVENT_BIT(event))
            copy->dates->at[event].tv_nsec++;
    return copy;
}

static inline void publish(struct service *service, void *arg)
{
    const struct change *change = arg;
    OWNED(view) struct view *before = view_get(service->views);
    size_t n = before->n_volumes - (change->removes ? 1 : 0), at = 0;
    struct view *view = view_open(n, before->n_hosts);

    for (size_t i = 0; i < before->n_volumes; i++)
        if (!change->removes || view_volume_at(before, i)->number != change->number)
            made_up_set(view, at++, changed_volume(change, view_volume_at(before, i)));
    for (size_t i = 0; i < before->n_hosts; i++)
        view->hosts[i] = view_host_ref(before->hosts[i]);
    view->health = strdup("ok\n");
    view->events = feed_ref(before->events);
    memcpy(view->changed, before->changed, sizeof(view->changed));
    view_publish(service->views, view);
    mount_changed(service->mount, change->about, change->told, change->events);
}

/* What a job's begin and end change. */
#define JOB_EVENTS                                                                                 \
    (EVENT_BIT(EVENT_STATUS) | EVENT_BIT(EVENT_RESULT) | EVENT_BIT(EVENT_PHASE) |                  \
     EVENT_BIT(EVENT_TARGET))

/* Change a volume and tell of it. */
static inline void change_volume(struct service *service, uint64_t number,
                                 void (*fn)(struct view_volume *), uint32_t events)
{
    struct change change = {
        .number = number, .volume = fn, .about = ABOUT_VOLUME, .told = number, .events = events};

    on_owner(service, publish, &change);
}

static inline void remove_volume(struct service *service, uint64_t number)
{
    struct change change = {.number = number,
                            .removes = true,
                            .about = ABOUT_SERVICE,
                            .events = EVENT_BIT(EVENT_MEMBERS)};

    on_owner(service, publish, &change);
}

static inline void begin_job(struct view_volume *volume)
{
    volume->has_job = true;
    volume->job = 1;
    volume->status = VOLUME_MIGRATING;
    volume->result = "migrating";
}

static inline void end_job(struct view_volume *volume)
{
    volume->has_job = false;
    volume->status = VOLUME_AVAILABLE;
    volume->result = result_names[RESULT_SUCCESS];
}
