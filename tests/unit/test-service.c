/*
 * The owner thread with a pool: this program, started again with --pool-agent as ferryfs is.
 */
#include "fs/migrate/service.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "fs/backend/backend.h"
#include "fs/host/host.h"

#include "check.h"

#define DEADLINE_S 60

struct world {
    char path[64], state[80];
    struct host_config host;
    struct service_config config;
    struct service *service;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t told;
    uint32_t of_service, of_volumes; /* EVENT_BITs */
};

static void on_change(void *arg, enum about about, uint64_t number, uint32_t events)
{
    struct world *w = arg;

    (void)number;
    pthread_mutex_lock(&w->lock);
    w->of_service |= about == ABOUT_SERVICE ? events : 0;
    w->of_volumes |= about == ABOUT_VOLUME ? events : 0;
    pthread_cond_broadcast(&w->told);
    pthread_mutex_unlock(&w->lock);
}

/* Wait for that news, of the service or of volumes. */
static bool await(struct world *w, const uint32_t *events, enum event event)
{
    struct timespec end;
    int r = 0;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += DEADLINE_S;
    pthread_mutex_lock(&w->lock);
    while (!(*events & EVENT_BIT(event)) && r == 0)
        r = pthread_cond_timedwait(&w->told, &w->lock, &end);
    pthread_mutex_unlock(&w->lock);
    return r == 0;
}

/* It appears with its size: the agent does not see it grow. */
static void make_file(const struct world *w, const char *name, off_t size)
{
    char path[128], hidden[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", w->path, name);
    snprintf(hidden, sizeof(hidden), "%s/.new", w->path);
    fd = open(hidden, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && ftruncate(fd, size) == 0);
    close(fd);
    REQUIRE(rename(hidden, path) == 0);
}

static void grow_file(const struct world *w, const char *name, off_t size)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", w->path, name);
    REQUIRE(truncate(path, size) == 0);
}

static void start(struct world *w)
{
    struct err e = {0};

    REQUIRE(service_open(&w->config, &w->service, &e) == 0);
    REQUIRE(service_wait(w->service, DEADLINE_S * 1000) == 0);
    service_on_change(w->service, on_change, w);
}

static void stop(struct world *w)
{
    CHECK_EQ(service_stop(w->service, DEADLINE_S * 1000), 0);
    service_close(w->service);
}

static void begin(struct world *w)
{
    *w = (struct world){.path = "/tmp/ferryfs-service.XXXXXX"};
    REQUIRE(mkdtemp(w->path));
    snprintf(w->state, sizeof(w->state), "%s.state", w->path);
    strcpy(w->host.name, "ssd");
    strcpy(w->host.driver, "dir");
    strcpy(w->host.path, w->path);
    w->config = (struct service_config){
        .state_dir = w->state, .worker_path = "/none", .hosts = &w->host, .n_hosts = 1};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->told, NULL);
    start(w);
}

static void end(struct world *w)
{
    char command[256];

    pthread_cond_destroy(&w->told);
    pthread_mutex_destroy(&w->lock);
    snprintf(command, sizeof(command), "rm -r %s %s", w->path, w->state);
    CHECK_EQ(system(command), 0);
}

/* The view once so many volumes are served. */
static struct view *await_served(struct world *w, size_t wanted)
{
    for (;;) {
        struct view *view = view_get(service_views(w->service));
        size_t n = 0;

        for (size_t i = 0; i < view->n_volumes; i++)
            n += view_volume_at(view, i)->status == VOLUME_AVAILABLE ? 1 : 0;
        if (n == wanted)
            return view;
        view_put(view);
        REQUIRE(await(w, &w->of_service, EVENT_METRICS)); /* that anything is another now */
        pthread_mutex_lock(&w->lock);
        w->of_service = 0;
        pthread_mutex_unlock(&w->lock);
    }
}

/* Nobody can have looked at it: to tell of it would cost a start several calls for each volume. */
TEST(a_new_volume_is_told_of_as_a_member_alone)
{
    struct world w;

    begin(&w);
    make_file(&w, "db1", 4096);
    view_put(await_served(&w, 1));
    grow_file(&w, "db1", 8192);
    CHECK(await(&w, &w.of_volumes, EVENT_SIZE));
    stop(&w);
    CHECK(!(w.of_volumes & EVENT_BIT(EVENT_PLACE)));
    end(&w);
}

/* Both are in error until their host is up. */
TEST(what_happened_to_many_at_once_is_dated_once)
{
    struct view *view;
    struct world w;

    begin(&w);
    make_file(&w, "db1", 4096);
    make_file(&w, "db2", 4096);
    view_put(await_served(&w, 2));
    stop(&w);
    start(&w);
    view = await_served(&w, 2);
    CHECK(view_volume_at(view, 0)->dates == view_volume_at(view, 1)->dates);
    view_put(view);
    stop(&w);
    end(&w);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--pool-agent") == 0)
        return backend_agent_main();
    return check_main(argc, argv);
}
