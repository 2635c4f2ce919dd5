/* The table of refusals: every errno of INTERFACE that memory knows, at open, at write, in
 * candidates. */
#include "fs/migrate/refuse.h"

#include "check.h"

struct world {
    struct view *view;
    struct view_volume *volume;
    struct view_host *from, *to;
};

static void world_init(struct world *w)
{
    w->view = view_open(1, 3);
    w->volume = view_volume_open("db1");
    w->from = view_host_open();
    w->to = view_host_open();
    REQUIRE(w->view && w->volume && w->from && w->to);
    w->volume->host = w->volume->target = "ssd";
    w->volume->number = 1;
    w->volume->phase = "idle";
    w->volume->result = "null";
    w->volume->status = VOLUME_AVAILABLE;
    w->volume->allocated_bytes = 1000;
    strcpy(w->from->name, "ssd");
    strcpy(w->to->name, "hdd");
    w->from->number = 1;
    w->to->number = 2;
    w->from->up = w->to->up = true;
    w->from->max_jobs = w->to->max_jobs = 2;
    w->to->capacity_bytes = w->to->free_bytes = 5000;
    w->view->max_jobs = 2;
    w->view->max_queue = 10;
    REQUIRE(view_set(w->view, 0, w->volume) == 0);
    view_set_order(w->view, 0, 0);
    w->view->hosts[0] = w->from;
    w->view->hosts[1] = w->to;
    w->view->n_hosts = 2;
}

static void add_third(struct world *w, uint64_t free_bytes)
{
    struct view_host *host = view_host_open();

    REQUIRE(host);
    strcpy(host->name, "nas");
    host->number = 3;
    host->up = true;
    host->max_jobs = 2;
    host->free_bytes = free_bytes;
    w->view->hosts[2] = host;
    w->view->n_hosts = 3;
}

static int write_refused(struct world *w, struct err *e)
{
    return refuse_at_write(w->view, w->volume, w->to, "hdd", e);
}

static int answer_refused(struct world *w, struct err *e)
{
    return refuse_at_answer(w->view, w->volume, w->to, e);
}

#define WORLD(w)                                                                                   \
    struct world w;                                                                                \
    struct err e = {0};                                                                            \
    world_init(&w)

TEST(a_sound_request_is_not_refused)
{
    WORLD(w);
    CHECK_EQ(refuse_at_open(w.view, w.volume, &e), 0);
    CHECK_EQ(write_refused(&w, &e), 0);
    CHECK_EQ(e.code, 0);
    view_put(w.view);
}

TEST(open_tells_what_depends_on_the_state_alone)
{
    WORLD(w);
    w.volume->has_job = w.volume->recovering = true;
    w.volume->target = "hdd";
    CHECK_EQ(refuse_at_open(w.view, w.volume, &e), -EAGAIN);
    w.volume->recovering = false;
    w.volume->phase = "copying";
    CHECK_EQ(refuse_at_open(w.view, w.volume, &e), 0);
    w.volume->aborting = true;
    CHECK_EQ(refuse_at_open(w.view, w.volume, &e), -EBUSY);
    w.volume->aborting = false;
    w.volume->phase = "rolling-back";
    CHECK_EQ(refuse_at_open(w.view, w.volume, &e), -EBUSY);
    w.volume->has_job = false;
    w.volume->phase = "idle";
    w.volume->status = VOLUME_ERROR;
    CHECK_EQ(refuse_at_open(w.view, w.volume, &e), -EBUSY);
    view_put(w.view);
}

TEST(each_state_of_the_destination_has_its_errno)
{
    WORLD(w);
    w.to->up = false;
    CHECK_EQ(write_refused(&w, &e), -EHOSTDOWN);
    w.to->up = true;
    w.to->drain = true;
    CHECK_EQ(write_refused(&w, &e), -ECONNREFUSED);
    w.to->drain = false;
    w.to->read_only = true;
    CHECK_EQ(write_refused(&w, &e), -EROFS);
    w.to->read_only = false;
    strcpy(w.to->alias_of, "ssd");
    CHECK_EQ(write_refused(&w, &e), -EEXIST);
    w.to->alias_of[0] = '\0';
    CHECK_EQ(write_refused(&w, &e), 0);
    view_put(w.view);
}

TEST(a_name_that_is_taken_there_is_EEXIST)
{
    WORLD(w);
    w.to->taken = calloc(2, sizeof(*w.to->taken));
    REQUIRE(w.to->taken);
    w.to->taken[0] = strdup("abc");
    w.to->taken[1] = strdup("db1");
    w.to->n_taken = 2;
    CHECK_EQ(write_refused(&w, &e), -EEXIST);
    CHECK_STR(e.text, "hdd has something named db1 already");
    view_put(w.view);
}

TEST(a_volume_larger_than_any_file_there_is_EFBIG)
{
    WORLD(w);
    w.volume->size_bytes = 1001;
    CHECK_EQ(write_refused(&w, &e), 0); /* not known */
    w.to->max_file_bytes = 1001;
    CHECK_EQ(write_refused(&w, &e), 0);
    w.to->max_file_bytes = 1000;
    CHECK_EQ(write_refused(&w, &e), -EFBIG);
    CHECK_STR(e.text, "hdd takes no file of more than 1000 bytes, db1 has 1001");
    view_put(w.view);
}

TEST(lack_of_space_is_told_with_the_numbers)
{
    WORLD(w);
    w.to->free_bytes = 1500;
    w.to->reserved_bytes = 600;
    CHECK_EQ(answer_refused(&w, &e), -ENOSPC);
    CHECK_STR(e.text, "hdd has 900 bytes free, needs 1000");
    w.to->reserved_bytes = 500;
    CHECK_EQ(answer_refused(&w, &e), 0);
    w.to->reserved_bytes = UINT64_MAX;
    CHECK_EQ(answer_refused(&w, &e), -ENOSPC);
    view_put(w.view);
}

TEST(lack_of_space_is_judged_when_the_host_has_told_how_much_it_has)
{
    WORLD(w);
    w.to->free_bytes = 0;
    CHECK_EQ(write_refused(&w, &e), 0);
    CHECK_EQ(answer_refused(&w, &e), -ENOSPC);
    w.to->up = false;
    CHECK_EQ(answer_refused(&w, &e), -EHOSTDOWN);
    view_put(w.view);
}

TEST(words_that_are_no_host_are_told_apart)
{
    char longer[80];

    WORLD(w);
    memset(longer, 'a', sizeof(longer));
    longer[70] = '\0';
    CHECK_EQ(refuse_at_write(w.view, w.volume, NULL, "nowhere", &e), -ENXIO);
    CHECK_EQ(refuse_at_write(w.view, w.volume, NULL, longer, &e), -ENAMETOOLONG);
    CHECK_EQ(refuse_at_write(w.view, w.volume, NULL, "../etc", &e), -EINVAL);
    CHECK_EQ(refuse_at_write(w.view, w.volume, NULL, "-oProxyCommand=x", &e), -EINVAL);
    CHECK_EQ(refuse_at_write(w.view, w.volume, NULL, "$(id)", &e), -EINVAL);
    view_put(w.view);
}

TEST(another_host_while_a_job_runs_is_EALREADY)
{
    WORLD(w);
    w.volume->has_job = true;
    w.volume->phase = "copying";
    w.volume->status = VOLUME_MIGRATING;
    w.volume->target = "nas";
    CHECK_EQ(write_refused(&w, &e), -EALREADY);
    view_put(w.view);
}

TEST(only_a_job_that_would_wait_finds_the_queue_full)
{
    WORLD(w);
    w.view->max_queue = 0;
    CHECK_EQ(write_refused(&w, &e), 0);
    w.view->n_running = 2;
    CHECK_EQ(write_refused(&w, &e), -ENOBUFS);
    w.view->max_queue = 1;
    CHECK_EQ(write_refused(&w, &e), 0);
    w.view->n_queued = 1;
    CHECK_EQ(write_refused(&w, &e), -ENOBUFS);
    w.view->n_queued = w.view->n_running = 0;
    w.view->max_queue = 0;
    w.to->n_jobs = 2;
    CHECK_EQ(write_refused(&w, &e), -ENOBUFS);
    view_put(w.view);
}

TEST(the_end_of_the_daemon_and_a_doubtful_catalogue_refuse_all)
{
    WORLD(w);
    w.view->stopping = true;
    CHECK_EQ(write_refused(&w, &e), -ESHUTDOWN);
    w.view->stopping = false;
    w.view->doubt = true;
    CHECK_EQ(write_refused(&w, &e), -EIO);
    view_put(w.view);
}

TEST(candidates_are_the_same_judgement_best_first)
{
    struct text text = {0};
    uint64_t *hosts;

    WORLD(w);
    add_third(&w, 900);
    refuse_candidates(w.view, w.volume, &text);
    CHECK_STR(text.bytes, "hdd ok 5000\nnas ENOSPC nas has 900 bytes free, needs 1000 900\n");
    CHECK_EQ(refuse_choose(w.view, w.volume, &hosts, &e), 2);
    CHECK_EQ(hosts[0], 2);
    CHECK_EQ(hosts[1], 3); /* it may have room by now */
    free(hosts);
    text_deinit(&text);
    text = (struct text){0};
    w.view->hosts[2]->free_bytes = 6000;
    refuse_candidates(w.view, w.volume, &text);
    CHECK_STR(text.bytes, "nas ok 6000\nhdd ok 5000\n");
    CHECK_EQ(refuse_choose(w.view, w.volume, &hosts, &e), 2);
    CHECK_EQ(hosts[0], 3);
    free(hosts);
    w.to->drain = true;
    CHECK_EQ(refuse_choose(w.view, w.volume, &hosts, &e), 1);
    CHECK_EQ(hosts[0], 3);
    free(hosts);
    w.view->hosts[2]->up = false;
    CHECK_EQ(refuse_choose(w.view, w.volume, &hosts, &e), 0);
    CHECK_EQ(e.code, EHOSTDOWN);
    free(hosts);
    text_deinit(&text);
    view_put(w.view);
}

TEST(without_another_host_there_is_no_candidate)
{
    struct text text = {0};
    uint64_t *hosts;

    WORLD(w);
    view_host_put(w.to);
    w.view->n_hosts = 1;
    refuse_candidates(w.view, w.volume, &text);
    CHECK_STR(text.bytes, "null\n");
    CHECK_EQ(refuse_choose(w.view, w.volume, &hosts, &e), 0);
    free(hosts);
    CHECK_EQ(e.code, ENXIO);
    text_deinit(&text);
    view_put(w.view);
}

TEST_MAIN
