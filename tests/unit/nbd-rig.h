/*
 * Real NBD servers for tests, each on a unix socket in the temporary folder. The socket listens
 * before the server is started (systemd's socket activation), so nothing waits for it; a server
 * ends with the test.
 */
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copy/endpoint/endpoint.h"
#include "tests/unit/endpoint-rig.h"

struct server {
    pid_t pid;
    char uri[256];
    char socket[108];
    char log[128]; /* of nbdkit's log filter, where the command names it by $LOG */
};

static char nbd_top[64];

static inline void nbd_clear(void)
{
    run_line("rm -rf %s", nbd_top);
}

/* Once, first. Exits 77 where there is no such program. */
static inline void nbd_prepare(const char *program)
{
    if (run_line("command -v %s >/dev/null", program) != 0) {
        printf("1..0 # SKIP there is no %s\n", program);
        exit(77);
    }
    snprintf(nbd_top, sizeof(nbd_top), "/tmp/ferryfs-nbd-XXXXXX");
    REQUIRE(mkdtemp(nbd_top));
    REQUIRE(setenv("TOP", nbd_top, 1) == 0);
    atexit(nbd_clear);
}

static inline int nbd_listen(struct server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(address.sun_path, server->socket, sizeof(address.sun_path));
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    REQUIRE(listen(fd, 16) == 0);
    snprintf(server->uri, sizeof(server->uri), "nbd+unix:///?socket=%s", server->socket);
    return fd;
}

static inline int nbd_listen_tcp(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&address, n) == 0 && listen(fd, 16) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)&address, &n) == 0);
    snprintf(server->uri, sizeof(server->uri), "nbd://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

/* command: words for the shell, the program first; $TOP is the temporary folder. */
static inline struct server server_start_on(bool tcp, const char *command)
{
    static unsigned n;
    struct server server = {0};
    char line[2048];
    int fd;

    snprintf(server.socket, sizeof(server.socket), "%s/socket%u", nbd_top, ++n);
    snprintf(server.log, sizeof(server.log), "%s/log%u", nbd_top, n);
    fd = tcp ? nbd_listen_tcp(&server) : nbd_listen(&server);
    server.pid = fork();
    REQUIRE(server.pid >= 0);
    if (server.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fd, 3);
        if (fd != 3)
            close(fd);
        setenv("LOG", server.log, 1);
        snprintf(line, sizeof(line), "export LISTEN_FDS=1 LISTEN_PID=$$; exec %s", command);
        execl("/bin/sh", "sh", "-c", line, NULL);
        _exit(127);
    }
    close(fd);
    return server;
}

static inline struct server server_start(const char *command)
{
    return server_start_on(false, command);
}

static inline void server_kill(struct server *server)
{
    REQUIRE(kill(server->pid, SIGKILL) == 0 && waitpid(server->pid, NULL, 0) == server->pid);
    unlink(server->socket);
    unlink(server->log);
}

/* How many lines of the log hold both. */
static inline unsigned server_logged(const struct server *server, const char *a, const char *b)
{
    FILE *log = fopen(server->log, "re");
    char line[512];
    unsigned n = 0;

    while (log && fgets(line, sizeof(line), log))
        n += strstr(line, a) && strstr(line, b) ? 1 : 0;
    if (log)
        fclose(log);
    return n;
}

static inline struct endpoint *server_open(const struct server *server, enum endpoint_mode mode)
{
    struct endpoint *ep = NULL;
    struct err e = {0};

    if (endpoint_open(server->uri, mode, &ep, &e) < 0)
        printf("# %s\n", e.text);
    REQUIRE(ep);
    return ep;
}
