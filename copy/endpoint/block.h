/*
 * A block device: `block:PATH`, and a path that leads to one.
 *
 * It is opened with O_EXCL: what is mounted, or claimed by LVM, RAID, swap or another copy is
 * refused (-EBUSY). A source is set read-only (BLKROSET) while it is open, if it was not and we may
 * (CAP_SYS_ADMIN), and check_claim sees that it stays so; who may not has the claim of O_EXCL
 * alone. A process that is killed leaves its source read-only: nobody can tell any more that it was
 * us, so the next one leaves it so, and `blockdev --setrw PATH` ends it.
 *
 * Zeroing frees the space where the device can do that and promises zeroes (fallocate(2),
 * FALLOC_FL_PUNCH_HOLE), else the kernel writes them (BLKZEROOUT). BLKDISCARD is not used: what is
 * read after it is not defined. A device does not tell holes from data: all of it is data.
 *
 * Whole grains are read and written past the page cache, so its logical blocks are at most a grain;
 * with larger ones everything goes through the cache.
 */
#pragma once

#include "copy/endpoint/endpoint.h"

extern const struct endpoint_ops block_endpoint;
