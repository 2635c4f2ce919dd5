#include "fs/mount/session.h"

#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/mount/file.h"
#include "fs/mount/list.h"
#include "fs/mount/mountpoint.h"
#include "fs/mount/state.h"
#include "fs/mount/touch.h"
#include "fs/mount/tree.h"

/* Above one command by far: a longer one arrives in pieces, and the first of them is refused. */
#define WRITE_MAX_BYTES (128 * 1024)
#define BUFFER_BYTES    (WRITE_MAX_BYTES + 4096)

/* Bit of the INIT flags that lets direct I/O files be mapped shared. Source:
 * include/uapi/linux/fuse.h of Linux 6.6; the header of Debian 12 is older. */
#define DIRECT_IO_ALLOW_MMAP (UINT64_C(1) << 36)

static void init(void *userdata, struct fuse_conn_info *conn)
{
    struct mount *mount = userdata;

    conn->max_write = WRITE_MAX_BYTES;
    mount->met = true;
}

/*
 * A thread that serves. It waits in read(2), where the kernel wakes one for each request and asks
 * for no other system call, and is cancelled there: read is a point of cancellation, so that no
 * moment is left in which a thread that was told to stop falls asleep.
 */
struct server {
    struct mount *mount;
    pthread_t thread;
    void *bytes;            /* of a request */
    _Atomic uint64_t turns; /* odd while it serves a request */
    uint64_t seen;          /* to session_is_alive */
};

static const struct fuse_lowlevel_ops ops = {
    .init = init,
    .lookup = node_lookup,
    .getattr = node_getattr,
    .setattr = node_setattr,
    .statfs = node_statfs,
    .readdir = list_readdir,
    .readdirplus = list_readdirplus,
    .open = file_open,
    .read = file_read,
    .write = file_write,
    .poll = file_poll,
    .flush = file_flush,
    .release = file_release,
    .create = tree_create,
    .mknod = tree_mknod,
    .mkdir = tree_mkdir,
    .symlink = tree_symlink,
    .link = tree_link,
    .unlink = tree_unlink,
    .rmdir = tree_rmdir,
    .rename = tree_rename,
};

static ssize_t read_request(int fd, void *buf, size_t n, void *userdata)
{
    (void)userdata;
    return read(fd, buf, n);
}

static ssize_t write_reply(int fd, struct iovec *iov, int n_iov, void *userdata)
{
    const struct mount *mount = userdata;
    struct fuse_init_out out;

    /* Ask in the answer to INIT for what this libfuse cannot ask for yet. */
    if (mount->allows_mmap && !mount->greeted && n_iov == 2 && iov[1].iov_len == sizeof(out)) {
        memcpy(&out, iov[1].iov_base, sizeof(out));
        out.flags |= FUSE_INIT_EXT;
        out.flags2 |= (uint32_t)(DIRECT_IO_ALLOW_MMAP >> 32);
        iov[1].iov_base = &out;
    }
    return writev(fd, iov, n_iov);
}

/*
 * Wait for a request; buf has room for BUFFER_BYTES. 1, or -ENODEV: the mount is over; another
 * errno. Not fuse_session_receive_buf: it talks to stderr.
 */
static int receive(struct mount *mount, struct fuse_buf *buf)
{
    ssize_t n;

    do
        n = read(fuse_session_fd(mount->session), buf->mem, BUFFER_BYTES);
    while (n < 0 && (errno == EINTR || errno == ENOENT)); /* ENOENT: it was interrupted */
    if (n < 0)
        return errno == ECONNABORTED ? -ENODEV : -errno;
    if ((size_t)n < sizeof(struct fuse_in_header))
        return -EIO;
    buf->size = (size_t)n;
    return 1;
}

static bool offers_mmap(const struct fuse_buf *buf)
{
    const size_t header_bytes = sizeof(struct fuse_in_header);
    struct fuse_init_in in;

    if (buf->size < header_bytes + sizeof(in))
        return false;
    memcpy(&in, (const char *)buf->mem + header_bytes, sizeof(in));
    return in.flags & FUSE_INIT_EXT && in.flags2 & (uint32_t)(DIRECT_IO_ALLOW_MMAP >> 32);
}

/* INIT is the first request, and the kernel sends no other before its answer. */
static int greet(struct mount *mount)
{
    OWNED(mem) void *bytes = malloc(BUFFER_BYTES);
    struct fuse_buf buf = {.mem = bytes};
    int r = bytes ? receive(mount, &buf) : -ENOMEM;

    if (r < 0)
        return r;
    mount->allows_mmap = offers_mmap(&buf);
    fuse_session_process_buf(mount->session, &buf);
    mount->greeted = true;
    if (!mount->met) /* libfuse has said why; the kernel would refuse everybody from now on */
        return -ECONNREFUSED;
    return 0;
}

static void log_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static void log_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
    char line[512];
    size_t n;

    if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
        return;
    n = strlen(line);
    if (n > 0 && line[n - 1] == '\n')
        line[n - 1] = '\0';
    log_say((int)level, "%s", line);
}

/* fd is taken over, with success alone. */
static int make_session(struct mount *mount, int fd)
{
    const struct fuse_custom_io io = {.read = read_request, .writev = write_reply};
    char program[] = "ferryfs";
    char *argv[] = {program, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);

    fuse_set_log_func(log_fuse);
    mount->session = fuse_session_new(&args, &ops, sizeof(ops), mount);
    fuse_opt_free_args(&args);
    return mount->session ? fuse_session_custom_io(mount->session, &io, fd) : -ENOMEM;
}

int session_open(struct mount *mount, const struct mount_config *config, struct err *e)
{
    OWNED(fd) int fd = mountpoint_mount(mount->path, config->source, config->allow_other, e);
    int r;

    if (fd < 0)
        return fd;
    mount->mounted = true;
    r = mountpoint_device(mount->path, &mount->dev);
    if (r == 0)
        r = make_session(mount, fd);
    if (r == 0) {
        take_fd(&fd);
        r = greet(mount);
    }
    return r < 0 ? err_set(e, -r, "cannot talk to the kernel's FUSE: %s", strerror(-r)) : 0;
}

/* Only here can a thread be cancelled: between requests. */
static int await(struct mount *mount, struct fuse_buf *buf)
{
    int r;

    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    r = receive(mount, buf);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    return r;
}

static void say_end(struct mount *mount, int error)
{
    if (error != -ENODEV)
        log_say(LOG_ERR, "cannot serve requests: %s", strerror(-error));
    fuse_session_exit(mount->session); /* it need not complain that nobody takes its answers */
    if (eventfd_write(mount->ended_fd, 1) < 0)
        log_say(LOG_ERR, "cannot tell that the mount is over: %s", strerror(errno));
}

/* A start fails as a whole: nobody is served until all who serve are there. */
static void wait_for_all(struct mount *mount)
{
    pthread_mutex_lock(&mount->lock);
    pthread_mutex_unlock(&mount->lock);
}

static void serve_one(struct server *server, const struct fuse_buf *buf)
{
    atomic_fetch_add_explicit(&server->turns, 1, memory_order_relaxed);
    fuse_session_process_buf(server->mount->session, buf);
    atomic_fetch_add_explicit(&server->turns, 1, memory_order_relaxed);
}

static void *serve(void *arg)
{
    struct server *server = arg;
    struct fuse_buf buf = {.mem = server->bytes};
    int r = 1;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    wait_for_all(server->mount);
    while (r > 0 && !atomic_load(&server->mount->stopping)) {
        r = await(server->mount, &buf);
        if (r > 0)
            serve_one(server, &buf);
    }
    if (r < 0)
        say_end(server->mount, r);
    return NULL;
}

static int start(struct mount *mount, struct server *server)
{
    server->mount = mount;
    server->bytes = malloc(BUFFER_BYTES);
    if (!server->bytes)
        return -ENOMEM;
    return -pthread_create(&server->thread, NULL, serve, server);
}

int session_serve(struct mount *mount)
{
    sigset_t all, before;
    int r = 0;

    mount->servers = calloc(mount->n_threads, sizeof(*mount->servers));
    if (!mount->servers)
        return -ENOMEM;
    /* Signals are for the main thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&mount->lock);
    while (mount->n_running < mount->n_threads && r == 0) {
        r = start(mount, &mount->servers[mount->n_running]);
        mount->n_running += r == 0 ? 1 : 0;
    }
    if (r == 0)
        r = touch_start(mount);
    if (r < 0)
        atomic_store(&mount->stopping, true);
    pthread_mutex_unlock(&mount->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

bool session_is_alive(struct mount *mount)
{
    bool alive = true;

    for (unsigned i = 0; i < mount->n_running; i++) {
        struct server *server = &mount->servers[i];
        uint64_t turns = atomic_load_explicit(&server->turns, memory_order_relaxed);

        alive &= turns % 2 == 0 || turns != server->seen;
        server->seen = turns;
    }
    return alive;
}

void session_stop(struct mount *mount)
{
    atomic_store(&mount->stopping, true);
    for (unsigned i = 0; i < mount->n_running; i++)
        pthread_cancel(mount->servers[i].thread);
    for (; mount->n_running > 0; mount->n_running--)
        pthread_join(mount->servers[mount->n_running - 1].thread, NULL);
    for (unsigned i = 0; mount->servers && i < mount->n_threads; i++)
        free(mount->servers[i].bytes);
    free(mount->servers);
    mount->servers = NULL;
}

void session_close(struct mount *mount)
{
    if (mount->session)
        fuse_session_destroy(mount->session);
    mount->session = NULL;
}
