/*
 * What to do with a job after a crash: a pure function of records and evidence (SAFETY 4, I9, I10).
 */
#pragma once

#include <stdbool.h>

#include "fs/backend/pool.h"
#include "fs/migrate/migration.h"

enum recovery {
    RECOVER_QUEUE,   /* wait for its turn again */
    RECOVER_RESERVE, /* make the destination, or find it again */
    RECOVER_COPY,    /* go on at the checkpoint */
    RECOVER_VERIFY,  /* compare with the source, then forward */
    RECOVER_FORWARD, /* the switch is done: clean up */
    RECOVER_BACK,    /* undo */
    RECOVER_HALT,    /* touch nothing */
};

enum recovery recover_decide(enum phase_id phase, bool abort, enum pool_found source,
                             enum pool_found destination);
