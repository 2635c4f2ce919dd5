/*
 * A lock of flock(2) belongs to the open file, not to a process. So a child can wait for it: when
 * it ends, the lock is held through the agent's own descriptor.
 */
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "copy/base/child.h"
#include "copy/base/cleanup.h"
#include "fs/backend/agent.h"
#include "fs/backend/who.h"

int agent_lock_try(int lock_fd)
{
    return flock(lock_fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

static _Noreturn void wait_for_lock(int lock_fd, pid_t parent)
{
    int r = child_die_with(parent);

    while (r == 0 && flock(lock_fd, LOCK_EX) < 0)
        r = errno == EINTR ? 0 : -errno;
    _exit(r < 0 ? 1 : 0);
}

int agent_lock_wait(int lock_fd, pid_t *ret)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0)
        return -errno;
    if (pid == 0)
        wait_for_lock(lock_fd, parent);
    *ret = pid;
    return 0;
}

void agent_lock_holder(int lock_fd, char *out, size_t cap)
{
    char who[WHO_BYTES];
    struct stat st;

    if (fstat(lock_fd, &st) < 0)
        return;
    who_locks(&st, who);
    snprintf(out, cap, "%s", who);
}
