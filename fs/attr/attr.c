#include "fs/attr/attr.h"

#include "fs/attr/rows.h"

const struct attr_dir root_dir = {
    .name = "",
    .about = ABOUT_SERVICE,
    .id = ATTR_DIR_ROOT,
    .parent = ATTR_DIR_ROOT,
    .help = "the volumes, a directory each, and .control",
};

const struct attr_dir *const attr_dirs[ATTR_DIR_N] = {
    [ATTR_DIR_ROOT] = &root_dir,       [ATTR_DIR_VOLUME] = &volume_dir,
    [ATTR_DIR_MIGRATE] = &migrate_dir, [ATTR_DIR_CONTROL] = &control_dir,
    [ATTR_DIR_HOSTS] = &hosts_dir,     [ATTR_DIR_HOST] = &host_dir,
};

void row_word(struct text *out, const char *word)
{
    text_add_escaped(out, word && word[0] ? word : "null");
    text_add(out, "\n");
}

void row_number(struct text *out, uint64_t number)
{
    text_add(out, "%" PRIu64 "\n", number);
}

void row_text(struct text *out, const char *text)
{
    text_add(out, "%s", text && text[0] ? text : "null\n");
}

void row_option(struct text *out, const struct option_row *option, uint64_t value)
{
    option_show(option, value, out);
    text_add(out, "\n");
}

static struct timespec later(struct timespec a, struct timespec b)
{
    bool b_is_later = b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec > a.tv_nsec);

    return b_is_later ? b : a;
}

/* What hosts and the queue do to what is shown of a volume. */
static struct timespec hosts_changed(const struct view *view, struct timespec when)
{
    when = later(when, view->changed[EVENT_HOST]);
    for (size_t i = 0; i < view->n_hosts; i++)
        when = later(when, view->hosts[i]->changed[EVENT_HOST]);
    return when;
}

struct timespec attr_changed(const struct attr_of *of, const struct attr *attr)
{
    const struct timespec *changed = of->view->changed;
    struct timespec when;

    if (of->volume)
        changed = of->volume->dates->at;
    if (of->host)
        changed = of->host->changed;
    when = changed[attr->wakes_on];
    if (attr->wakes_on == EVENT_HOST && !of->host)
        when = hosts_changed(of->view, when);
    if (attr->wakes_on == EVENT_PROGRESS && of->volume && of->volume->meter) {
        struct timespec live = {.tv_sec = atomic_load(&of->volume->meter->changed_s)};

        when = later(when, live);
    }
    return when;
}

static void describe_path(struct text *out, const struct attr_dir *dir)
{
    static const char *const placeholders[] = {
        [ABOUT_SERVICE] = "", [ABOUT_VOLUME] = "VOLUME", [ABOUT_HOST] = "HOST"};

    if (dir->id == ATTR_DIR_ROOT)
        return;
    describe_path(out, attr_dirs[dir->parent]);
    text_add(out, "%s/", dir->name ? dir->name : placeholders[dir->about]);
}

void attr_describe(struct text *out)
{
    for (int id = 0; id < ATTR_DIR_N; id++) {
        const struct attr_dir *dir = attr_dirs[id];

        for (size_t i = 0; i < dir->n_attrs; i++) {
            const struct attr *attr = &dir->attrs[i];

            describe_path(out, dir);
            text_add(out, "%s\t%04o\t%s\n", attr->name, attr->mode, attr->help);
        }
    }
}
