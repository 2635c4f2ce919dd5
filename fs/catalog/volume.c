#include "fs/catalog/volume.h"

const char *const volume_status_names[VOLUME_STATUS_N] = {
    [VOLUME_AVAILABLE] = "available", [VOLUME_IN_USE] = "in-use", [VOLUME_MIGRATING] = "migrating",
    [VOLUME_MOVED] = "moved",         [VOLUME_ERROR] = "error",
};

const char *const result_names[RESULT_N] = {
    [RESULT_NULL] = "null",
    [RESULT_SUCCESS] = "success",
    [RESULT_ERROR] = "error",
    [RESULT_ABORTED] = "aborted",
};

const char *const copy_role_names[COPY_ROLE_N] = {
    [COPY_PRIMARY] = "primary",
    [COPY_DESTINATION] = "destination",
    [COPY_DELETE_PENDING] = "delete-pending",
    [COPY_RETAINED] = "retained",
};
