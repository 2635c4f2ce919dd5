/*
 * The file behind a volume's `data`. A write lease is granted while nobody else has the file open
 * at all, and lives on in the descriptor that is sent (dir_claim.c); whoever opens the file from
 * then on waits until it is given back, or for /proc/sys/fs/lease-break-time. Source: fcntl(2).
 */
#include <fcntl.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/backend/dir.h"
#include "fs/backend/who.h"

/* Its own descriptor would be the first that is found. */
static int is_open(const char *name, int *fd, struct err *e)
{
    char who[WHO_BYTES];
    struct stat st;

    if (fstat(*fd, &st) < 0)
        return err_set(e, errno, "cannot look at %s: %s", name, strerror(errno));
    owned_fd(fd);
    *fd = -1;
    who_opens(&st, who);
    return err_set(e, EBUSY, "%s: %s has it open", name, who);
}

/* Who writes it through us is not who the kernel thinks he is, and would leave those bits. */
static int may_be_written(const char *name, int fd, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(e, errno, "cannot look at %s: %s", name, strerror(errno));
    if (st.st_mode & (S_ISUID | S_ISGID))
        return err_set(e, EPERM, "%s is setuid or setgid; chmod ug-s its file", name);
    return 0;
}

int dir_serve(struct dir *dir, const struct pool_request *request, int fd, struct pool_reply *reply,
              int *ret_fd, struct err *e)
{
    OWNED(fd) int file = -1;
    int r;

    (void)fd;
    if (!dir->local)
        return err_set(e, EOPNOTSUPP,
                       "%s: %s may be shared with other machines, which no lease here"
                       " keeps away",
                       request->name, dir->path);
    r = dir_open_expected(dir, request->name, O_RDWR, &request->expect, &file, e);
    if (r == -EAGAIN)
        return err_set(e, EBUSY, "%s: somebody has a lease on it", request->name);
    if (r == 0)
        r = may_be_written(request->name, file, e);
    if (r < 0)
        return r;
    if (fcntl(file, F_SETLEASE, F_WRLCK) < 0) {
        if (errno == EAGAIN)
            return is_open(request->name, &file, e);
        return err_set(e, EOPNOTSUPP, "%s: no lease: %s", request->name, strerror(errno));
    }
    r = dir_describe(file, reply, e);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&file);
    return 0;
}
