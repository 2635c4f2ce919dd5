/*
 * The least that libfuse asks of a file system with many files, to compare with: N directories,
 * v0 v1 ..., and in each a file `status` that reads "available". Nothing in it ever changes, so it
 * has no lock, no table and no text to make: what it costs is the kernel's and libfuse's part.
 *
 * Usage: minimal MOUNT-POINT N THREADS; serves in the foreground until it is unmounted.
 *
 * Inode numbers: 1 the root; 2 * i + 2 the directory of i, 2 * i + 3 its file. The kernel may
 * remember attributes and names for a second, as in libfuse's own example hello_ll.
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REMEMBER_S 1.0

static const char value[] = "available\n";
static const char file_name[] = "status";
static unsigned long n_dirs;

static int is_file(fuse_ino_t ino)
{
    return ino > FUSE_ROOT_ID && ino % 2 == 1;
}

static fuse_ino_t ino_of(unsigned long i)
{
    return 2 * i + 2;
}

static void fill(fuse_ino_t ino, struct stat *st)
{
    *st = (struct stat){.st_ino = ino, .st_mode = S_IFDIR | 0555, .st_nlink = 2};
    if (is_file(ino)) {
        st->st_mode = S_IFREG | 0444;
        st->st_nlink = 1;
        st->st_size = sizeof(value) - 1;
    }
}

static void fill_entry(fuse_ino_t ino, struct fuse_entry_param *entry)
{
    *entry = (struct fuse_entry_param){
        .ino = ino, .attr_timeout = REMEMBER_S, .entry_timeout = REMEMBER_S};
    fill(ino, &entry->attr);
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry;
    unsigned long i = 0;
    char *end;

    if (parent == FUSE_ROOT_ID) {
        i = name[0] == 'v' ? strtoul(name + 1, &end, 10) : n_dirs;
        if (i >= n_dirs || *end != '\0') {
            fuse_reply_err(req, ENOENT);
            return;
        }
        fill_entry(ino_of(i), &entry);
    } else if (strcmp(name, file_name) == 0) {
        fill_entry(parent + 1, &entry);
    } else {
        fuse_reply_err(req, ENOENT);
        return;
    }
    fuse_reply_entry(req, &entry);
}

static void getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat st;

    (void)fi;
    fill(ino, &st);
    fuse_reply_attr(req, &st, REMEMBER_S);
}

/* An entry's cursor is its place + 1. */
static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t cursor, int plus)
{
    unsigned long n = ino == FUSE_ROOT_ID ? n_dirs : 1;
    char *bytes = malloc(size), name[32];
    size_t used = 0;

    if (bytes == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    for (unsigned long i = (unsigned long)cursor; i < n; i++) {
        struct fuse_entry_param entry;
        size_t room = size - used, needed;

        fill_entry(ino == FUSE_ROOT_ID ? ino_of(i) : ino + 1, &entry);
        snprintf(name, sizeof(name), "v%lu", i);
        if (ino != FUSE_ROOT_ID)
            memcpy(name, file_name, sizeof(file_name));
        needed = plus ? fuse_add_direntry_plus(req, bytes + used, room, name, &entry, (off_t)i + 1)
                      : fuse_add_direntry(req, bytes + used, room, name, &entry.attr, (off_t)i + 1);
        if (needed > room)
            break;
        used += needed;
    }
    fuse_reply_buf(req, bytes, used);
    free(bytes);
}

static void readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t cursor,
                    struct fuse_file_info *fi)
{
    (void)fi;
    list(req, ino, size, cursor, 0);
}

static void readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t cursor,
                        struct fuse_file_info *fi)
{
    (void)fi;
    list(req, ino, size, cursor, 1);
}

static void open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (!is_file(ino)) {
        fuse_reply_err(req, EISDIR);
        return;
    }
    fi->direct_io = 1;
    fuse_reply_open(req, fi);
}

static void read_file(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                      struct fuse_file_info *fi)
{
    size_t n = sizeof(value) - 1;

    (void)ino;
    (void)fi;
    if ((size_t)offset >= n)
        fuse_reply_buf(req, NULL, 0);
    else
        fuse_reply_buf(req, value + offset, n - (size_t)offset < size ? n - (size_t)offset : size);
}

static const struct fuse_lowlevel_ops ops = {
    .lookup = lookup,
    .getattr = getattr,
    .readdir = readdir,
    .readdirplus = readdirplus,
    .open = open_file,
    .read = read_file,
};

static int serve(const char *mount_point, unsigned n_threads)
{
    char *argv[] = {(char[]){"minimal"}, (char[]){"-oallow_other,default_permissions"}, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(2, argv);
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    struct fuse_session *session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
    int r = 1;

    if (session && config && fuse_set_signal_handlers(session) == 0 &&
        fuse_session_mount(session, mount_point) == 0) {
        fuse_loop_cfg_set_max_threads(config, n_threads);
        fuse_loop_cfg_set_idle_threads(config, n_threads);
        r = fuse_session_loop_mt(session, config);
        fuse_session_unmount(session);
        fuse_remove_signal_handlers(session);
    }
    if (session)
        fuse_session_destroy(session);
    fuse_loop_cfg_destroy(config);
    fuse_opt_free_args(&args);
    return r != 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: minimal MOUNT-POINT N THREADS\n");
        return 2;
    }
    n_dirs = strtoul(argv[2], NULL, 10);
    return serve(argv[1], (unsigned)strtoul(argv[3], NULL, 10));
}
