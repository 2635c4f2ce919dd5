/*
 * Giving up what a worker does not need. It holds all its descriptors and opens nothing any more.
 */
#pragma once

#include "copy/base/err.h"

/*
 * Before any thread is started. Afterwards this process opens no file, runs no program, gains no
 * privilege, dumps no core, and, where it was root, is nobody; it still dies with its parent.
 * What a kernel does not know (landlock before 5.13) is left out; anything else that fails is an
 * error.
 *
 * With FERRYFS_FAULTS the crash points need to kill the daemon: no change of user, no system call
 * filter. With FERRYFS_SANITIZED the sanitizer's own calls are let through: no system call filter.
 * Source: prctl(2), landlock(7), seccomp_rule_add(3).
 */
int sandbox_enter(struct err *e);
