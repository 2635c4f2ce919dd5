#include "copy/endpoint/nbd_handle.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "copy/base/cleanup.h"
#include "copy/endpoint/nbd_library.h"

/* Alignment is our affair: the last block of an export may be cut short. */
static int allow_what_we_need(struct nbd_handle *handle)
{
    uint32_t strict = libnbd.get_strict_mode(handle);

    if (libnbd.set_strict_mode(handle, strict & ~LIBNBD_STRICT_ALIGN) < 0)
        return -1;
    return libnbd.set_uri_allow_local_file(handle, true); /* keys and certificates */
}

int handle_connect(struct nbd_handle *handle, const char *uri)
{
    if (!handle || libnbd.set_pread_initialize(handle, false) < 0 ||
        libnbd.add_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
        allow_what_we_need(handle) < 0 || libnbd.aio_connect_uri(handle, uri) < 0)
        return -ENOTCONN;
    return 0;
}

bool handle_is_gone(struct nbd_handle *handle)
{
    return libnbd.aio_is_dead(handle) > 0 || libnbd.aio_is_closed(handle) > 0;
}

int handle_wait(struct nbd_handle *handle, int wake_fd, int timeout_ms)
{
    unsigned direction = libnbd.aio_get_direction(handle);
    struct pollfd fds[] = {
        {.fd = libnbd.aio_get_fd(handle)},
        {.fd = wake_fd, .events = POLLIN},
    };
    short ended = POLLERR | POLLHUP | POLLNVAL;
    eventfd_t n;

    if (direction & LIBNBD_AIO_DIRECTION_READ)
        fds[0].events |= POLLIN;
    if (direction & LIBNBD_AIO_DIRECTION_WRITE)
        fds[0].events |= POLLOUT;
    if (poll(fds, ARRAY_N(fds), timeout_ms) < 0)
        return errno == EINTR ? 0 : -errno;
    if (fds[1].revents)
        eventfd_read(wake_fd, &n);
    if ((direction & LIBNBD_AIO_DIRECTION_READ) && (fds[0].revents & (POLLIN | ended)))
        return libnbd.aio_notify_read(handle);
    if ((direction & LIBNBD_AIO_DIRECTION_WRITE) && (fds[0].revents & (POLLOUT | ended)))
        return libnbd.aio_notify_write(handle);
    return fds[0].revents & ended ? -ENOTCONN : 0;
}

void handle_watch_peer(struct nbd_handle *handle)
{
    int fd = libnbd.aio_get_fd(handle);
    const int yes = 1, idle_s = 10, between_s = 5, n_probes = 4, unanswered_ms = 30000;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof(between_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &n_probes, sizeof(n_probes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof(unanswered_ms));
}
