#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "fs/settings.h"

struct reading {
    struct options *options;
    FILE *file;
    struct err *e;
    int line, bad_line;
};

static int begin_section(struct options *options, const char *section, struct err *e)
{
    if (strcmp(section, "ferryfs") == 0)
        return 0;
    if (strncmp(section, "host ", 5) == 0)
        return setting_host(options, section + 5, e) ? 0 : -e->code;
    return err_set(e, EINVAL, "there is no section [%.100s]", section);
}

/* A path in a file must not depend on where the program is started. */
static bool is_relative_path(const char *name, const char *value)
{
    return (strcmp(name, "path") == 0 || strcmp(name, "state") == 0) && value[0] != '/';
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    int r;

    if (is_relative_path(name, value))
        r = err_set(reading->e, EINVAL, "%s must begin with /", name);
    else if (strncmp(section, "host ", 5) == 0)
        r = setting_host_key(reading->options, section + 5, name, value, reading->e);
    else if (*section)
        r = setting_key(reading->options, name, value, reading->e);
    else
        r = err_set(reading->e, EINVAL, "%.100s stands in no [section]", name);
    return r == 0;
}

/* inih tells of keys alone: a section is looked at as its line goes by. */
static char *next_line(char *out, int cap, void *user)
{
    struct reading *reading = user;
    char section[TEXT_HOST_BYTES + 64] = "";
    char *line = fgets(out, cap, reading->file);
    int closed = 0;

    reading->line++;
    if (line && sscanf(line, " [%127[^]\n]]%n", section, &closed) == 1 && closed > 0 &&
        begin_section(reading->options, section, reading->e) < 0) {
        reading->bad_line = reading->line;
        return NULL;
    }
    return line;
}

int options_read_file(struct options *options, const char *path, struct err *e)
{
    struct reading reading = {.options = options, .file = fopen(path, "re"), .e = e};
    struct err why;
    int line;

    options->has_file = true;
    if (!reading.file)
        return err_set(e, EBADMSG, "%.150s: cannot be read: %s", path, strerror(errno));
    line = ini_parse_stream(next_line, &reading, on_key, &reading);
    fclose(reading.file); /* it was read only */
    if (reading.bad_line)
        line = reading.bad_line;
    if (line == 0)
        return 0;
    why = *e;
    return err_set(e, EBADMSG, "%.100s:%d: %.120s", path, line,
                   why.code ? why.text : "neither a [section] nor key = value");
}
