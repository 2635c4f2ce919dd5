/*
 * The catalogue: what must survive a power cut. The only user of tdb.
 *
 * One thread uses it, the owner. Everything is kept in memory too; reads touch no disk. A change is
 * staged (catalog_put_*, catalog_drop_*) and becomes true, durable and visible in memory as a whole
 * by catalog_commit, or not at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copy/base/text.h"
#include "fs/catalog/volume.h"

struct catalog;

/*
 * Open or make the catalogue in state_dir (made 0700 where it is missing; its parent must exist).
 * Returns 0 or, with a sentence in e: -EALREADY another daemon holds it (its pid is in the text);
 * -EPERM wide modes or a foreign owner; -EPROTONOSUPPORT a newer format; -EUCLEAN records that fail
 * their checks; or the errno of a system call.
 * A catalogue of an older format is made anew in this one. 0 with catalog_doubt(): every record is
 * sound, but the file has to be made anew and could not be.
 */
int catalog_open(const char *state_dir, struct catalog **ret, struct err *e);
void catalog_close(struct catalog *catalog); /* NULL is allowed; what is staged is forgotten */
static inline void owned_catalog(struct catalog **catalog)
{
    catalog_close(*catalog);
}

/* The next unused numbers; they are made durable by the commit that uses them. From 1 on. */
uint64_t catalog_next_volume(struct catalog *catalog);
uint64_t catalog_next_job(struct catalog *catalog);

/*
 * Stage. 0 or -ENOMEM. A record of the same key is replaced. A string in it that is not terminated
 * and an enum out of range are asserted against.
 * catalog_put_history drops the oldest beyond CATALOG_HISTORY_MAX.
 */
#define CATALOG_HISTORY_MAX 1000
int catalog_put_volume(struct catalog *catalog, const struct volume *volume);
int catalog_put_copy(struct catalog *catalog, const struct copy *copy);
int catalog_put_job(struct catalog *catalog, const struct job *job);
int catalog_put_pool(struct catalog *catalog, const struct pool *pool);
int catalog_put_evacuation(struct catalog *catalog, const struct evacuation *evacuation);
int catalog_put_history(struct catalog *catalog, const struct history *history);
int catalog_drop_volume(struct catalog *catalog, const uuid_t uuid);
int catalog_drop_copy(struct catalog *catalog, const uuid_t cid);
int catalog_drop_job(struct catalog *catalog, uint64_t number);
int catalog_drop_evacuation(struct catalog *catalog, const char *host);

/*
 * Commit what is staged, in one transaction; 4 fdatasyncs. Nothing staged: 0 at once.
 * Returns 0: durable. A negative errno: nothing changed, the catalogue on disk was made from memory
 * anew where the outcome had been unknown (SAFETY 2.1), and it may be tried again.
 * -ENOTRECOVERABLE: the outcome is unknown and could not be repaired: catalog_doubt() stays true,
 * and every later commit fails the same way until a restart. On failure the staged change is
 * dropped.
 */
int catalog_commit(struct catalog *catalog, struct err *e);

/*
 * The same, and the commit is confirmed: the generation counter was read back inside the next
 * transaction. Before anything is destroyed. Nothing staged: the last commit is confirmed.
 */
int catalog_commit_confirmed(struct catalog *catalog, struct err *e);

/* Forget what is staged. */
void catalog_cancel(struct catalog *catalog);

bool catalog_doubt(const struct catalog *catalog);

/* Look at what is committed. fn returns 0 to go on; another value ends the walk and is returned.
 * In the order of the keys, jobs as they were numbered; history: newest first. What fn stages
 * is not seen by the walk.
 * -ENOMEM where memory ran out before the first call of fn. */
int catalog_each_volume(const struct catalog *catalog, int (*fn)(const struct volume *, void *),
                        void *arg);
int catalog_each_copy(const struct catalog *catalog, int (*fn)(const struct copy *, void *),
                      void *arg);
/* Copies that are not primary. Costs what there are of them, as jobs and history do. */
int catalog_each_hidden(const struct catalog *catalog, int (*fn)(const struct copy *, void *),
                        void *arg);
int catalog_each_job(const struct catalog *catalog, int (*fn)(const struct job *, void *),
                     void *arg);
int catalog_each_pool(const struct catalog *catalog, int (*fn)(const struct pool *, void *),
                      void *arg);
int catalog_each_evacuation(const struct catalog *catalog,
                            int (*fn)(const struct evacuation *, void *), void *arg);
int catalog_each_history(const struct catalog *catalog, int (*fn)(const struct history *, void *),
                         void *arg);

/* One record. 0 or -ENOENT. */
int catalog_get_volume(const struct catalog *catalog, const uuid_t uuid, struct volume *ret);
int catalog_get_copy(const struct catalog *catalog, const uuid_t cid, struct copy *ret);
int catalog_get_job(const struct catalog *catalog, uint64_t number, struct job *ret);
int catalog_get_pool(const struct catalog *catalog, const char *host, struct pool *ret);
int catalog_get_evacuation(const struct catalog *catalog, const char *host, struct evacuation *ret);

/*
 * Read the catalogue in state_dir and say what is in it, without changing it: one line a record,
 * then a summary. Works beside a running daemon only if that lets go of it first (-EALREADY).
 * Returns 0 sound; -EUCLEAN records that fail their checks (each is named in the report).
 */
int catalog_check(const char *state_dir, struct text *report, struct err *e);
