/*
 * What is true of every copy, whatever the volumes, the storage and the way: tried on random ones.
 */
#include "tests/unit/trial.h"

#define N_TRIALS 120

/* A copy that nothing comes between. */
static void check_whole(struct trial *trial)
{
    const struct progress *progress = &trial->progress;
    uint64_t told = progress->copied_bytes + progress->zero_bytes + progress->hole_bytes +
                    progress->cloned_bytes;

    CHECK(trial_equal(trial));
    CHECK_EQ(progress->done_bytes, trial->size_bytes);
    CHECK_EQ(told, trial->size_bytes);
    CHECK_EQ(progress->skipped_bytes, 0);
    CHECK_EQ(trial->result.mark.low_bytes, trial->size_bytes);
    CHECK_EQ(trial->result.bad_bytes, ENGINE_NO_PLACE);
}

/* Either way to verify comes to the same digest, and finds nothing to write. */
static void check_verified(struct trial *trial)
{
    bool have = trial->job.digests != NULL;
    struct digest digest = {{0}};
    unsigned n_writes;

    if (have) {
        CHECK_EQ(engine_verify(&trial->job, &trial->result), 0);
        CHECK_EQ(trial->progress.verified_bytes, trial->size_bytes);
        digest = trial->result.digest;
        digests_close(trial->job.digests);
    }
    trial->job.digests = NULL;
    if (trial->size_bytes <= HUGE_BYTES)
        REQUIRE(digests_open(trial->size_bytes, trial->job.block_bytes, &trial->job.digests) == 0);
    trial->job.compare_source = true;
    n_writes = trial->destination.calls[OP_WRITE];
    CHECK_EQ(engine_verify(&trial->job, &trial->result), 0);
    CHECK_EQ(trial->destination.calls[OP_WRITE], n_writes);
    CHECK_EQ(trial->progress.verified_bytes, trial->size_bytes);
    CHECK(!have || digest_same(&digest, &trial->result.digest));
}

static void try_one(uint64_t seed, uint64_t size_bytes)
{
    struct trial *trial = trial_open(seed, size_bytes);

    if (!trial)
        return;
    CHECK_EQ(trial_copy(trial), 0);
    check_whole(trial);
    CHECK(trial_minimal(trial));
    CHECK_EQ(trial->destination.n_dirty, 0); /* all of it was flushed */
    check_verified(trial);
    CHECK(trial_equal(trial));
    trial_close(trial);
}

TEST(a_copy_is_equal_and_minimal_and_flushed)
{
    for (uint64_t i = 0; i < N_TRIALS * trial_runs && !check_failures; i++)
        try_one(trial_seed + i, UINT64_MAX);
}

TEST(the_largest_file_that_there_can_be_costs_what_is_in_it)
{
    for (uint64_t i = 0; i < 12 && !check_failures; i++) {
        try_one(trial_seed + i, INT64_MAX);
        try_one(trial_seed + i, HUGE_BYTES + 1);
    }
}

/* The files themselves, so that the kernel does it all, shares what it can share, and knows of no
 * wrapping. */
static void try_plain(uint64_t seed)
{
    struct trial *trial = trial_open(seed, UINT64_MAX);

    trial->job.source = trial->source.inner;
    trial->job.destination = trial->destination.inner;
    trial->job.clone = one_in(trial, 2);
    CHECK_EQ(trial_copy(trial), 0);
    check_whole(trial);
    CHECK(trial->result.cloned || trial_minimal(trial));
    CHECK_EQ(trial->result.cloned, trial->progress.cloned_bytes > 0);
    trial_close(trial);
}

TEST(so_is_one_that_the_kernel_does)
{
    for (uint64_t i = 0; i < N_TRIALS * trial_runs && !check_failures; i++)
        try_plain(trial_seed + i);
}

/* Every byte is written, and the result takes all the space there is. */
static void try_never_sparse(uint64_t seed)
{
    struct trial *trial = trial_open(seed, seed * 77777 % (4 * MIB));
    struct stat st;

    trial->job.never_sparse = true;
    CHECK_EQ(trial_copy(trial), 0);
    CHECK(trial_equal(trial));
    REQUIRE(fstat(trial->destination_fd, &st) == 0);
    CHECK((uint64_t)st.st_blocks * 512 >= trial->size_bytes);
    trial_close(trial);
}

TEST(one_that_is_never_sparse_has_no_hole)
{
    for (uint64_t i = 0; i < 30 * trial_runs && !check_failures; i++)
        try_never_sparse(trial_seed + i);
}

int main(int argc, char **argv)
{
    trials_open();
    return check_main(argc, argv);
}
