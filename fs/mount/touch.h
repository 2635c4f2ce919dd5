/*
 * Telling the kernel, by a thread of its own, what it cannot know.
 *
 * inotify only tells of what goes through the kernel: so the thread opens the file that changed
 * through the mount, writes a byte that means nothing, and closes it. Where we may not open it (no
 * root), we set its time, which tells of a modification all the same. The kernel remembers volumes'
 * names, and has to forget those that are gone. That takes locks which are held while requests are
 * served: the owner must not wait for them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/view/about.h"

struct mount;
struct toucher;

int touch_open(struct mount *mount);
void touch_close(struct mount *mount);

/* The thread. */
int touch_start(struct mount *mount);
/* While requests are still served: the thread may be in the middle of one. */
void touch_stop(struct mount *mount);

/* The owner: files of this thing changed. Memory only. */
void touch_tell(struct mount *mount, enum about about, uint64_t number, uint32_t events);

/* Any thread: whether this is the thread that touches. */
bool touch_is_own(struct mount *mount, pid_t tid);
