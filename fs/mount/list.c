#include "fs/mount/list.h"

#include <errno.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/mount/state.h"

/* Cursors; an entry's own is what the kernel hands back to go on behind it. */
#define CURSOR_SELF   1
#define CURSOR_PARENT 2
#define CURSOR_ATTR   0x100   /* + place of the row */
#define CURSOR_DIR    0x200   /* + id of the directory */
#define CURSOR_NUMBER 0x10000 /* * number of the volume or host */

/* Files a directory can have: a row's place is a byte of the inode number. */
#define ATTRS_MAX 0xff

struct list {
    const struct mount *mount;
    const struct view *view;
    struct node node;
    fuse_req_t req;
    bool plus;
    uint64_t cursor;
    char *bytes;
    size_t n, cap;
    int error;
};

static size_t add_plus(struct list *list, const char *name, const struct node *node,
                       uint64_t cursor)
{
    struct fuse_entry_param entry = {
        .ino = node_ino(node),
        .entry_timeout = node_entry_timeout(),
        .attr_timeout = node_attr_timeout(node),
    };
    struct attr_of of;

    if (node_find(list->view, node, &of) < 0 ||
        node_stat(list->mount, &of, node, &entry.attr) < 0) {
        list->error = -ENOMEM;
        return 0;
    }
    if (name[0] == '.' && (name[1] == '\0' || strcmp(name, "..") == 0))
        entry.ino = 0; /* the kernel counts no reference for these two */
    return fuse_add_direntry_plus(list->req, list->bytes + list->n, list->cap - list->n, name,
                                  &entry, (off_t)cursor);
}

/* False: no more fits. */
static bool add(struct list *list, const char *name, const struct node *node, uint64_t cursor)
{
    const struct stat st = {.st_ino = node_ino(node), .st_mode = node->attr ? S_IFREG : S_IFDIR};
    size_t n;

    if (list->plus)
        n = add_plus(list, name, node, cursor);
    else
        n = fuse_add_direntry(list->req, list->bytes + list->n, list->cap - list->n, name, &st,
                              (off_t)cursor);
    if (list->error < 0 || n > list->cap - list->n)
        return false;
    list->n += n;
    list->cursor = cursor;
    return true;
}

static bool add_dots(struct list *list)
{
    const struct attr_dir *dir = list->node.dir, *up = attr_dirs[dir->parent];
    const struct node parent = {up, NULL, up->about == dir->about ? list->node.number : 0};

    if (list->cursor < CURSOR_SELF && !add(list, ".", &list->node, CURSOR_SELF))
        return false;
    return list->cursor >= CURSOR_PARENT || add(list, "..", &parent, CURSOR_PARENT);
}

static bool add_attrs(struct list *list)
{
    const struct attr_dir *dir = list->node.dir;
    uint64_t first = list->cursor < CURSOR_ATTR ? 0 : list->cursor - CURSOR_ATTR + 1;

    for (uint64_t i = first; i < dir->n_attrs && i < ATTRS_MAX; i++) {
        const struct node node = {dir, &dir->attrs[i], list->node.number};

        if (!node.attr->unlisted && !add(list, node.attr->name, &node, CURSOR_ATTR + i))
            return false;
    }
    return true;
}

static bool add_dirs(struct list *list)
{
    for (unsigned id = ATTR_DIR_ROOT + 1; id < ATTR_DIR_N; id++) {
        const struct attr_dir *dir = attr_dirs[id];
        const struct node node = {dir, NULL, list->node.number};

        if (dir->parent != list->node.dir->id || !dir->name || CURSOR_DIR + id <= list->cursor)
            continue;
        if (!add(list, dir->name, &node, CURSOR_DIR + id))
            return false;
    }
    return true;
}

static bool add_volumes(struct list *list, const struct attr_dir *dir)
{
    const struct view *view = list->view;
    uint64_t next = list->cursor / CURSOR_NUMBER + 1;

    for (size_t i = view_place_from(view, next); i < view->n_volumes; i++) {
        const struct view_volume *volume = view_volume_at(view, i);
        const struct node node = {dir, NULL, volume->number};

        if (!add(list, volume->name, &node, volume->number * CURSOR_NUMBER))
            return false;
    }
    return true;
}

static bool add_hosts(struct list *list, const struct attr_dir *dir)
{
    for (size_t i = 0; i < list->view->n_hosts; i++) {
        const struct view_host *host = list->view->hosts[i];
        const struct node node = {dir, NULL, host->number};

        if (host->number > list->cursor / CURSOR_NUMBER &&
            !add(list, host->name, &node, host->number * CURSOR_NUMBER))
            return false;
    }
    return true;
}

static void add_all(struct list *list)
{
    if (list->cursor < CURSOR_PARENT && !add_dots(list))
        return;
    if (list->cursor < CURSOR_DIR && !add_attrs(list))
        return;
    if (list->cursor < CURSOR_NUMBER && !add_dirs(list))
        return;
    for (int id = ATTR_DIR_ROOT + 1; id < ATTR_DIR_N; id++) {
        const struct attr_dir *dir = attr_dirs[id];

        if (dir->parent != list->node.dir->id || dir->name)
            continue;
        if (!(dir->about == ABOUT_VOLUME ? add_volumes : add_hosts)(list, dir))
            return;
    }
}

static void reply(fuse_req_t req, fuse_ino_t ino, size_t size, off_t cursor, bool plus)
{
    struct mount *mount = mount_of(req);
    OWNED(view) struct view *view = view_get(mount->views);
    OWNED(mem) char *bytes = malloc(size);
    struct list list = {.mount = mount,
                        .view = view,
                        .req = req,
                        .plus = plus,
                        .cursor = (uint64_t)cursor,
                        .bytes = bytes,
                        .cap = size};
    struct attr_of of;
    int r = bytes ? node_decode(ino, &list.node) : -ENOMEM;

    if (r == 0)
        r = node_find(view, &list.node, &of);
    if (r == 0 && list.node.attr)
        r = -ENOTDIR;
    if (r == 0)
        add_all(&list);
    if (r == 0 && list.n == 0)
        r = list.error;
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_buf(req, bytes, list.n);
}

void list_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t cursor,
                  struct fuse_file_info *fi)
{
    (void)fi;
    reply(req, ino, size, cursor, false);
}

void list_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t cursor,
                      struct fuse_file_info *fi)
{
    (void)fi;
    reply(req, ino, size, cursor, true);
}

void list_statfs(fuse_req_t req, fuse_ino_t ino)
{
    const struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = NODE_NAME_BYTES};

    (void)ino;
    fuse_reply_statfs(req, &st);
}
