/*
 * Opening and closing. In closing, requests are served until the last moment: the thread that
 * touches files may be in the middle of one, and so may be the processes that are being told
 * goodbye.
 */
#include "fs/mount/mount.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/mount/file.h"
#include "fs/mount/mountpoint.h"
#include "fs/mount/park.h"
#include "fs/mount/serve.h"
#include "fs/mount/session.h"
#include "fs/mount/state.h"
#include "fs/mount/touch.h"

#define THREADS 4

struct mount *mount_ref(struct mount *mount)
{
    atomic_fetch_add_explicit(&mount->refs, 1, memory_order_relaxed);
    return mount;
}

void mount_put(struct mount *mount)
{
    if (!mount || atomic_fetch_sub_explicit(&mount->refs, 1, memory_order_acq_rel) != 1)
        return;
    session_close(mount); /* first: nobody waits for what comes now */
    handles_deinit(mount);
    touch_close(mount);
    view_put(mount->known);
    owned_fd(&mount->ended_fd);
    owned_fd(&mount->over_fd);
    pthread_mutex_destroy(&mount->lock);
    free(mount->path);
    free(mount);
}

static struct mount *make(const struct mount_config *config, struct service *service)
{
    struct mount *mount = calloc(1, sizeof(*mount));

    if (!mount)
        return NULL;
    atomic_init(&mount->refs, 1);
    pthread_mutex_init(&mount->lock, NULL);
    mount->service = service;
    mount->views = service_views(service);
    mount->uid = geteuid();
    mount->gid = getegid();
    mount->group = config->group;
    mount->n_threads = config->n_threads ? config->n_threads : THREADS;
    clock_gettime(CLOCK_REALTIME, &mount->since);
    mount->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    mount->over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mount->ended_fd < 0 || mount->over_fd < 0 || touch_open(mount) < 0) {
        mount_put(mount);
        return NULL;
    }
    return mount;
}

int mount_open(const struct mount_config *config, struct service *service, struct mount **ret,
               struct err *e)
{
    struct mount *mount = make(config, service);
    int r;

    if (!mount)
        return err_set(e, ENOMEM, "no memory, or too many open files");
    mount->known = view_get(mount->views);
    assert(mount->known);
    r = mountpoint_check(config->path, &mount->path, e);
    if (r == 0)
        r = session_open(mount, config, e);
    if (r < 0) {
        mount_close(mount);
        return r;
    }
    *ret = mount;
    return 0;
}

int mount_serve(struct mount *mount)
{
    return serve_start(mount);
}

int mount_ended_fd(struct mount *mount)
{
    return mount->ended_fd;
}

bool mount_is_alive(struct mount *mount)
{
    return serve_is_alive(mount);
}

static void detach(struct mount *mount)
{
    int r;

    if (!mount->mounted)
        return;
    r = mountpoint_unmount(mount->path, mount->dev);
    if (r < 0 && r != -EXDEV) /* something else is there: it was unmounted already */
        log_say(LOG_WARNING, "cannot unmount %s: %s", mount->path, strerror(-r));
}

void mount_abandon(struct mount *mount)
{
    if (!mount)
        return;
    detach(mount);
    session_abort(mount);
}

int mount_close(struct mount *mount)
{
    int r;

    if (!mount)
        return 0;
    touch_stop(mount);
    park_end_all(mount);
    detach(mount);
    r = serve_stop(mount);
    if (r < 0)
        session_abort(mount);
    else
        mount_put(mount);
    return r;
}

void mount_changed(void *arg, enum about about, uint64_t number, uint32_t events)
{
    struct mount *mount = arg;

    node_changed(mount, about, number, events);
    file_changed(mount, about, number, events);
    park_stir(mount, about, number, events);
    touch_tell(mount, about, number, events);
}
