/*
 * The catalogue's file: tdb behind the commit rule. One thread, one store a process and a file.
 *
 * A commit counts only when tdb_transaction_commit returned 0 and tdb's log stayed silent from the
 * start of the transaction on: tdb 1.4.8 does not report that it could not take away its
 * recovery mark, and then the next transaction, or the next start, rolls the commit back.
 * Everything else is an unknown outcome, and the file is made anew from memory (rebuild.c).
 *
 * At the first complaint during a commit the file is taken away from tdb, for good. tdb would go on
 * to roll back by itself and then remove its recovery mark, though the roll-back failed too (a bad
 * sector fails twice): that leaves a torn file which no start can read, and makes memory the only
 * copy. Left alone, the mark stands, and whatever happens next, a start finds the old state or the
 * new.
 *
 * A commit is confirmed by reading the generation inside the next transaction. tdb looks for a
 * standing recovery mark at the start of a transaction and rolls back there and then, so what is
 * read there is what a restart will find; the transaction writes nothing and is cancelled. The
 * durability of it is the commit's last fdatasync, whose failure is in the log.
 */
#pragma once

#include <sys/types.h>
#include <tdb.h>

#include "copy/base/err.h"
#include "copy/base/text.h"
#include "fs/catalog/image.h"

struct store {
    struct tdb_context *tdb; /* NULL: no file is open */
    int dir;                 /* the directory it is in; the caller's */
    bool committing;
    unsigned n_complaints; /* lines in tdb's log since store_listen */
    int complaint_errno;   /* errno at the first of them */
    char complaint[128];   /* and its text */
};

/*
 * Open a file of the directory. flags: O_RDWR, | O_CREAT | O_EXCL for a new one.
 * The store must not move while it is open. -EUCLEAN: this is no tdb file.
 */
int store_open(struct store *store, int dir, const char *name, int flags, struct err *e);
/* Open a copy in memory of the file behind a descriptor: tdb repairs what it opens. To be read. */
int store_open_copy(struct store *store, int fd, struct err *e);
/* The same, and the copy was made: a memfd. */
int store_open_memory(struct store *store, int memory, struct err *e);
void store_close(struct store *store);

/*
 * Read everything into an empty image and check it against the header's seal. What is in memory
 * then is of RECORD_FORMAT, and the header seals that. bad, which may be NULL, gets a line for
 * everything that fails its checks, and reading goes on. Written in any case: *ret_format, which
 * all records of the file have (0: none was read); *ret_tidy: tdb finds its own structure sound.
 * It says no for ever after a kill in a transaction that grew the file, though every record is
 * right. Returns 0, -EUCLEAN, -EPROTONOSUPPORT, -ENOMEM or -EIO.
 */
int store_load(struct store *store, struct image *image, struct header *header, bool *ret_tidy,
               unsigned *ret_format, struct text *bad, struct err *e);

/*
 * One transaction: the change and the header. committed: what the file holds.
 * Returns 0 or a negative errno; *ret_unknown then says whether it may have happened all the same.
 */
int store_commit(struct store *store, const struct image *committed, const struct image *change,
                 const struct header *header, bool *ret_unknown, struct err *e);

/* Is this the generation that the next transaction reads? 0, or the outcome is unknown. */
int store_confirm(struct store *store, uint64_t generation, struct err *e);

/*
 * Make the file in dir anew: image and header, room to grow without growing, read back, flushed,
 * renamed over. The store is closed before and open after, or closed for good where it fails.
 */
int store_rebuild(struct store *store, int dir, const struct image *image,
                  const struct header *header, struct err *e);

/* For a rebuild: note the log from here on; what tdb last complained of, or code, as an error. */
void store_listen(struct store *store);
int store_fail(struct store *store, struct err *e, const char *what);
