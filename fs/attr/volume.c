/*
 * VOLUME/: what a volume is and where.
 */
#include <stdio.h>

#include "copy/base/cleanup.h"
#include "fs/attr/rows.h"

#define UUID_TEXT_BYTES 37

static void uuid_show(const struct attr_of *of, struct text *out)
{
    char text[UUID_TEXT_BYTES];

    uuid_unparse_lower(of->volume->uuid, text);
    row_word(out, text);
}

static void size_show(const struct attr_of *of, struct text *out)
{
    row_number(out, of->volume->size_bytes);
}

static void allocated_show(const struct attr_of *of, struct text *out)
{
    row_number(out, of->volume->allocated_bytes);
}

static void host_show(const struct attr_of *of, struct text *out)
{
    row_word(out, of->volume->host);
}

static void path_show(const struct attr_of *of, struct text *out)
{
    const struct view_host *host = view_host_by_name(of->view, of->volume->host);
    OWNED(mem) char *path = NULL;

    if (host && asprintf(&path, "%s/%s", host->path, of->volume->name) < 0) {
        path = NULL;
        out->failed = true;
    }
    row_word(out, path);
}

static void status_show(const struct attr_of *of, struct text *out)
{
    row_word(out, volume_status_names[of->volume->status]);
}

static void previous_status_show(const struct attr_of *of, struct text *out)
{
    const struct view_volume *volume = of->volume;
    bool there = volume->status == VOLUME_MIGRATING;

    row_word(out, there ? volume_status_names[volume->previous_status] : NULL);
}

static const struct attr rows[] = {
    ATTR_RO(uuid, "the volume's uuid, the same wherever it goes"),
    ATTR_RO(size, "bytes", .wakes_on = EVENT_SIZE),
    ATTR_RO(allocated, "bytes that are really used", .wakes_on = EVENT_SIZE),
    ATTR_RO(host, "the host where it is", .wakes_on = EVENT_PLACE),
    ATTR_SECRET(path, "path of the primary copy on this machine, else null",
                .wakes_on = EVENT_PLACE),
    ATTR_RO(status, "available, in-use, migrating, moved or error", .wakes_on = EVENT_STATUS,
            .touched = true),
    {
        .name = "data",
        .mode = 0600,
        .data = true,
        .admit = service_admit_data,
        .unlisted = true, /* who reads all that is listed shall not read all volumes */
        .help =
            "the volume's bytes, with its mode and owner: to be read, written, mapped, attached "
            "to a loop device; of a fixed size; in-use while it is open; not listed",
    },
    ATTR_RO(previous_status, "what status goes back to while it is migrating, else null",
            .wakes_on = EVENT_STATUS),
};

const struct attr_dir volume_dir = {
    .name = NULL,
    .about = ABOUT_VOLUME,
    .id = ATTR_DIR_VOLUME,
    .parent = ATTR_DIR_ROOT,
    .attrs = rows,
    .n_attrs = ARRAY_N(rows),
    .help = "a volume",
};
