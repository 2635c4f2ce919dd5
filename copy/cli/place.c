#include "copy/cli/place.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "copy/cli/name.h"
#include "copy/cli/same.h"
#include "copy/endpoint/file.h"

#define MODE_BITS 0777

/* Every kind of thing that a path may lead to and that is no volume. */
static int refuse_kind(const struct place *place, bool source, struct cli_result *ret)
{
    const char *what = S_ISDIR(place->st.st_mode)    ? "a directory"
                       : S_ISFIFO(place->st.st_mode) ? "a pipe"
                       : S_ISCHR(place->st.st_mode)  ? "a character device"
                                                     : "a socket";
    const char *remedy = S_ISDIR(place->st.st_mode)     ? "name a file in it"
                         : !S_ISFIFO(place->st.st_mode) ? "name a file or a block device"
                         : source                       ? "write -, and let the shell open it: <"
                                                        : "write -, and let the shell open it: >";

    return cli_refuse(ret, EMEDIUMTYPE, "%.100s is %s; %s", place->shown, what, remedy);
}

static int fail_open(const struct place *place, int error, struct cli_result *ret)
{
    const char *remedy = error == EBUSY ? "; unmount it, or stop what uses it" : "";

    return cli_fail(ret, error, "cannot open %.100s: %s%s", place->shown, strerror(error), remedy);
}

static int wrap(struct place *place, enum endpoint_mode mode, struct cli_result *ret)
{
    int r = file_endpoint_wrap(place->fd, mode, &place->ep);

    return r < 0 ? fail_open(place, -r, ret) : 0;
}

static int open_endpoint(struct place *place, enum endpoint_mode mode,
                         const struct cli_options *options, struct cli_result *ret)
{
    struct err why = {0};
    int r = endpoint_open(place->name, mode, &place->ep, &why);

    if (r == -EBUSY)
        return cli_refuse(ret, EBUSY, "%.240s", why.text);
    if (r == -EPROTONOSUPPORT)
        return cli_fail(ret, -r, "%.100s; a path with a colon is written ./NAME", why.text);
    if (r < 0)
        return cli_fail(ret, -r, "%.240s", why.text);
    if (options->n_connections > 0)
        r = endpoint_set_connections(place->ep, (unsigned)options->n_connections);
    if (r == 0)
        r = place->ep->ops->size(place->ep, &place->size_bytes);
    return r < 0 ? fail_open(place, -r, ret) : 0;
}

/* What was opened, be it another thing than was looked at. */
static int learn_file(struct place *place, bool source, struct cli_result *ret)
{
    if (fstat(place->fd, &place->st) < 0)
        return fail_open(place, errno, ret);
    if (!S_ISREG(place->st.st_mode))
        return refuse_kind(place, source, ret);
    place->size_bytes = (uint64_t)place->st.st_size;
    return 0;
}

static int open_stdio(struct place *place, bool source, struct cli_result *ret)
{
    bool at_start;

    place->kind = PLACE_PIPE;
    place->fd = source ? STDIN_FILENO : STDOUT_FILENO;
    place->size_bytes = CLI_SIZE_UNKNOWN;
    if (fstat(place->fd, &place->st) < 0)
        return cli_fail(ret, errno, "-: standard %s is closed", source ? "input" : "output");
    if (S_ISDIR(place->st.st_mode))
        return refuse_kind(place, source, ret);
    if (isatty(place->fd))
        return cli_refuse(ret, ENOTTY, "-: a volume is neither typed nor shown; redirect it");
    at_start = source && S_ISREG(place->st.st_mode) && lseek(place->fd, 0, SEEK_CUR) == 0;
    if (!at_start)
        return 0;
    place->kind = PLACE_FILE; /* the shell opened it, and that is all */
    place->size_bytes = (uint64_t)place->st.st_size;
    return wrap(place, ENDPOINT_READ, ret);
}

/* Only what it says it is. */
static int refuse_no_device(const struct place *place, struct cli_result *ret)
{
    if (!cli_name_is_block(place->name) || S_ISBLK(place->st.st_mode))
        return 0;
    return cli_refuse(ret, ENOTBLK, "%s is no block device", place->shown);
}

/* Holes take no time where a file is read, and written as one: others may have to be filled. */
void place_tell_work(const struct place *source, const struct place *destination, struct cli *cli)
{
    if (source->kind == PLACE_FILE &&
        (!destination || (destination->kind == PLACE_FILE && cli->options->sparse)))
        atomic_store(&cli->data_bytes, (uint64_t)source->st.st_blocks * 512); /* stat(2) */
    atomic_store(&cli->size_bytes, source->size_bytes);
}

int place_open_source(struct place *place, const char *name, const struct cli_options *options,
                      struct cli_result *ret)
{
    int r;

    *place = PLACE_NONE;
    place->name = name;
    cli_name_shown(name, place->shown);
    if (strcmp(name, "-") == 0)
        return open_stdio(place, true, ret);
    place->path = cli_name_path(name);
    if (place->path && stat(place->path, &place->st) < 0)
        return fail_open(place, errno, ret);
    r = refuse_no_device(place, ret);
    if (r < 0)
        return r;
    place->kind = !place->path                 ? PLACE_OTHER
                  : S_ISBLK(place->st.st_mode) ? PLACE_BLOCK
                                               : PLACE_FILE;
    if (place->kind != PLACE_FILE)
        return open_endpoint(place, ENDPOINT_READ, options, ret);
    if (!S_ISREG(place->st.st_mode))
        return refuse_kind(place, true, ret);
    place->fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (place->fd < 0)
        return fail_open(place, errno, ret);
    place->owns_fd = true;
    r = learn_file(place, true, ret);
    return r < 0 ? r : wrap(place, ENDPOINT_READ, ret);
}

static int refuse_same(const struct place *place, const struct place_terms *terms,
                       struct cli_result *ret)
{
    if (!cli_is_same(terms->source, place))
        return 0;
    return cli_refuse(ret, EINVAL, "%.80s and %.80s are the same; nothing to copy",
                      terms->source->shown, place->shown);
}

/* A file that is there: may it be overwritten? */
static int refuse_file(const struct place *place, const struct place_terms *terms,
                       struct cli_result *ret)
{
    char size[CLI_SIZE_BYTES];

    if (terms->resume)
        return 0;
    if (terms->create)
        return cli_refuse(ret, EEXIST, "%.100s exists; --create wants a name that is new",
                          place->shown);
    if (place->st.st_size == 0 || terms->force)
        return 0;
    return cli_refuse(ret, EEXIST, "%.100s exists and holds %s; --force overwrites it",
                      place->shown, cli_size_text((uint64_t)place->st.st_size, size));
}

/* Keep out a second copy, and whatever else locks the volumes it uses (QEMU does). */
static int lock_file(const struct place *place, struct cli_result *ret)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(place->fd, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES))
        return 0;
    return cli_refuse(ret, EBUSY, "%.100s is in use: another program has locked it", place->shown);
}

/* What an earlier run has made of a read-only source is read-only already: its owner lends himself
 * the permission. The endpoint opens it once more. */
static int open_to_write(struct place *place, const struct place_terms *terms,
                         struct cli_result *ret)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    mode_t mode = place->st.st_mode & MODE_BITS;
    bool lent = false;
    int error, r;

    place->fd = open(place->path, flags);
    if (place->fd < 0 && errno == EACCES && terms->resume) {
        lent = chmod(place->path, mode | 0600) == 0;
        place->fd = open(place->path, flags);
    }
    error = errno;
    if (place->fd < 0 && lent)
        (void)chmod(place->path, mode); /* we failed already */
    if (place->fd < 0)
        return fail_open(place, error, ret);
    place->owns_fd = true;
    r = wrap(place, ENDPOINT_WRITE, ret);
    if (lent && fchmod(place->fd, mode) < 0 && r == 0)
        r = fail_open(place, errno, ret);
    return r;
}

static int open_old_file(struct place *place, const struct place_terms *terms,
                         struct cli_result *ret)
{
    int r;

    if (!S_ISREG(place->st.st_mode))
        return refuse_kind(place, false, ret);
    r = refuse_same(place, terms, ret);
    if (r == 0)
        r = refuse_file(place, terms, ret);
    if (r < 0)
        return r;
    r = open_to_write(place, terms, ret);
    /* Only once it is locked does what is seen of it stay. */
    if (r == 0)
        r = lock_file(place, ret);
    if (r == 0)
        r = learn_file(place, false, ret);
    if (r == 0)
        r = refuse_same(place, terms, ret);
    return r < 0 ? r : refuse_file(place, terms, ret);
}

/* As cp does it: the permissions of the source, less what the umask takes. Our own to write are
 * there until it is open. */
static mode_t new_mode(const struct place *source)
{
    return (S_ISREG(source->st.st_mode) ? source->st.st_mode & MODE_BITS : 0666) | 0600;
}

static int open_new_file(struct place *place, const struct place_terms *terms,
                         struct cli_result *ret)
{
    mode_t mode = new_mode(terms->source);
    char parent[PATH_MAX];
    int r;

    cli_name_parent(place->path, parent);
    /* It gets its name by way of /proc. */
    if (!terms->keep && access("/proc/self/fd", X_OK) == 0)
        place->fd = open(parent, O_RDWR | O_TMPFILE | O_CLOEXEC, mode);
    place->nameless = place->fd >= 0;
    if (place->fd < 0)
        place->fd = open(place->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (place->fd < 0)
        return cli_fail(ret, errno, "cannot create %.100s: %s", place->shown, strerror(errno));
    place->owns_fd = place->made = true;
    if (terms->keep && place_sync_parent(place, ret) < 0)
        return -ret->err.code;
    if (fstat(place->fd, &place->st) < 0)
        return fail_open(place, errno, ret);
    if (!place->nameless && lock_file(place, ret) < 0)
        return -ret->err.code;
    if (wrap(place, ENDPOINT_WRITE, ret) < 0)
        return -ret->err.code;
    /* A later run would not know that it was made by this one. */
    r = terms->keep ? place_set_mode(place, terms->source) : 0;
    return r < 0 ? fail_open(place, -r, ret) : 0;
}

static int open_missing(struct place *place, const struct place_terms *terms,
                        struct cli_result *ret)
{
    struct stat link;

    if (terms->resume)
        return cli_refuse(ret, ENOENT,
                          "%.100s is gone; to begin anew remove %.100s, which tells of it",
                          place->shown, terms->map);
    if (lstat(place->path, &link) == 0)
        return cli_refuse(ret, EEXIST, "%.100s is a symbolic link that leads nowhere; remove it",
                          place->shown);
    return open_new_file(place, terms, ret);
}

/* What always holds something, as far as anybody can tell. */
static int refuse_device(const struct place *place, const struct place_terms *terms,
                         struct cli_result *ret)
{
    int r = refuse_same(place, terms, ret);

    if (r < 0)
        return r;
    if (terms->create)
        return cli_refuse(ret, EEXIST, "%.100s is no file; --create wants a new one", place->shown);
    if (terms->force || terms->resume || cli_name_is_null(place->name))
        return 0;
    return cli_refuse(ret, EEXIST, "%.100s is %s; --force overwrites what it holds", place->shown,
                      place->kind == PLACE_BLOCK ? "a block device" : "there already");
}

/* A device is not even opened, which others would notice; a URI means something only once it was.
 */
static int open_old_device(struct place *place, const struct cli_options *options,
                           const struct place_terms *terms, struct cli_result *ret)
{
    int r = place->kind == PLACE_BLOCK ? refuse_device(place, terms, ret) : 0;

    if (r == 0)
        r = open_endpoint(place, ENDPOINT_WRITE, options, ret);
    return r < 0 ? r : refuse_device(place, terms, ret);
}

int place_open_destination(struct place *place, const char *name, const struct cli_options *options,
                           const struct place_terms *terms, struct cli_result *ret)
{
    int r;

    *place = PLACE_NONE;
    place->name = name;
    cli_name_shown(name, place->shown);
    if (strcmp(name, "-") == 0) {
        r = open_stdio(place, false, ret);
        return r < 0 ? r : refuse_same(place, terms, ret);
    }
    place->path = cli_name_path(name);
    place->kind = place->path ? PLACE_FILE : PLACE_OTHER;
    if (place->path && stat(place->path, &place->st) < 0)
        return errno == ENOENT && !cli_name_is_block(name) ? open_missing(place, terms, ret)
                                                           : fail_open(place, errno, ret);
    r = refuse_no_device(place, ret);
    if (r < 0)
        return r;
    if (place->path && S_ISBLK(place->st.st_mode))
        place->kind = PLACE_BLOCK;
    if (place->kind != PLACE_FILE)
        return open_old_device(place, options, terms, ret);
    return open_old_file(place, terms, ret);
}

int place_changed(const struct place *place)
{
    struct stat now;

    if (place->kind != PLACE_FILE)
        return 0;
    if (fstat(place->fd, &now) < 0)
        return -errno;
    return now.st_size != place->st.st_size || now.st_mtim.tv_sec != place->st.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != place->st.st_mtim.tv_nsec;
}

int place_check_still(const struct place *place, const char *was, const char *again,
                      struct cli_result *ret)
{
    int r = place_changed(place);

    if (r < 0)
        return cli_fail(ret, -r, "cannot look at %.100s: %s", place->shown, strerror(-r));
    if (r == 0)
        return 0;
    return cli_fail(ret, ETXTBSY,
                    "%.100s was written while it was %s; %s it again when nobody writes it",
                    place->shown, was, again);
}
