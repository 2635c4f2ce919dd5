/*
 * Copies that something comes between: a call that fails, storage that loses what it was not made
 * to keep, a stop, a kill. Never is there a success after a lost write; what counts as done is
 * done, even if the power goes; and a copy that goes on from there comes to the same as any other.
 */
#include "tests/unit/trial.h"

#define N_TRIALS 60
#define FOR_EVER 1000000

/* The power goes: of what was not flushed nothing need be left. */
static void lose_power(struct trial *trial)
{
    faulty_lose(&trial->destination, trial->destination.n_dirty);
    trial->destination.n_dirty = 0;
}

/* Go on where the mark is, with nothing in the way. */
static void check_resumed(struct trial *trial, struct journal_mark mark)
{
    uint64_t skipped = journal_mark_bytes(&mark, trial->size_bytes, trial->job.block_bytes);
    struct endpoint_ops *ops = &trial->destination_ops;

    CHECK(mark_is_true(trial, &mark));
    digests_close(trial->job.digests);
    trial->job.digests = NULL;
    trial->job.start = mark;
    trial_renew(trial);
    trial->job.destination_zero &= ops->extent != NULL; /* there may be something by now */
    CHECK_EQ(trial_copy(trial), 0);
    CHECK(trial_equal(trial));
    CHECK(trial_minimal(trial));
    CHECK_EQ(trial->progress.skipped_bytes, skipped);
    CHECK_EQ(trial->progress.done_bytes, trial->size_bytes);
}

/* After a copy in which something was to go wrong. */
static void check_what_came_of_it(struct trial *trial, int r)
{
    struct journal_mark mark = one_in(trial, 2) ? trial->told : trial->result.mark;

    if (r == 0) {
        CHECK(trial_equal(trial));
        CHECK_EQ(trial->destination.n_dirty, 0);
        CHECK_EQ(trial->result.mark.low_bytes, trial->size_bytes);
        return;
    }
    CHECK(trial->result.err.text[0] != '\0');
    CHECK(trial->result.err.code != 0); /* of a bad sector what the device calls it */
    lose_power(trial);
    CHECK(mark_is_true(trial, &trial->told));
    CHECK(mark_is_true(trial, &trial->result.mark));
    check_resumed(trial, mark);
}

static void break_something(struct trial *trial)
{
    static const enum faulty_op at_source[] = {OP_SIZE, OP_EXTENT, OP_READ, OP_READ, OP_CLAIM};
    static const enum faulty_op at_destination[] = {OP_SIZE,  OP_EXTENT, OP_READ, OP_WRITE,
                                                    OP_WRITE, OP_WRITE,  OP_ZERO, OP_ZERO,
                                                    OP_FLUSH, OP_FLUSH,  OP_SYNC, OP_DROP};
    static const int errors[] = {EIO, EIO, ENOSPC, EDQUOT, ENODATA, EPERM, ENOMEM};
    static const unsigned more[] = {0, 0, 1, 3, FOR_EVER};
    bool source = one_in(trial, 4);
    struct faulty *faulty = source ? &trial->source : &trial->destination;
    uint64_t *random = &trial->random;

    faulty->op = source ? at_source[random_below(random, ARRAY_N(at_source))]
                        : at_destination[random_below(random, ARRAY_N(at_destination))];
    faulty->fail_at = 1 + (unsigned)random_below(random, one_in(trial, 2) ? 4 : 60);
    faulty->n_more = more[random_below(random, ARRAY_N(more))];
    faulty->error = errors[random_below(random, ARRAY_N(errors))];
}

static void try_broken(uint64_t seed)
{
    struct trial *trial = trial_open(seed, UINT64_MAX);

    break_something(trial);
    check_what_came_of_it(trial, trial_copy(trial));
    trial_close(trial);
}

TEST(whatever_fails_there_is_no_success_after_a_lost_write)
{
    for (uint64_t i = 0; i < N_TRIALS * trial_runs && !check_failures; i++)
        try_broken(trial_seed + i);
}

/* A flush loses what was written before it, and tells once. Nothing is read back, which would find
 * it. */
static void try_bad_flush(uint64_t seed)
{
    struct trial *trial = trial_open(seed, (seed % 7 + 1) * MIB + seed % 4097);
    struct faulty *faulty = &trial->destination;
    bool at_end = one_in(trial, 2);

    volume_write(trial->source_fd, 0, trial->size_bytes / 2, 1, &trial->random);
    trial->job.verify_behind = false;
    trial->job.checkpoint_ns = 0;
    faulty->op = at_end ? OP_SYNC : OP_FLUSH;
    faulty->fail_at = at_end ? 1 : 1 + (unsigned)random_below(&trial->random, 2);
    faulty->n_more = (unsigned)random_below(&trial->random, 3) % 2;
    faulty->error = EIO;
    faulty->flush_lingers = one_in(trial, 2);
    check_what_came_of_it(trial, trial_copy(trial));
    trial_close(trial);
}

TEST(what_a_flush_lost_is_written_again_or_told)
{
    for (uint64_t i = 0; i < 20 * trial_runs && !check_failures; i++)
        try_bad_flush(trial_seed + i);
}

static void stop(void *arg)
{
    struct trial *trial = arg;

    atomic_store(&trial->stop, true);
}

static void try_stopped(uint64_t seed)
{
    static const enum faulty_op ops[] = {OP_READ, OP_WRITE, OP_FLUSH, OP_ZERO, OP_EXTENT};
    struct trial *trial = trial_open(seed, UINT64_MAX);
    bool source = one_in(trial, 3);
    struct faulty *faulty = source ? &trial->source : &trial->destination;
    int r;

    trial->job.checkpoint_ns = 0;
    faulty->hook = stop;
    faulty->hook_arg = trial;
    faulty->hook_op = ops[random_below(&trial->random, ARRAY_N(ops))];
    faulty->hook_at = 1 + (unsigned)random_below(&trial->random, 40);
    r = trial_copy(trial);
    CHECK(r == 0 || r == -ECANCELED);
    check_what_came_of_it(trial, r);
    trial_close(trial);
}

TEST(a_stop_at_any_time_leaves_what_can_be_gone_on_from)
{
    for (uint64_t i = 0; i < N_TRIALS * trial_runs && !check_failures; i++)
        try_stopped(trial_seed + i);
}

static void try_full(uint64_t seed)
{
    struct trial *trial = trial_open(seed, (seed % 20 + 5) * MIB + seed * 777 % 5000);
    int r;

    trial->destination.full_bytes = 1 + random_below(&trial->random, trial->size_bytes);
    r = trial_copy(trial);
    CHECK(r == 0 || r == -ENOSPC);
    check_what_came_of_it(trial, r);
    trial_close(trial);
}

TEST(a_full_disk_ends_the_copy_and_it_goes_on_when_there_is_room)
{
    for (uint64_t i = 1; i <= 20 * trial_runs && !check_failures; i++)
        try_full(trial_seed * 1000 + i);
}

/* The N-th call of each kind, for every N, fails once and for good, in several ways. */
static void sweep(enum faulty_op op, bool at_source, unsigned n_more, int error, uint64_t seed)
{
    bool reached = true;

    for (unsigned at = 1; reached && at < 400 && !check_failures; at++) {
        struct trial *trial = trial_open(seed, MIB + 1 + seed % 3 * 100000);
        struct faulty *faulty = at_source ? &trial->source : &trial->destination;
        int r;

        faulty->op = op;
        faulty->fail_at = at;
        faulty->n_more = n_more;
        faulty->error = error;
        r = trial_copy(trial);
        reached = faulty->calls[op] >= at;
        check_what_came_of_it(trial, r);
        if (check_failures)
            printf("# call %u of op %d of the %s\n", at, op, at_source ? "source" : "destination");
        trial_close(trial);
    }
}

TEST(every_request_may_fail)
{
    for (uint64_t seed = trial_seed; seed < trial_seed + trial_runs; seed++) {
        for (unsigned op = 0; op < OP_N; op++) {
            sweep(op, false, 0, EIO, seed);
            sweep(op, false, FOR_EVER, EIO, seed);
            sweep(op, false, 0, ENOSPC, seed);
        }
        sweep(OP_READ, true, 0, EIO, seed);
        sweep(OP_READ, true, FOR_EVER, EIO, seed);
        sweep(OP_EXTENT, true, 0, EIO, seed);
        sweep(OP_SIZE, true, 0, EIO, seed);
        sweep(OP_CLAIM, true, 0, ETXTBSY, seed);
    }
}

/* A grain that cannot be read: it is named, and no byte is made up for it. */
static void try_bad_sector(uint64_t seed)
{
    struct trial *trial = trial_open(seed, 3 * MIB + 600);
    struct faulty *source = &trial->source;
    uint64_t at = random_below(&trial->random, trial->size_bytes), grain = at - at % GRAIN;
    int r;

    volume_write(trial->source_fd, grain, GRAIN < trial->size_bytes - grain ? GRAIN : 1, 1,
                 &trial->random);
    source->bad_start = at;
    source->bad_end = at + 1;
    source->n_bad = UINT_MAX;
    r = trial_copy(trial);
    CHECK_EQ(r, -EIO);
    CHECK_EQ(trial->result.bad_bytes, grain);
    CHECK(trial->result.mark.low_bytes <= grain);
    check_what_came_of_it(trial, r);
    trial_close(trial);
}

TEST(a_bad_sector_is_named)
{
    for (uint64_t i = 0; i < 20 * trial_runs && !check_failures; i++)
        try_bad_sector(trial_seed + i);
}

/* What is read back wrong was written wrong, as far as anybody can tell. */
static void try_flipped(uint64_t seed)
{
    struct trial *trial = trial_open(seed, 2 * MIB + 600);
    int r;

    volume_write(trial->source_fd, 0, trial->size_bytes, 1, &trial->random);
    if (!trial->job.digests)
        REQUIRE(digests_open(trial->size_bytes, trial->job.block_bytes, &trial->job.digests) == 0);
    trial->job.verify_behind = true;
    trial->job.checkpoint_ns = 0;
    trial->destination.flip_at = random_below(&trial->random, trial->size_bytes);
    trial->destination.n_flips = one_in(trial, 2) ? 1 : UINT_MAX;
    r = trial_copy(trial);
    if (r == 0)
        r = engine_verify(&trial->job, &trial->result);
    CHECK_EQ(r, trial->destination.n_flips < 2 ? 0 : -EILSEQ);
    CHECK(r == 0 || trial->result.bad_bytes <= trial->destination.flip_at);
    CHECK(r < 0 || trial_equal(trial));
    trial_close(trial);
}

TEST(what_is_read_back_wrong_is_written_again_or_told)
{
    for (uint64_t i = 0; i < 20 * trial_runs && !check_failures; i++)
        try_flipped(trial_seed + i);
}

int main(int argc, char **argv)
{
    trials_open();
    return check_main(argc, argv);
}
