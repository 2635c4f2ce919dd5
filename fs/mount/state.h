/*
 * What the files of fs/mount share. Private to it.
 *
 * Any number of threads serve requests; the owner answers commands and tells of changes; one thread
 * touches files for inotify. `lock` is held for a few assignments at a time, never across I/O, a
 * call of libfuse or a row's show.
 */
#pragma once

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "fs/attr/attr.h"
#include "fs/migrate/service.h"
#include "fs/mount/handle.h"
#include "fs/mount/node.h"

struct parked;
struct server;
struct toucher;

struct mount {
    atomic_uint refs; /* mount_open's, and one a command that is with the owner */
    struct service *service;
    struct view_store *views;
    struct fuse_session *session;
    char *path; /* absolute */
    bool mounted;
    dev_t dev;        /* of our file system */
    uid_t uid;        /* of every file */
    gid_t gid, group; /* of what nobody, and of what a group may write */
    struct timespec since;
    bool allows_mmap; /* the kernel lets direct I/O files be mapped shared */
    bool met;         /* libfuse has agreed with the kernel */
    bool greeted;     /* INIT is answered */

    unsigned n_threads;    /* that serve at least */
    atomic_uint n_serving; /* that wait for a request, or are at one that waits for nothing */
    int ended_fd;
    int over_fd;          /* eventfd: a thread does no more */
    atomic_bool stopping; /* for those that are never idle */
    struct toucher *toucher;
    struct view *known; /* to the owner: the volumes that the kernel may remember */

    pthread_mutex_t lock;   /* guards what follows */
    struct server *servers; /* all threads */
    struct server *ended;   /* of them, those that are to be joined */
    struct handles handles; /* and in each handle what its header says */
    struct parked *parked;
    bool closing;
};

struct mount *mount_ref(struct mount *mount);
void mount_put(struct mount *mount);

/* The mount of a request. */
static inline struct mount *mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}
