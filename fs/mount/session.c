#include "fs/mount/session.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/log.h"
#include "fs/mount/file.h"
#include "fs/mount/list.h"
#include "fs/mount/mountpoint.h"
#include "fs/mount/state.h"
#include "fs/mount/tree.h"

/* Requests that the kernel lets wait at once for readahead and asynchronous direct I/O; of all
 * volumes together, so that one whose storage hangs needs many to hold up the others. */
#define BACKGROUND_MAX 1024

/* Bit of the INIT flags that lets direct I/O files be mapped shared. Source:
 * include/uapi/linux/fuse.h of Linux 6.6; the header of Debian 12 is older. */
#define DIRECT_IO_ALLOW_MMAP (UINT64_C(1) << 36)

static void init(void *userdata, struct fuse_conn_info *conn)
{
    struct mount *mount = userdata;

    conn->max_write = SESSION_IO_BYTES;
    /* Nobody but its users changes what `data` holds: it need not be asked for before each read. */
    conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    conn->max_background = BACKGROUND_MAX;
    conn->congestion_threshold = BACKGROUND_MAX;
    mount->met = true;
}

static const struct fuse_lowlevel_ops ops = {
    .init = init,
    .lookup = node_lookup,
    .getattr = node_getattr,
    .setattr = node_setattr,
    .statfs = list_statfs,
    .readdir = list_readdir,
    .readdirplus = list_readdirplus,
    .open = file_open,
    .read = file_read,
    .write = file_write,
    .fsync = file_fsync,
    .fallocate = file_fallocate,
    .lseek = file_lseek,
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

/* Not fuse_session_receive_buf: it talks to stderr. */
int session_receive(struct mount *mount, struct fuse_buf *buf)
{
    ssize_t n;

    do
        n = read(fuse_session_fd(mount->session), buf->mem, SESSION_REQUEST_BYTES);
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
    OWNED(mem) void *bytes = malloc(SESSION_REQUEST_BYTES);
    struct fuse_buf buf = {.mem = bytes};
    int r = bytes ? session_receive(mount, &buf) : -ENOMEM;

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

void session_close(struct mount *mount)
{
    if (mount->session)
        fuse_session_destroy(mount->session);
    mount->session = NULL;
}

void session_abort(struct mount *mount)
{
    if (mount->session)
        close(fuse_session_fd(mount->session));
}
