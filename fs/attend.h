/*
 * The main thread while the service runs: it waits for signals and for the end of the mount, reads
 * the configuration again, and tells systemd what there is to tell.
 *
 * The watchdog is fed only if the owner has answered a request since the last time, and no thread
 * of the mount is still at the request that it was at then: whoever looks at us from outside needs
 * both. A disk or a pool that hangs holds up neither; the disk of the catalogue holds up the owner.
 */
#pragma once

#include "fs/migrate/service.h"
#include "fs/mount/mount.h"
#include "fs/notify.h"
#include "fs/options.h"

struct attend;

/* NULL: no memory, or too many open files. The four outlive it. */
struct attend *attend_open(const struct options *options, struct service *service,
                           struct mount *mount, struct notify *notify);
/* The service was stopped, so that the owner has answered. NULL is allowed. */
void attend_close(struct attend *attend);

/* service_change_fn; arg: the attend. */
void attend_changed(void *arg, enum about about, uint64_t number, uint32_t events);

/* Until SIGTERM or SIGINT, of which `signals` tells, or the end of the mount. */
void attend_until_end(struct attend *attend, int signals);
