#include "fs/mount/handle.h"

#include <errno.h>
#include <stdlib.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "fs/live/live.h"
#include "fs/mount/state.h"

#define SLOTS_FIRST 64

struct handle *handle_ref(struct handle *handle)
{
    atomic_fetch_add_explicit(&handle->refs, 1, memory_order_relaxed);
    return handle;
}

void handle_put(struct handle *handle)
{
    if (!handle || atomic_fetch_sub_explicit(&handle->refs, 1, memory_order_acq_rel) != 1)
        return;
    snapshot_put(handle->snapshot);
    feed_reader_deinit(&handle->reader);
    free(handle->closing);
    live_let_go(handle->live);
    if (handle->poll)
        fuse_pollhandle_destroy(handle->poll);
    free(handle);
}

static bool blocks(const struct handle *handle)
{
    return handle->node.attr->ready != NULL;
}

/* The user's row, made where it is missing. NULL: no memory. */
static struct handle_user *find_user(struct handles *handles, uid_t uid)
{
    struct handle_user *users;

    for (uint32_t i = 0; i < handles->n_users; i++)
        if (handles->users[i].uid == uid)
            return &handles->users[i];
    users = realloc(handles->users, (handles->n_users + 1) * sizeof(*users));
    if (!users)
        return NULL;
    handles->users = users;
    users[handles->n_users] = (struct handle_user){.uid = uid};
    return &users[handles->n_users++];
}

static int count_user(struct handles *handles, const struct handle *handle)
{
    struct handle_user *user = find_user(handles, handle->caller.uid);

    if (!user)
        return -ENOMEM;
    if (user->uid != 0 && (user->n >= HANDLES_USER_MAX ||
                           (blocks(handle) && user->n_blocking >= HANDLES_BLOCKING_MAX)))
        return -EMFILE;
    user->n++;
    user->n_blocking += blocks(handle) ? 1 : 0;
    return 0;
}

static void discount_user(struct handles *handles, const struct handle *handle)
{
    struct handle_user *user = find_user(handles, handle->caller.uid);

    user->n--;
    user->n_blocking -= blocks(handle) ? 1 : 0;
    if (user->n == 0)
        *user = handles->users[--handles->n_users];
}

static int grow(struct handles *handles)
{
    uint32_t n = handles->n_slots ? handles->n_slots * 2 : SLOTS_FIRST;
    struct handle_slot *slots;

    if (n > HANDLES_MAX)
        return -ENFILE;
    slots = realloc(handles->slots, n * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    /* Generations begin anywhere: a handle of an earlier daemon shall find nothing. */
    for (uint32_t i = handles->n_slots; i < n; i++)
        slots[i] = (struct handle_slot){.generation = (uint32_t)io_now_ns() * 2654435761U,
                                        .next_free = i + 1 < n ? i + 2 : 0};
    handles->first_free = handles->n_slots + 1;
    handles->slots = slots;
    handles->n_slots = n;
    return 0;
}

static int insert(struct handles *handles, struct handle *handle)
{
    struct handle_slot *slot;
    uint32_t place;
    int r = 0;

    if (handles->first_free == 0)
        r = grow(handles);
    if (r == 0)
        r = count_user(handles, handle);
    if (r < 0)
        return r;
    place = handles->first_free - 1;
    slot = &handles->slots[place];
    handles->first_free = slot->next_free;
    slot->handle = handle;
    handle->fh = (uint64_t)slot->generation << 32 | place;
    return 0;
}

int handle_open(struct mount *mount, const struct node *node, const struct caller *caller, bool own,
                struct handle **ret)
{
    struct handle *handle = calloc(1, sizeof(*handle));
    int r;

    if (!handle)
        return -ENOMEM;
    atomic_init(&handle->refs, 2);
    handle->node = *node;
    handle->caller = *caller;
    handle->own = own;
    pthread_mutex_lock(&mount->lock);
    r = insert(&mount->handles, handle);
    pthread_mutex_unlock(&mount->lock);
    if (r < 0) {
        free(handle);
        return r;
    }
    *ret = handle;
    return 0;
}

void handle_remove(struct mount *mount, struct handle *handle)
{
    uint32_t place = (uint32_t)handle->fh;
    struct handle_slot *slot;

    pthread_mutex_lock(&mount->lock);
    slot = &mount->handles.slots[place];
    slot->handle = NULL;
    slot->generation++;
    slot->next_free = mount->handles.first_free;
    mount->handles.first_free = place + 1;
    discount_user(&mount->handles, handle);
    pthread_mutex_unlock(&mount->lock);
    handle_put(handle);
}

struct handle *handle_get(struct mount *mount, uint64_t fh, fuse_ino_t ino)
{
    uint32_t place = (uint32_t)fh, generation = (uint32_t)(fh >> 32);
    struct handle *handle = NULL;

    pthread_mutex_lock(&mount->lock);
    if (place < mount->handles.n_slots && mount->handles.slots[place].generation == generation)
        handle = mount->handles.slots[place].handle;
    if (handle)
        handle_ref(handle);
    pthread_mutex_unlock(&mount->lock);
    if (handle && node_ino(&handle->node) != ino) {
        handle_put(handle);
        return NULL;
    }
    return handle;
}

struct handle *handle_get_live(struct mount *mount, fuse_ino_t ino)
{
    struct handle *found = NULL;

    pthread_mutex_lock(&mount->lock);
    for (uint32_t i = 0; i < mount->handles.n_slots && !found; i++) {
        struct handle *handle = mount->handles.slots[i].handle;

        if (handle && handle->live && node_ino(&handle->node) == ino)
            found = handle_ref(handle);
    }
    pthread_mutex_unlock(&mount->lock);
    return found;
}

void handles_deinit(struct mount *mount)
{
    for (uint32_t i = 0; i < mount->handles.n_slots; i++)
        if (mount->handles.slots[i].handle)
            handle_remove(mount, mount->handles.slots[i].handle);
    free(mount->handles.slots);
    free(mount->handles.users);
    mount->handles = (struct handles){0};
}

void snapshot_put(struct snapshot *snapshot)
{
    if (!snapshot || atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) != 1)
        return;
    text_deinit(&snapshot->text);
    free(snapshot);
}

static int render(struct mount *mount, const struct node *node, struct snapshot **ret)
{
    OWNED(view) struct view *view = view_get(mount->views);
    OWNED(snapshot) struct snapshot *snapshot = NULL;
    struct attr_of of;

    if (node_find(view, node, &of) < 0)
        return -ENODEV;
    snapshot = calloc(1, sizeof(*snapshot));
    if (!snapshot)
        return -ENOMEM;
    atomic_init(&snapshot->refs, 1);
    node->attr->show(&of, &snapshot->text);
    if (snapshot->text.failed)
        return -ENOMEM;
    *ret = take_ptr(snapshot);
    return 0;
}

/* The snapshot to go on with, with a reference. NULL: it has to be taken anew, and what comes from
 * now on is news. */
static struct snapshot *kept(struct mount *mount, struct handle *handle, uint64_t offset)
{
    struct snapshot *snapshot = NULL;

    pthread_mutex_lock(&mount->lock);
    if (offset > 0)
        snapshot = handle->snapshot;
    if (snapshot)
        atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    else
        handle->due = false;
    pthread_mutex_unlock(&mount->lock);
    return snapshot;
}

int handle_read(struct mount *mount, struct handle *handle, uint64_t offset, struct snapshot **ret)
{
    struct snapshot *snapshot = kept(mount, handle, offset), *old;
    int r;

    if (!snapshot) {
        r = render(mount, &handle->node, &snapshot);
        if (r < 0)
            return r;
        atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
        pthread_mutex_lock(&mount->lock);
        old = handle->snapshot;
        handle->snapshot = snapshot;
        pthread_mutex_unlock(&mount->lock);
        snapshot_put(old);
    }
    *ret = snapshot;
    return 0;
}

bool handle_was_read(struct mount *mount, struct handle *handle)
{
    bool was;

    pthread_mutex_lock(&mount->lock);
    was = handle->snapshot != NULL;
    pthread_mutex_unlock(&mount->lock);
    return was;
}
