#include "fs/backend/crash_points.h"

#include <stddef.h>

const char *const pool_crash_points[] = {
    "pool-mark-begin",      "pool-mark-written",    "pool-mark-linked",
    "pool-mark-done",       "pool-reserve-begin",   "pool-reserve-created",
    "pool-reserve-tagged",  "pool-reserve-sized",   "pool-reserve-synced",
    "pool-reserve-done",    "pool-publish-begin",   "pool-publish-attributes",
    "pool-publish-synced",  "pool-publish-renamed", "pool-publish-done",
    "pool-adopt-begin",     "pool-adopt-owner",     "pool-adopt-xattrs",
    "pool-adopt-acl",       "pool-adopt-mode",      "pool-adopt-mtime",
    "pool-adopt-untagged",  "pool-adopt-done",      "pool-retain-tagged",
    "pool-retain-hidden",   "pool-retain-owned",    "pool-retain-done",
    "pool-remove-begin",    "pool-remove-hidden",   "pool-remove-hidden-synced",
    "pool-remove-unlinked", "pool-remove-done",     NULL,
};
