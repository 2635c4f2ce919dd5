#include "fs/attr/attr.h"

#include "copy/base/cleanup.h"
#include "tests/unit/check.h"
#include "tests/unit/made-up.h"
#include "tests/unit/no-service.h"

/* What the rows name; nothing is written here. */
#define NOT_CALLED(name)                                                                           \
    void service_##name(struct service *service, struct request *request)                          \
    {                                                                                              \
        (void)service;                                                                             \
        (void)request;                                                                             \
    }
NOT_CALLED(store_target)
NOT_CALLED(store_abort)
NOT_CALLED(store_verify)
NOT_CALLED(store_keep)
NOT_CALLED(store_retained)
NOT_CALLED(admit_retained)
NOT_CALLED(store_rescan)
NOT_CALLED(store_max_jobs)
NOT_CALLED(store_max_queue)
NOT_CALLED(store_drain)
NOT_CALLED(store_speed)
NOT_CALLED(store_evacuate)
NOT_CALLED(store_pause)
NOT_CALLED(admit_target)
NOT_CALLED(admit_abort)
NOT_CALLED(admit_data)

static const struct attr *find(enum attr_dir_id id, const char *name)
{
    for (size_t i = 0; i < attr_dirs[id]->n_attrs; i++)
        if (strcmp(attr_dirs[id]->attrs[i].name, name) == 0)
            return &attr_dirs[id]->attrs[i];
    return NULL;
}

/* What a file shows of the made-up world: volume 1, host ssd. */
static const char *shown(const struct view *view, enum attr_dir_id id, const char *name)
{
    static char bytes[65536];
    OWNED(text) struct text text = {0};
    const struct attr *attr = find(id, name);
    struct attr_of of = {.view = view};

    if (!attr)
        return NULL;
    if (attr_dirs[id]->about == ABOUT_VOLUME)
        of.volume = view_volume_at(view, 0);
    if (attr_dirs[id]->about == ABOUT_HOST)
        of.host = view->hosts[0];
    attr->show(&of, &text);
    snprintf(bytes, sizeof(bytes), "%s", text.bytes);
    return bytes;
}

struct golden {
    enum attr_dir_id dir;
    const char *name;
    mode_t mode;
    const char *text;
};

static void check_all(const struct view *view, const struct golden *golden, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct attr *attr = find(golden[i].dir, golden[i].name);

        printf("# %s/%s\n", attr_dirs[golden[i].dir]->name ? attr_dirs[golden[i].dir]->name : "*",
               golden[i].name);
        CHECK_STR(shown(view, golden[i].dir, golden[i].name), golden[i].text);
        CHECK_EQ(attr ? attr->mode : 0, golden[i].mode);
    }
}

static const char stat_at_rest[] = "job 0\nqueued_at 0\nstarted_at 0\nended_at 0\nbytes_total 0\n"
                                   "bytes_done 0\nbytes_copied 0\nbytes_zero 0\nbytes_hole 0\n"
                                   "bytes_skipped 0\nbytes_verified 0\npass 0\nbytes_dirty 0\n"
                                   "checkpoint 0\nresumes 0\nspeed_effective 0\ndowntime_ms 0\n"
                                   "claim_weak 0\n";

static const struct golden at_rest[] = {
    {ATTR_DIR_VOLUME, "uuid", 0444, "00000000-0000-4000-8000-000000000001\n"},
    {ATTR_DIR_VOLUME, "size", 0444, "1048576\n"},
    {ATTR_DIR_VOLUME, "allocated", 0444, "65536\n"},
    {ATTR_DIR_VOLUME, "host", 0444, "ssd\n"},
    {ATTR_DIR_VOLUME, "path", 0400, "/srv/ssd/vol00001\n"},
    {ATTR_DIR_VOLUME, "status", 0444, "available\n"},
    {ATTR_DIR_VOLUME, "previous_status", 0444, "null\n"},
    {ATTR_DIR_MIGRATE, "target", 0664, "ssd\n"},
    {ATTR_DIR_MIGRATE, "status", 0444, "null\n"},
    {ATTR_DIR_MIGRATE, "phase", 0444, "idle\n"},
    {ATTR_DIR_MIGRATE, "progress", 0444, "null\n"},
    {ATTR_DIR_MIGRATE, "eta", 0444, "null\n"},
    {ATTR_DIR_MIGRATE, "rate", 0444, "0\n"},
    {ATTR_DIR_MIGRATE, "stat", 0444, stat_at_rest},
    {ATTR_DIR_MIGRATE, "message", 0444, "null\n"},
    {ATTR_DIR_MIGRATE, "error", 0444, "null\n"},
    {ATTR_DIR_MIGRATE, "abort", 0664, "0\n"},
    {ATTR_DIR_MIGRATE, "wait", 0444, "null\n"},
    {ATTR_DIR_MIGRATE, "candidates", 0444, "hdd ok 600000000\n"},
    {ATTR_DIR_MIGRATE, "verify", 0664, "full\n"},
    {ATTR_DIR_MIGRATE, "speed", 0664, "max\n"},
    {ATTR_DIR_MIGRATE, "pause", 0664, "0\n"},
    {ATTR_DIR_MIGRATE, "keep", 0664, "0\n"},
    {ATTR_DIR_MIGRATE, "retained", 0664, "null\n"},
    {ATTR_DIR_CONTROL, "version", 0444, FERRYFS_VERSION "\n"},
    {ATTR_DIR_CONTROL, "health", 0444, "ok\n"},
    {ATTR_DIR_CONTROL, "jobs", 0444, "null\n"},
    {ATTR_DIR_CONTROL, "history", 0444, "null\n"},
    {ATTR_DIR_CONTROL, "hidden", 0400, "null\n"},
    {ATTR_DIR_CONTROL, "rescan", 0664, "0\n"},
    {ATTR_DIR_CONTROL, "max_jobs", 0664, "2\n"},
    {ATTR_DIR_CONTROL, "max_queue", 0664, "1000\n"},
    {ATTR_DIR_CONTROL, "speed", 0664, "50000000\n"},
    {ATTR_DIR_CONTROL, "pause", 0664, "0\n"},
    {ATTR_DIR_HOST, "state", 0444, "up\n"},
    {ATTR_DIR_HOST, "driver", 0444, "dir\n"},
    {ATTR_DIR_HOST, "address", 0400, "/srv/ssd\n"},
    {ATTR_DIR_HOST, "capacity", 0444, "1000000000\n"},
    {ATTR_DIR_HOST, "free", 0444, "600000000\n"},
    {ATTR_DIR_HOST, "reserved", 0444, "4096\n"},
    {ATTR_DIR_HOST, "volumes", 0444, "3\n"},
    {ATTR_DIR_HOST, "jobs", 0444, "1\n"},
    {ATTR_DIR_HOST, "last_error", 0444, "null\n"},
    {ATTR_DIR_HOST, "drain", 0664, "0\n"},
    {ATTR_DIR_HOST, "max_jobs", 0664, "2\n"},
    {ATTR_DIR_HOST, "speed", 0664, "max\n"},
    {ATTR_DIR_HOST, "evacuate", 0664, "null\n"},
};

TEST(every_file_shows_its_value_at_rest)
{
    struct view *view = made_up_view(1);
    size_t n = 0;

    check_all(view, at_rest, ARRAY_N(at_rest));
    for (int id = 0; id < ATTR_DIR_N; id++)
        n += attr_dirs[id]->n_attrs;
    CHECK_EQ(n, ARRAY_N(at_rest) + 4); /* and help, metrics, events and data */
    view_put(view);
}

static void set_busy(struct view *view)
{
    struct view_volume *volume = view_volume_at(view, 0);
    struct meter *meter = meter_open();

    volume->status = VOLUME_MIGRATING;
    volume->previous_status = VOLUME_IN_USE;
    volume->has_job = volume->aborting = true;
    volume->target = "hdd";
    volume->phase = "copying";
    volume->result = "migrating";
    volume->job = 17;
    view_volume_set_stat(volume, &(struct job_stat){11, 12, 0, 1000, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1});
    volume->message = strdup("accepted 17: ssd -> hdd\nx");
    volume->error = strdup("EIO copying 4096 bad\033[2J");
    volume->options = calloc(VOLUME_OPTION_N, sizeof(*volume->options));
    volume->options[VOLUME_OPTION_VERIFY] = VERIFY_OFF;
    volume->options[VOLUME_OPTION_SPEED] = SPEED_MAX;
    volume->options[VOLUME_OPTION_KEEP] = 86400;
    volume->retained = strdup("hdd 1048576 2026-11-22T07:17:00Z");
    volume->meter = meter;
    atomic_store(&meter->percent, 42);
    atomic_store(&meter->eta_s, 30);
    atomic_store(&meter->rate_bytes_per_s, 123456789);
    atomic_store(&meter->speed_bytes_per_s, 25000000);
    atomic_store(&meter->done_bytes, 500);
    atomic_store(&meter->copied_bytes, 300);
    atomic_store(&meter->zero_bytes, 100);
    atomic_store(&meter->hole_bytes, 60);
    atomic_store(&meter->skipped_bytes, 40);
    atomic_store(&meter->verified_bytes, UINT64_MAX);
    view->hosts[0]->up = false;
    view->hosts[0]->drain = view->hosts[0]->was_evacuated = true;
    view->hosts[0]->n_to_go = 5;
    view->hosts[0]->n_gone = 2;
    view->hosts[0]->n_failed = 1;
    strcpy(view->hosts[0]->last_error, "the disk\nis gone");
    free(view->jobs);
    view->jobs = strdup("vol00001 ssd hdd copying 42 30 123456789 copy\n");
}

static const struct golden busy[] = {
    {ATTR_DIR_VOLUME, "status", 0444, "migrating\n"},
    {ATTR_DIR_VOLUME, "previous_status", 0444, "in-use\n"},
    {ATTR_DIR_MIGRATE, "target", 0664, "hdd\n"},
    {ATTR_DIR_MIGRATE, "status", 0444, "migrating\n"},
    {ATTR_DIR_MIGRATE, "phase", 0444, "copying\n"},
    {ATTR_DIR_MIGRATE, "progress", 0444, "42\n"},
    {ATTR_DIR_MIGRATE, "eta", 0444, "30\n"},
    {ATTR_DIR_MIGRATE, "rate", 0444, "123456789\n"},
    {ATTR_DIR_MIGRATE, "stat", 0444,
     "job 17\nqueued_at 11\nstarted_at 12\nended_at 0\nbytes_total 1000\nbytes_done 500\n"
     "bytes_copied 300\nbytes_zero 100\nbytes_hole 60\nbytes_skipped 40\nbytes_verified 0\n"
     "pass 8\nbytes_dirty 0\ncheckpoint 7\nresumes 9\nspeed_effective 25000000\ndowntime_ms 0\n"
     "claim_weak 1\n"},
    {ATTR_DIR_MIGRATE, "message", 0444, "accepted 17: ssd -> hdd\\x0ax\n"},
    {ATTR_DIR_MIGRATE, "error", 0444, "EIO copying 4096 bad\\x1b[2J\n"},
    {ATTR_DIR_MIGRATE, "abort", 0664, "1\n"},
    {ATTR_DIR_MIGRATE, "wait", 0444, "migrating\n"},
    {ATTR_DIR_MIGRATE, "verify", 0664, "off\n"},
    {ATTR_DIR_MIGRATE, "keep", 0664, "86400\n"},
    {ATTR_DIR_MIGRATE, "retained", 0664, "hdd 1048576 2026-11-22T07:17:00Z\n"},
    {ATTR_DIR_CONTROL, "jobs", 0444, "vol00001 ssd hdd copying 42 30 123456789 copy\n"},
    {ATTR_DIR_HOST, "state", 0444, "down\n"},
    {ATTR_DIR_HOST, "last_error", 0444, "the disk\\x0ais gone\n"},
    {ATTR_DIR_HOST, "drain", 0664, "1\n"},
    {ATTR_DIR_HOST, "evacuate", 0664, "2/5 1\n"},
};

TEST(every_file_shows_its_value_while_a_job_runs)
{
    struct view *view = made_up_view(1);

    set_busy(view);
    check_all(view, busy, ARRAY_N(busy));
    view_put(view);
}

TEST(what_a_job_does_not_know_is_null_and_a_rate_is_0)
{
    struct view *view = made_up_view(1);
    struct view_volume *volume = view_volume_at(view, 0);

    volume->has_job = true;
    volume->job = 3;
    volume->meter = meter_open();
    CHECK_STR(shown(view, ATTR_DIR_MIGRATE, "progress"), "0\n");
    CHECK_STR(shown(view, ATTR_DIR_MIGRATE, "eta"), "null\n");
    CHECK_STR(shown(view, ATTR_DIR_MIGRATE, "rate"), "0\n");
    atomic_store(&volume->meter->percent, UINT64_MAX);
    CHECK_STR(shown(view, ATTR_DIR_MIGRATE, "progress"), "null\n");
    view_put(view);
}

TEST(after_a_restart_a_success_still_stands_at_100)
{
    struct view *view = made_up_view(1);
    struct view_volume *volume = view_volume_at(view, 0);

    volume->job = 3;
    volume->result = result_names[RESULT_SUCCESS];
    view_volume_set_stat(volume, &(struct job_stat){.done_bytes = 77});
    CHECK_STR(shown(view, ATTR_DIR_MIGRATE, "progress"), "100\n");
    CHECK(strstr(shown(view, ATTR_DIR_MIGRATE, "stat"), "bytes_done 77\n") != NULL);
    volume->result = result_names[RESULT_ERROR];
    CHECK_STR(shown(view, ATTR_DIR_MIGRATE, "progress"), "null\n");
    view_put(view);
}

TEST(a_volume_of_a_host_that_is_not_configured_has_no_path)
{
    struct view *view = made_up_view(1);

    view_volume_at(view, 0)->host = "gone";
    CHECK_STR(shown(view, ATTR_DIR_VOLUME, "path"), "null\n");
    view_put(view);
}

static void check_ends(const struct view *view)
{
    for (int id = 0; id < ATTR_DIR_N; id++)
        for (size_t i = 0; i < attr_dirs[id]->n_attrs; i++) {
            const char *text;

            if (!attr_dirs[id]->attrs[i].show) /* what is in it is the service's, or the volume's */
                continue;
            text = shown(view, (enum attr_dir_id)id, attr_dirs[id]->attrs[i].name);
            CHECK(text && strlen(text) > 1 && text[strlen(text) - 1] == '\n');
        }
}

TEST(every_file_ends_in_a_newline_and_is_never_empty)
{
    struct view *view = made_up_view(1);

    check_ends(view);
    set_busy(view);
    check_ends(view);
    view_put(view);
}

TEST(no_name_is_used_twice_in_a_directory)
{
    for (int id = 0; id < ATTR_DIR_N; id++) {
        const struct attr_dir *dir = attr_dirs[id];

        CHECK_EQ(dir->id, id);
        for (size_t i = 0; i < dir->n_attrs; i++) {
            for (size_t j = 0; j < i; j++)
                CHECK(strcmp(dir->attrs[i].name, dir->attrs[j].name) != 0);
            for (int child = 1; child < ATTR_DIR_N; child++)
                CHECK(attr_dirs[child]->parent != dir->id || !attr_dirs[child]->name ||
                      strcmp(attr_dirs[child]->name, dir->attrs[i].name) != 0);
        }
    }
}

TEST(what_can_be_written_says_so_in_its_mode)
{
    for (int id = 0; id < ATTR_DIR_N; id++)
        for (size_t i = 0; i < attr_dirs[id]->n_attrs; i++) {
            const struct attr *attr = &attr_dirs[id]->attrs[i];

            CHECK_EQ(attr->store || attr->data, (attr->mode & 0222) != 0);
            CHECK_EQ(attr->show || attr->feed || attr->data, (attr->mode & 0444) != 0);
            CHECK((attr->show != NULL) + (attr->feed != NULL) + attr->data <= 1);
            CHECK(!attr->admit || attr->store || attr->data);
            CHECK(attr->help && attr->help[0] && !strchr(attr->help, '\n'));
        }
}

TEST(only_what_blocks_and_the_volumes_bytes_are_unlisted)
{
    for (int id = 0; id < ATTR_DIR_N; id++)
        for (size_t i = 0; i < attr_dirs[id]->n_attrs; i++) {
            const struct attr *attr = &attr_dirs[id]->attrs[i];

            CHECK_EQ(attr->unlisted, attr->ready || attr->data);
        }
}

TEST(wait_is_ready_when_no_job_runs)
{
    struct view *view = made_up_view(1);
    const struct attr *wait = find(ATTR_DIR_MIGRATE, "wait");
    const struct attr_of of = {.view = view, .volume = view_volume_at(view, 0)};

    CHECK(wait->ready(&of));
    view_volume_at(view, 0)->has_job = true;
    CHECK(!wait->ready(&of));
    view_put(view);
}

static struct timespec changed(const struct view *view, enum attr_dir_id id, const char *name)
{
    struct attr_of of = {.view = view};

    if (attr_dirs[id]->about == ABOUT_VOLUME)
        of.volume = view_volume_at(view, 0);
    if (attr_dirs[id]->about == ABOUT_HOST)
        of.host = view->hosts[0];
    return attr_changed(&of, find(id, name));
}

TEST(a_value_is_dated_by_what_changes_it)
{
    struct view *view = made_up_view(1);
    struct view_volume *volume = view_volume_at(view, 0);

    CHECK_EQ(changed(view, ATTR_DIR_VOLUME, "status").tv_sec, 1700000000 + EVENT_STATUS);
    CHECK_EQ(changed(view, ATTR_DIR_VOLUME, "size").tv_nsec, 5);
    CHECK_EQ(changed(view, ATTR_DIR_HOST, "free").tv_nsec, 7);
    CHECK_EQ(changed(view, ATTR_DIR_CONTROL, "jobs").tv_nsec, 9);
    CHECK_EQ(changed(view, ATTR_DIR_MIGRATE, "progress").tv_sec, 1700000000 + EVENT_PROGRESS);
    volume->meter = meter_open();
    atomic_store(&volume->meter->changed_s, 1800000000);
    CHECK_EQ(changed(view, ATTR_DIR_MIGRATE, "progress").tv_sec, 1800000000);
    view->hosts[1]->changed[EVENT_HOST].tv_sec = 1900000000;
    CHECK_EQ(changed(view, ATTR_DIR_MIGRATE, "candidates").tv_sec, 1900000000);
    CHECK_EQ(changed(view, ATTR_DIR_HOST, "free").tv_sec, 1700000000 + EVENT_HOST);
    view_put(view);
}

TEST(help_has_a_line_for_every_file)
{
    OWNED(text) struct text text = {0};
    size_t n = 0, n_lines = 0;

    attr_describe(&text);
    for (int id = 0; id < ATTR_DIR_N; id++)
        n += attr_dirs[id]->n_attrs;
    for (size_t i = 0; i < text.n; i++)
        n_lines += text.bytes[i] == '\n' ? 1 : 0;
    CHECK_EQ(n_lines, n);
    CHECK(strstr(text.bytes, "VOLUME/migrate/target\t0664\twrite a host's name") != NULL);
    CHECK(strstr(text.bytes, "\n.control/hosts/HOST/address\t0400\t") != NULL);
    CHECK(strncmp(text.bytes, "VOLUME/uuid\t0444\t", 17) == 0);
    CHECK(strstr(text.bytes, "\n.control/version\t0444\t") != NULL);
}

TEST_MAIN
