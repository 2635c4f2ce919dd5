#include "fs/reload.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/option.h"

struct live {
    const struct option_row *row;
    size_t offset; /* of the value, a uint64_t */
    request_fn *store;
};

static const struct live of_service[] = {
    {&max_jobs_option, offsetof(struct service_config, max_jobs), service_store_max_jobs},
    {&max_queue_option, offsetof(struct service_config, max_queue), service_store_max_queue},
    {&speed_option, offsetof(struct service_config, speed_bytes_per_s), service_store_speed},
    {&pause_option, offsetof(struct service_config, pause), service_store_pause},
};

static const struct live of_host[] = {
    {&max_jobs_option, offsetof(struct host_config, max_jobs), service_store_max_jobs},
    {&speed_option, offsetof(struct host_config, speed_bytes_per_s), service_store_speed},
    {&drain_option, offsetof(struct host_config, drain), service_store_drain},
};

struct reload {
    const struct options *options;
    size_t n;
    uint64_t values[]; /* as last read: of the service, then of each host */
};

static void owned_options(struct options *options)
{
    options_deinit(options);
}

static int compare_host(const struct host_config *now, const struct host_config *next,
                        struct err *e)
{
    if (strcmp(now->name, next->name) != 0)
        return err_set(e, EBUSY, "where host %s was is %s; hosts come and go by a restart",
                       now->name, next->name);
    if (strcmp(now->path, next->path) != 0)
        return err_set(e, EBUSY, "the path of host %s has changed; that takes a restart",
                       now->name);
    if (strcmp(now->driver, next->driver) != 0)
        return err_set(e, EBUSY, "the driver of host %s has changed; that takes a restart",
                       now->name);
    return 0;
}

static bool same_words(char *const *a, char *const *b)
{
    while (*a && *b && strcmp(*a, *b) == 0)
        a++, b++;
    return !*a && !*b;
}

static bool same_notify(const struct teller_config *a, const struct teller_config *b)
{
    return same_words(a->words, b->words) && a->uid == b->uid && a->gid == b->gid &&
           a->timeout_s == b->timeout_s;
}

/* What cannot change while the service runs. */
static int compare(const struct options *now, const struct options *next, struct err *e)
{
    const char *what = NULL;

    if (strcmp(now->state_dir, next->state_dir) != 0)
        what = "state";
    else if (strcmp(now->mount_point, next->mount_point) != 0)
        what = "the mount point";
    else if (now->group != next->group)
        what = "group";
    else if (now->service.stall_s != next->service.stall_s)
        what = "stall";
    else if (now->service.grace_s != next->service.grace_s)
        what = "grace";
    else if (!same_notify(&now->service.notify, &next->service.notify))
        what = "notify";
    else if (now->service.n_hosts != next->service.n_hosts)
        what = "the number of hosts";
    if (what)
        return err_set(e, EBUSY, "%s has changed; that takes a restart", what);
    for (size_t i = 0; i < now->service.n_hosts; i++)
        if (compare_host(&now->hosts[i], &next->hosts[i], e) < 0)
            return -e->code;
    return 0;
}

static void free_request(struct request *request, int result)
{
    (void)result; /* the store has logged it */
    free(request);
}

/* The value with that place in `values`, and what it is of; host 0: the service. */
static uint64_t value_at(const struct options *options, size_t i, const struct live **ret_live,
                         uint64_t *ret_host)
{
    const size_t n_service = ARRAY_N(of_service), n_host = ARRAY_N(of_host);
    const void *config = &options->service;
    uint64_t value;

    *ret_host = i < n_service ? 0 : (i - n_service) / n_host + 1;
    if (*ret_host)
        config = &options->hosts[*ret_host - 1];
    *ret_live = *ret_host ? &of_host[(i - n_service) % n_host] : &of_service[i];
    memcpy(&value, (const char *)config + (*ret_live)->offset, sizeof(value));
    return value;
}

struct reload *reload_open(const struct options *options)
{
    size_t n = ARRAY_N(of_service) + options->service.n_hosts * ARRAY_N(of_host);
    struct reload *reload = calloc(1, sizeof(*reload) + n * sizeof(reload->values[0]));
    const struct live *live;
    uint64_t host;

    if (!reload)
        return NULL;
    reload->options = options;
    reload->n = n;
    for (size_t i = 0; i < n; i++)
        reload->values[i] = value_at(options, i, &live, &host);
    return reload;
}

void reload_close(struct reload *reload)
{
    free(reload);
}

/* As a write would be. NULL: no memory. */
static struct request *make_request(const struct live *live, uint64_t value, uint64_t host)
{
    OWNED(mem) struct request *request = calloc(1, sizeof(*request));
    OWNED(text) struct text word = {0};

    option_show(live->row, value, &word);
    if (!request || word.failed)
        return NULL;
    *request = (struct request){.carry_out = live->store,
                                .subject.host = host,
                                .caller = {getuid(), getgid(), getpid()},
                                .attr = live->row->name,
                                .answer = free_request};
    snprintf(request->word, sizeof(request->word), "%s", word.bytes);
    return take_ptr(request);
}

/* A request for each value that is another now. 0 or -ENOMEM. */
static int make_requests(const struct reload *reload, const struct options *next,
                         struct request **first)
{
    for (size_t i = 0; i < reload->n; i++) {
        const struct live *live;
        struct request *request;
        uint64_t host, value = value_at(next, i, &live, &host);

        if (value == reload->values[i])
            continue;
        request = make_request(live, value, host);
        if (!request)
            return -ENOMEM;
        request->next = *first;
        *first = request;
    }
    return 0;
}

/* All of them, or none is. */
static void submit(struct service *service, struct request *first, bool all)
{
    for (struct request *next, *request = first; request; request = next) {
        next = request->next;
        if (all)
            service_submit(service, request);
        else
            free(request);
    }
}

int reload_again(struct reload *reload, struct service *service, struct err *e)
{
    const struct options *now = reload->options;
    OWNED(options) struct options next;
    struct request *first = NULL;
    const struct live *live;
    uint64_t host;
    int r;

    options_init(&next);
    r = options_parse(&next, now->argc, now->argv, e);
    if (r == 0)
        r = compare(now, &next, e);
    if (r < 0)
        return r;
    r = make_requests(reload, &next, &first);
    submit(service, first, r == 0);
    if (r < 0)
        return err_set(e, -r, "no memory");
    for (size_t i = 0; i < reload->n; i++)
        reload->values[i] = value_at(&next, i, &live, &host);
    return 0;
}
