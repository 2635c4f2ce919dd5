/*
 * Inside the engine: what is done about a block that differs. Blocks; on a thread.
 */
#pragma once

#include "copy/slots.h"

/*
 * Write the block of the slot again from the source, all of it, flush it, and read it back past the
 * page cache: it has slot->expected then. The slot's memory is used for it; slot->rewritten and
 * slot->flush_error say what became of the destination.
 *
 * Returns 0; -EILSEQ it differs still; or a negative errno; with slot->error filled in.
 */
int repair_block(const struct engine_job *job, struct slot *slot);

/* Where do the two differ? Returns -EILSEQ, with slot->error filled in, or why that cannot be
 * found out. */
int repair_tell_difference(const struct engine_job *job, struct slot *slot);
