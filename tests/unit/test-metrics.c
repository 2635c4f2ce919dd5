#include "copy/base/cleanup.h"
#include "fs/attr/rows.h"
#include "tests/unit/check.h"
#include "tests/unit/made-up.h"

/* Is that a whole line of what is shown of the view? */
static bool has(const struct view *view, const char *line)
{
    OWNED(text) struct text text = {0};
    size_t n = strlen(line);
    bool found = false;

    metrics_add(view, &text);
    for (const char *at = text.bytes; at && !found; at = strchr(at, '\n')) {
        at += *at == '\n' ? 1 : 0;
        found = strncmp(at, line, n) == 0 && at[n] == '\n';
    }
    if (!found)
        printf("# no line %s\n", line);
    return found;
}

static size_t n_lines(const struct view *view, const char *beginning)
{
    OWNED(text) struct text text = {0};
    size_t n = 0;

    metrics_add(view, &text);
    for (const char *at = text.bytes; at && *at; at = strchr(at, '\n') + 1)
        n += strncmp(at, beginning, strlen(beginning)) == 0 ? 1 : 0;
    return n;
}

static void begin_job(struct view_volume *volume)
{
    volume->has_job = true;
    volume->status = VOLUME_MIGRATING;
    volume->phase = "copying";
    volume->target = "hdd";
    volume->meter = meter_open();
}

TEST(a_world_at_rest)
{
    struct view *view = made_up_view(2);

    view->totals.began_at_s = 1700000000;
    CHECK(has(view, "ferryfs_build_info{version=\"" FERRYFS_VERSION "\"} 1"));
    CHECK(has(view, "ferryfs_start_time_seconds 1700000000"));
    CHECK(has(view, "ferryfs_healthy 1"));
    CHECK(has(view, "ferryfs_jobs_recovering 0"));
    CHECK(has(view, "ferryfs_max_queue 1000"));
    CHECK(has(view, "ferryfs_migrations_total{result=\"success\"} 0"));
    CHECK(has(view, "ferryfs_volumes{status=\"available\"} 2"));
    CHECK(has(view, "ferryfs_volumes{status=\"error\"} 0"));
    CHECK(has(view, "ferryfs_volumes_left_out 0"));
    CHECK(
        has(view, "ferryfs_volume_info{volume=\"vol00002\",host=\"ssd\",status=\"available\"} 1"));
    CHECK(has(view, "ferryfs_volume_size_bytes{volume=\"vol00001\"} 1048576"));
    CHECK(has(view, "ferryfs_volume_allocated_bytes{volume=\"vol00002\"} 65536"));
    CHECK(has(view, "ferryfs_volume_migrating{volume=\"vol00001\"} 0"));
    CHECK(has(view, "ferryfs_host_up{host=\"ssd\"} 1"));
    CHECK(has(view, "ferryfs_host_draining{host=\"hdd\"} 0"));
    CHECK(has(view, "ferryfs_host_reserved_bytes{host=\"hdd\"} 4096"));
    CHECK_EQ(n_lines(view, "ferryfs_migration_"), TOTALS_BOUNDS + 3);
    view_put(view);
}

TEST(a_job_and_what_it_does_not_know)
{
    struct view *view = made_up_view(2);
    struct meter *meter;

    begin_job(view_volume_nth(view, 1));
    meter = view_volume_nth(view, 1)->meter;
    atomic_store(&meter->percent, 7);
    view_volume_nth(view, 0)->meter = meter_open(); /* of a job that has ended */
    CHECK(has(view, "ferryfs_volumes{status=\"migrating\"} 1"));
    CHECK(has(view, "ferryfs_volume_migrating{volume=\"vol00002\"} 1"));
    CHECK(has(view,
              "ferryfs_migration_info{volume=\"vol00002\",target=\"hdd\",phase=\"copying\"} 1"));
    CHECK(has(view, "ferryfs_migration_progress_ratio{volume=\"vol00002\"} 0.07"));
    CHECK_EQ(n_lines(view, "ferryfs_migration_eta_seconds"), 0);
    CHECK_EQ(n_lines(view, "ferryfs_migration_rate_bytes_per_second"), 0);
    atomic_store(&meter->eta_s, 30);
    atomic_store(&meter->rate_bytes_per_s, 12345678901);
    CHECK(has(view, "ferryfs_migration_eta_seconds{volume=\"vol00002\"} 30"));
    CHECK(has(view, "ferryfs_migration_rate_bytes_per_second{volume=\"vol00002\"} 12345678901"));
    CHECK_EQ(n_lines(view, "ferryfs_migration_progress_ratio"), 1);
    view_put(view);
}

TEST(health_as_its_file_says)
{
    struct view *view = made_up_view(3);

    free(view->health);
    view->health = strdup("recovering 2\n");
    view_volume_nth(view, 0)->recovering = view_volume_nth(view, 2)->recovering = true;
    CHECK(has(view, "ferryfs_healthy 1"));
    CHECK(has(view, "ferryfs_jobs_recovering 2"));
    free(view->health);
    view->health = strdup("degraded host hdd: down\n");
    view->hosts[1]->up = false;
    CHECK(has(view, "ferryfs_healthy 0"));
    CHECK(has(view, "ferryfs_host_up{host=\"hdd\"} 0"));
    view_put(view);
}

TEST(totals_and_durations)
{
    struct view *view = made_up_view(0);
    struct totals *totals = &view->totals;

    totals->n_accepted = 9;
    totals->n_refused = 8;
    totals->n_ended[RESULT_SUCCESS] = 5;
    totals->n_ended[RESULT_ERROR] = 2;
    totals->n_ended[RESULT_ABORTED] = 1;
    totals->n_within[0] = 1;
    totals->n_within[2] = 3;
    totals->sum_s = 90000;
    totals->copied_bytes = UINT64_MAX;
    CHECK(has(view, "ferryfs_migrations_accepted_total 9"));
    CHECK(has(view, "ferryfs_requests_refused_total 8"));
    CHECK(has(view, "ferryfs_migrations_total{result=\"error\"} 2"));
    CHECK(has(view, "ferryfs_migrations_total{result=\"aborted\"} 1"));
    CHECK(has(view, "ferryfs_migration_duration_seconds_bucket{le=\"1\"} 1"));
    CHECK(has(view, "ferryfs_migration_duration_seconds_bucket{le=\"5\"} 1"));
    CHECK(has(view, "ferryfs_migration_duration_seconds_bucket{le=\"15\"} 4"));
    CHECK(has(view, "ferryfs_migration_duration_seconds_bucket{le=\"+Inf\"} 5"));
    CHECK(has(view, "ferryfs_migration_duration_seconds_sum 90000"));
    CHECK(has(view, "ferryfs_migration_duration_seconds_count 5"));
    CHECK(has(view, "ferryfs_copied_bytes_total 18446744073709551615"));
    view_put(view);
}

TEST(labels_are_escaped)
{
    struct view *view = made_up_view(1);

    strcpy(view_volume_nth(view, 0)->name, "a\"b\\c\nd");
    CHECK(has(view, "ferryfs_volume_size_bytes{volume=\"a\\\"b\\\\c\\nd\"} 1048576"));
    view_put(view);
}

TEST(of_very_many_volumes_only_those_with_a_job_have_lines)
{
    struct view *view = made_up_view(1000);

    CHECK(has(view, "ferryfs_volumes_left_out 0"));
    CHECK_EQ(n_lines(view, "ferryfs_volume_info{"), 1000);
    view_put(view);
    view = made_up_view(1001);
    begin_job(view_volume_nth(view, 1000));
    CHECK(has(view, "ferryfs_volumes_left_out 1000"));
    CHECK(has(view, "ferryfs_volumes{status=\"available\"} 1000"));
    CHECK(has(view, "ferryfs_volume_size_bytes{volume=\"vol01001\"} 1048576"));
    CHECK_EQ(n_lines(view, "ferryfs_volume_info{"), 1);
    view_put(view);
}

TEST(what_is_listed_is_what_is_shown)
{
    struct view *view = made_up_view(1);
    OWNED(text) struct text list = {0};
    char name[100], type[20], line[200];
    size_t n = 0;

    attr_describe_metrics(&list);
    for (const char *at = list.bytes; at && *at; at = strchr(at, '\n') + 1, n++) {
        REQUIRE(sscanf(at, "%99s %19s", name, type) == 2);
        snprintf(line, sizeof(line), "# TYPE %s %s", name, type);
        CHECK(has(view, line));
    }
    CHECK_EQ(n_lines(view, "# TYPE "), n);
    CHECK_EQ(n_lines(view, "# HELP "), n);
    view_put(view);
}

TEST_MAIN
