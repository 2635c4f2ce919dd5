#include "fs/mount/node.h"

#include <errno.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/mount/state.h"
#include "fs/mount/touch.h"

#define NUMBER_SHIFT 16
#define DIR_SHIFT    8
#define REMEMBER_S   1.0 /* an answer that crosses the news of a change is wrong for that long */

fuse_ino_t node_ino(const struct node *node)
{
    fuse_ino_t ino = node->number << NUMBER_SHIFT | (fuse_ino_t)node->dir->id << DIR_SHIFT;

    if (node->attr)
        return ino | (fuse_ino_t)(node->attr - node->dir->attrs + 1);
    return node->dir->id == ATTR_DIR_ROOT ? FUSE_ROOT_ID : ino;
}

int node_decode(fuse_ino_t ino, struct node *ret)
{
    uint64_t id = ino >> DIR_SHIFT & 0xff, place = ino & 0xff;
    struct node node = {.number = ino >> NUMBER_SHIFT};

    if (ino == FUSE_ROOT_ID)
        place = 0;
    if (id >= ATTR_DIR_N)
        return -ESTALE;
    node.dir = attr_dirs[id];
    if (place > node.dir->n_attrs || (node.number == 0) != (node.dir->about == ABOUT_SERVICE))
        return -ESTALE;
    if (place > 0)
        node.attr = &node.dir->attrs[place - 1];
    *ret = node;
    return 0;
}

int node_find(const struct view *view, const struct node *node, struct attr_of *ret)
{
    struct attr_of of = {.view = view};

    if (node->dir->about == ABOUT_VOLUME)
        of.volume = view_volume_by_number(view, node->number);
    if (node->dir->about == ABOUT_HOST)
        of.host = view_host_by_number(view, node->number);
    if (node->number != 0 && !of.volume && !of.host)
        return -ESTALE;
    *ret = of;
    return 0;
}

bool node_wakes(const struct node *node, enum about about, uint64_t number, uint32_t events)
{
    if (!node->attr || !(events & EVENT_BIT(node->attr->wakes_on)))
        return false;
    if (node->dir->about == about)
        return node->number == number;
    /* What is said of a volume may depend on every host, and on the queue. */
    return node->attr->wakes_on == EVENT_HOST && node->dir->about == ABOUT_VOLUME &&
           about != ABOUT_VOLUME;
}

/* A name is remembered: what is asked of a thing that is gone answers ESTALE, which makes the
 * kernel look the name up again. */
double node_entry_timeout(void)
{
    return REMEMBER_S;
}

/*
 * The kernel is told of what changes (node_changed), before who changed it is answered. Not told,
 * and asked for each time: what changes between two publications, what waits, and what any host may
 * change of every volume.
 */
static bool is_remembered(const struct node *node)
{
    const struct attr *attr = node->attr;
    bool always = attr && (attr->wakes_on == EVENT_PROGRESS || attr->ready || attr->data ||
                           node->dir->about != ABOUT_VOLUME);

    return !always && !(attr && attr->wakes_on == EVENT_HOST);
}

double node_attr_timeout(const struct node *node)
{
    return is_remembered(node) ? REMEMBER_S : 0;
}

static size_t n_members(const struct view *view, const struct attr_dir *dir)
{
    if (dir->name)
        return 1;
    return dir->about == ABOUT_VOLUME ? view->n_volumes : view->n_hosts;
}

static void stat_dir(const struct attr_of *of, const struct node *node, struct stat *st)
{
    const struct attr by_members = {.wakes_on = EVENT_MEMBERS};

    st->st_mode = S_IFDIR | 0555;
    st->st_nlink = 2;
    for (int id = ATTR_DIR_ROOT + 1; id < ATTR_DIR_N; id++)
        if (attr_dirs[id]->parent == node->dir->id)
            st->st_nlink += n_members(of->view, attr_dirs[id]);
    st->st_mtim = attr_changed(of, &by_members);
}

static void stat_data(const struct attr_of *of, struct stat *st)
{
    st->st_mode = S_IFREG | of->volume->mode;
    st->st_nlink = 1;
    st->st_size = (off_t)of->volume->size_bytes;
    st->st_blocks = (blkcnt_t)(of->volume->allocated_bytes / 512);
    st->st_mtim.tv_sec = of->volume->mtime_s;
    st->st_uid = of->volume->uid;
    st->st_gid = of->volume->gid;
}

static int stat_file(const struct mount *mount, const struct attr_of *of, const struct node *node,
                     struct stat *st)
{
    OWNED(text) struct text text = {0};
    uint64_t n_bytes;

    if (node->attr->show)
        node->attr->show(of, &text);
    if (text.failed)
        return -ENOMEM;
    if (node->attr->feed)
        n_bytes = feed_bytes(node->attr->feed(of));
    else
        n_bytes = text.n;
    st->st_mode = S_IFREG | node->attr->mode;
    st->st_nlink = 1;
    st->st_size = (off_t)n_bytes;
    st->st_blocks = (st->st_size + 511) / 512;
    st->st_mtim = attr_changed(of, node->attr);
    if (node->attr->store)
        st->st_gid = mount->group;
    return 0;
}

int node_stat(const struct mount *mount, const struct attr_of *of, const struct node *node,
              struct stat *ret)
{
    struct stat st = {.st_ino = node_ino(node), .st_uid = mount->uid, .st_gid = mount->gid};
    int r = 0;

    st.st_blksize = 4096;
    if (node->attr && node->attr->data)
        stat_data(of, &st);
    else if (node->attr)
        r = stat_file(mount, of, node, &st);
    else
        stat_dir(of, node, &st);
    if (st.st_mtim.tv_sec == 0)
        st.st_mtim = mount->since;
    st.st_ctim = st.st_mtim;
    st.st_atim = st.st_mtim;
    if (r == 0)
        *ret = st;
    return r;
}

/* Of the volume or host of that name; 0: there is none. */
static uint64_t number_of(const struct view *view, enum about about, const char *name)
{
    const struct view_volume *volume =
        about == ABOUT_VOLUME ? view_volume_by_name(view, name) : NULL;
    const struct view_host *host = about == ABOUT_HOST ? view_host_by_name(view, name) : NULL;

    return volume ? volume->number : host ? host->number : 0;
}

/* A file, a fixed directory, or a volume's or host's. 0 or -ENOENT. */
static int find_child(const struct view *view, const struct node *parent, const char *name,
                      struct node *ret)
{
    const struct attr_dir *dir = parent->dir;

    for (size_t i = 0; i < dir->n_attrs; i++)
        if (strcmp(dir->attrs[i].name, name) == 0) {
            *ret = (struct node){dir, &dir->attrs[i], parent->number};
            return 0;
        }
    for (int id = ATTR_DIR_ROOT + 1; id < ATTR_DIR_N; id++) {
        const struct attr_dir *child = attr_dirs[id];
        uint64_t number = parent->number;

        if (child->parent != dir->id || (child->name && strcmp(child->name, name) != 0))
            continue;
        if (!child->name)
            number = number_of(view, child->about, name);
        if (!child->name && number == 0)
            continue;
        *ret = (struct node){child, NULL, number};
        return 0;
    }
    return -ENOENT;
}

/*
 * Not fuse_lowlevel_notify_inval_entry, though it says just this: it waits for the lock of the
 * parent, which is held while requests are served, and a daemon that is killed in that wait never
 * ends.
 */
static void forget_attr(struct mount *mount, fuse_ino_t ino)
{
    fuse_lowlevel_notify_inval_inode(mount->session, ino, -1, 0);
}

/*
 * Taking over an answer's attributes, the kernel forgets first that its own are out of date: who
 * asks in between is told the old ones (fuse_change_attributes of Linux). It throws away an answer
 * that news of a change has overtaken, though. The thread that touches comes right after each
 * change: all of its answers are overtaken.
 */
static void forget_if_own(fuse_req_t req, fuse_ino_t ino)
{
    struct mount *mount = mount_of(req);

    if (touch_is_own(mount, fuse_req_ctx(req)->pid))
        forget_attr(mount, ino);
}

static int lookup(const struct mount *mount, const struct view *view, fuse_ino_t parent,
                  const char *name, struct fuse_entry_param *ret)
{
    struct node dir, node;
    struct attr_of of;
    int r;

    if (strlen(name) > NODE_NAME_BYTES)
        return -ENAMETOOLONG;
    r = node_decode(parent, &dir);
    if (r == 0)
        r = node_find(view, &dir, &of);
    if (r == 0 && dir.attr)
        r = -ENOTDIR;
    if (r == 0)
        r = find_child(view, &dir, name, &node);
    if (r == 0)
        r = node_find(view, &node, &of);
    if (r == 0)
        r = node_stat(mount, &of, &node, &ret->attr);
    if (r < 0)
        return r;
    ret->ino = node_ino(&node);
    ret->entry_timeout = node_entry_timeout();
    ret->attr_timeout = node_attr_timeout(&node);
    return 0;
}

void node_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *mount = mount_of(req);
    OWNED(view) struct view *view = view_get(mount->views);
    struct fuse_entry_param entry = {0};
    int r = lookup(mount, view, parent, name, &entry);

    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    forget_if_own(req, entry.ino);
    fuse_reply_entry(req, &entry);
}

static void reply_attr(fuse_req_t req, fuse_ino_t ino)
{
    struct mount *mount = mount_of(req);
    OWNED(view) struct view *view = view_get(mount->views);
    struct stat st;
    struct node node;
    struct attr_of of;
    int r;

    r = node_decode(ino, &node);
    if (r == 0)
        r = node_find(view, &node, &of);
    if (r == 0)
        r = node_stat(mount, &of, &node, &st);
    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    forget_if_own(req, ino);
    fuse_reply_attr(req, &st, node_attr_timeout(&node));
}

/* Who has `data` open goes on when the volume has gone, as with any file. The kernel does not tell
 * which open file it asks for. */
static bool reply_attr_of_gone(fuse_req_t req, fuse_ino_t ino)
{
    struct mount *mount = mount_of(req);
    OWNED(view) struct view *view = view_get(mount->views);
    OWNED(handle) struct handle *handle = NULL;
    struct node node;
    struct attr_of of;

    if (node_decode(ino, &node) < 0 || !node.attr || !node.attr->data ||
        node_find(view, &node, &of) == 0)
        return false;
    handle = handle_get_live(mount, ino);
    if (handle)
        fuse_reply_attr(req, &handle->stat, 0);
    return handle != NULL;
}

void node_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    if (!reply_attr_of_gone(req, ino))
        reply_attr(req, ino);
}

/* truncate and utimes mean nothing; a size is changed by those who may write, though. A volume's
 * own is what it is. */
static int may_resize(const struct mount *mount, const struct node *node, off_t size)
{
    OWNED(view) struct view *view = view_get(mount->views);
    struct attr_of of;
    int r = node_find(view, node, &of);

    if (r < 0)
        return r;
    if (!node->attr || !(node->attr->store || node->attr->data))
        return -EACCES;
    return node->attr->data && (uint64_t)size != of.volume->size_bytes ? -EPERM : 0;
}

void node_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *to, int what,
                  struct fuse_file_info *fi)
{
    struct node node;
    int r = node_decode(ino, &node);

    (void)fi;
    if (r == 0 && what & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
        r = -EPERM;
    if (r == 0 && what & FUSE_SET_ATTR_SIZE)
        r = may_resize(mount_of(req), &node, to->st_size);
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        reply_attr(req, ino);
}

/* Both are sorted. */
static void forget_gone(struct mount *mount, const struct view *before, const struct view *now)
{
    size_t j = 0;

    for (size_t i = 0; i < before->n_volumes; i++) {
        uint64_t number = view_volume_at(before, i)->number;
        const struct node gone = {attr_dirs[ATTR_DIR_VOLUME], NULL, number};

        while (j < now->n_volumes && view_volume_at(now, j)->number < number)
            j++;
        if (j == now->n_volumes || view_volume_at(now, j)->number != number)
            forget_attr(mount, node_ino(&gone));
    }
}

/* The sizes and dates of a volume's files. */
static void forget_files(struct mount *mount, uint64_t number, uint32_t events)
{
    for (int id = 0; id < ATTR_DIR_N; id++)
        for (size_t i = 0; i < attr_dirs[id]->n_attrs; i++) {
            const struct node node = {attr_dirs[id], &attr_dirs[id]->attrs[i], number};

            if (is_remembered(&node) && node_wakes(&node, ABOUT_VOLUME, number, events))
                forget_attr(mount, node_ino(&node));
        }
}

void node_changed(struct mount *mount, enum about about, uint64_t number, uint32_t events)
{
    const struct node root = {attr_dirs[ATTR_DIR_ROOT], NULL, 0};
    struct view *now;

    if (about == ABOUT_VOLUME)
        forget_files(mount, number, events);
    if (about != ABOUT_SERVICE || !(events & EVENT_BIT(EVENT_MEMBERS)))
        return;
    now = view_get(mount->views);
    forget_attr(mount, node_ino(&root));
    forget_gone(mount, mount->known, now);
    view_put(mount->known);
    mount->known = now;
}
