#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "copy/base/cleanup.h"
#include "fs/backend/dir.h"

#define NS_PER_S UINT64_C(1000000000)

uint64_t dir_mtime_ns(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * NS_PER_S + (uint64_t)st->st_mtim.tv_nsec;
}

void dir_tag(const struct pool_request *request, char out[DIR_TAG_BYTES])
{
    char volume[UUID_STR_LEN], cid[UUID_STR_LEN];

    uuid_unparse_lower(request->volume, volume);
    uuid_unparse_lower(request->cid, cid);
    snprintf(out, DIR_TAG_BYTES, "%s %s %llu", volume, cid, (unsigned long long)request->epoch);
}

/* "VOLUME-UUID CID EPOCH": does it speak of this cid? */
static bool bears(const char *tag, const uuid_t cid)
{
    char text[UUID_STR_LEN];

    uuid_unparse_lower(cid, text);
    return strlen(tag) > (size_t)2 * UUID_STR_LEN && tag[UUID_STR_LEN - 1] == ' ' &&
           strncmp(tag + UUID_STR_LEN, text, UUID_STR_LEN - 1) == 0 &&
           tag[2 * UUID_STR_LEN - 1] == ' ';
}

int dir_prove(int fd, const uuid_t cid, enum dir_proof *ret)
{
    char tag[DIR_TAG_BYTES] = "";
    struct stat st;
    ssize_t n;

    *ret = DIR_PROOF_NONE;
    n = fgetxattr(fd, POOL_XATTR, tag, sizeof(tag) - 1);
    if (n >= 0) {
        *ret = bears(tag, cid) ? DIR_PROOF_TAG : DIR_PROOF_NONE;
        return 0;
    }
    if (errno == ERANGE) /* longer than any tag */
        return 0;
    if (errno != ENODATA && errno != EOPNOTSUPP)
        return -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size == 0 && st.st_blocks == 0 && st.st_nlink == 1 && st.st_uid == geteuid() &&
        (st.st_mode & 07777) == 0600)
        *ret = DIR_PROOF_EMPTY;
    return 0;
}

int dir_prove_at(const struct dir *dir, const char *name, const uuid_t cid, enum dir_proof *ret,
                 struct err *e)
{
    OWNED(fd) int fd = io_open_regular(dir->root, name, O_RDONLY);
    int r;

    *ret = DIR_PROOF_NONE;
    if (fd == -ENOENT || fd == -EMEDIUMTYPE || fd == -ELOOP || fd == -EXDEV || fd == -EMLINK)
        return 0;
    r = fd < 0 ? fd : dir_prove(fd, cid, ret);
    return r < 0 ? err_set(e, -r, "cannot look at %s: %s", name, strerror(-r)) : 0;
}

int dir_is_at(const struct dir *dir, const char *name, const struct io_identity *expect,
              struct stat *ret_st, struct err *e)
{
    struct io_identity found;
    struct stat st;
    int r;

    r = io_identify_at(dir->root, name, &found, &st);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return err_set(e, -r, "cannot look at %s: %s", name, strerror(-r));
    if (!S_ISREG(st.st_mode) || st.st_dev != dir->device || !io_same(&found, expect))
        return 0;
    if (ret_st)
        *ret_st = st;
    return 1;
}

int dir_open_file(const struct dir *dir, const char *name, int flags, int *ret_fd, struct err *e)
{
    int fd = io_open_regular(dir->root, name, flags);

    switch (fd) {
    case -EMEDIUMTYPE:
    case -ELOOP:
    case -EXDEV:
        return err_set(e, EMEDIUMTYPE, "%s is no regular file of %s", name, dir->path);
    case -EMLINK:
        return err_set(e, EMLINK, "%s has several hard links", name);
    default:
        break;
    }
    if (fd < 0)
        return err_set(e, -fd, "cannot open %s: %s", name, strerror(-fd));
    *ret_fd = fd;
    return 0;
}

int dir_open_expected(const struct dir *dir, const char *name, int flags,
                      const struct io_identity *expect, int *ret_fd, struct err *e)
{
    OWNED(fd) int fd = -1;
    struct io_identity found;
    int r;

    r = dir_open_file(dir, name, flags, &fd, e);
    if (r == 0)
        r = io_identify(fd, &found);
    if (r < 0)
        return r;
    if (!io_same(&found, expect))
        return err_set(e, ESTALE, "%s is not the file any more that it was", name);
    *ret_fd = take_fd(&fd);
    return 0;
}

int dir_rename(const struct dir *dir, const char *from, const char *to)
{
    if (renameat2(dir->root, from, dir->root, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (linkat(dir->root, from, dir->root, to, 0) < 0)
        return -errno;
    return unlinkat(dir->root, from, 0) < 0 ? -errno : 0;
}

void dir_describe_stat(const struct stat *st, struct pool_reply *reply)
{
    reply->size_bytes = (uint64_t)st->st_size;
    reply->allocated_bytes = (uint64_t)st->st_blocks * DIR_SECTOR_BYTES;
    reply->mtime_ns = dir_mtime_ns(st);
}

int dir_describe(int fd, struct pool_reply *reply, struct err *e)
{
    struct stat st;
    int r;

    r = io_identify(fd, &reply->identity);
    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    if (r < 0)
        return err_set(e, -r, "cannot look at an open file: %s", strerror(-r));
    dir_describe_stat(&st, reply);
    return 0;
}

int dir_sync(int fd, const char *what, struct err *e)
{
    int r = io_sync(fd);

    return r < 0 ? err_set(e, -r, "cannot fsync %s: %s", what, strerror(-r)) : 0;
}
