#include "copy/crash_points.h"

#include <stddef.h>

const char *const worker_crash_points[] = {
    "worker-start",        "worker-copy-chunk",       "worker-before-checkpoint",
    "worker-after-flush",  "worker-after-checkpoint", "worker-before-sync",
    "worker-after-sync",   "worker-copied",           "worker-before-verify",
    "worker-verify-chunk", "worker-before-repair",    "worker-after-repair",
    "worker-after-verify", "worker-verified",         NULL,
};
