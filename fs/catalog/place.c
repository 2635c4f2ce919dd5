#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/base/log.h"
#include "copy/base/text.h"
#include "fs/catalog/place.h"

#define PID_BYTES  21 /* a pid, blanks up to here, a newline: never longer, never shorter */
#define OTHERS_MAY (S_IRWXG | S_IRWXO)

/* Any reader can block a commit with a lock of his, any writer can do worse. */
static int check_private(const struct stat *st, const char *path, const char *mode, struct err *e)
{
    if (st->st_uid != geteuid())
        return err_set(e, EPERM,
                       "%s belongs to uid %u, not to uid %u: chown it or use another --state", path,
                       (unsigned)st->st_uid, (unsigned)geteuid());
    if (st->st_mode & OTHERS_MAY)
        return err_set(e, EPERM, "others can get at %s (mode %04o): chmod %s it", path,
                       (unsigned)(st->st_mode & 07777), mode);
    return 0;
}

static int open_directory(const char *state_dir, struct err *e)
{
    OWNED(fd) int fd = -1;
    struct stat st;
    int r;

    fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "cannot open the state directory %s: %s", state_dir,
                       strerror(errno));
    if (fstat(fd, &st) < 0)
        return err_set(e, errno, "cannot look at %s: %s", state_dir, strerror(errno));
    r = check_private(&st, state_dir, "0700", e);
    return r < 0 ? r : take_fd(&fd);
}

/* A new directory is on disk once its parent is. */
static int sync_parent(int dir, const char *state_dir, struct err *e)
{
    OWNED(fd) int fd = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : io_sync(fd);

    if (r < 0)
        return err_set(e, -r, "cannot flush the directory above %s: %s", state_dir, strerror(-r));
    return 0;
}

static int make_directory(const char *state_dir, struct err *e)
{
    OWNED(fd) int fd = -1;
    int made, r;

    made = mkdir(state_dir, 0700);
    if (made < 0 && errno != EEXIST)
        return err_set(e, errno, "cannot make the state directory %s: %s", state_dir,
                       strerror(errno));
    fd = open_directory(state_dir, e);
    if (fd < 0)
        return fd;
    if (made == 0) {
        r = sync_parent(fd, state_dir, e);
        if (r < 0)
            return r;
    }
    return take_fd(&fd);
}

static int say_who_holds(int lock, const char *state_dir, struct err *e)
{
    char pid[PID_BYTES + 1] = "";
    uint64_t number;
    size_t n = 0;

    if (io_pread(lock, pid, PID_BYTES, 0, &n) < 0)
        n = 0;
    pid[n] = '\0';
    pid[strcspn(pid, " \n")] = '\0';
    if (text_parse_u64(pid, &number) < 0)
        return err_set(e, EALREADY, "another process holds %s", state_dir);
    return err_set(e, EALREADY, "another daemon, pid %" PRIu64 ", holds %s", number, state_dir);
}

/* For people only, so a full disk is no reason not to start. Overwritten in place: needs no room.
 */
static void note_pid(int lock)
{
    char pid[PID_BYTES + 1];
    int r;

    snprintf(pid, sizeof(pid), "%-*ld\n", PID_BYTES - 1, (long)getpid());
    r = io_pwrite(lock, pid, PID_BYTES, 0);
    if (r < 0)
        log_say(LOG_WARNING, "cannot write the pid into " PLACE_LOCK ": %s", strerror(-r));
}

/* A file of its own: closing a second descriptor of the catalogue would drop tdb's locks. */
static int take_lock(struct place *place, const char *state_dir, bool make, struct err *e)
{
    OWNED(fd) int fd = -1;

    fd = openat(place->dir, PLACE_LOCK,
                (make ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == ENOENT && !make)
        return 0;
    if (fd < 0)
        return err_set(e, errno, "cannot open %s/" PLACE_LOCK ": %s", state_dir, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return say_who_holds(fd, state_dir, e);
        return err_set(e, errno, "cannot lock %s/" PLACE_LOCK ": %s", state_dir, strerror(errno));
    }
    if (make)
        note_pid(fd);
    place->lock = take_fd(&fd);
    return 0;
}

int place_open(const char *state_dir, bool make, struct place *ret, struct err *e)
{
    OWNED(place) struct place place = PLACE_NONE;
    int r;

    r = make ? make_directory(state_dir, e) : open_directory(state_dir, e);
    if (r < 0)
        return r;
    place.dir = r;
    r = take_lock(&place, state_dir, make, e);
    if (r < 0)
        return r;
    *ret = place;
    place = PLACE_NONE;
    return 0;
}

void place_close(struct place *place)
{
    owned_fd(&place->lock);
    owned_fd(&place->dir);
    *place = PLACE_NONE;
}

int place_check_file(const struct place *place, const char *state_dir, const char *name,
                     struct err *e)
{
    char path[ERR_TEXT_BYTES];
    struct stat st;

    if (fstatat(place->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(e, errno, "cannot look at %s/%s: %s", state_dir, name, strerror(errno));
    snprintf(path, sizeof(path), "%s/%s", state_dir, name);
    if (!S_ISREG(st.st_mode))
        return err_set(e, EPERM, "%s is no regular file: move it away", path);
    return check_private(&st, path, "0600", e);
}
