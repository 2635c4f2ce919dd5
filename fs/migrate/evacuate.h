/*
 * Emptying a host of its volumes. Owner thread.
 */
#pragma once

#include "fs/migrate/migration.h"

/* Of a host: it is not over. */
bool evacuation_goes_on(const struct site *site);
bool evacuation_is_any(const struct service *s); /* that is not over */
/* From the catalogue. 0 or -ENOMEM. */
int evacuation_load(struct service *s);
/* Make this the host's, and record it. 0, or -EIO: nothing has changed. */
int evacuation_store(struct site *site, const struct evacuation *evacuation);
/* Do what can be done now; after every turn. */
void evacuation_go_on(struct service *s);
/* Its jobs that are not switched yet are aborted, and nothing more begins. request: who wants it.
 * 0 or -EIO. */
int evacuation_cancel(struct site *site, const struct request *request);
/* The job ends. Returns whether it counts for an evacuation; then *ret is what that is afterwards,
 * to be recorded with the end. One that was under way before counts if it takes its volume away. */
bool evacuation_after(const struct migration *m, bool success, struct evacuation *ret);

/* evacuate_check.c: requests that are being checked are answered with ESHUTDOWN. */
void evacuation_cancel_check(struct site *site);
