#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "fs/settings.h"

#define SECTION_BYTES   200 /* inih's lines are not longer */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct reading {
    struct options *options;
    FILE *file;
    struct err *e;
    int line, bad_line;
    char section[SECTION_BYTES]; /* where we are: inih's own has room for 49 bytes */
};

static int begin_section(struct options *options, const char *section, struct err *e)
{
    if (strcmp(section, "ferryfs") == 0)
        return 0;
    if (strncmp(section, "host ", 5) == 0)
        return setting_host(options, section + 5, e) ? 0 : -e->code;
    return err_set(e, EINVAL, "there is no section [%.80s]", section);
}

static int on_key(void *user, const char *cut_section, const char *name, const char *value)
{
    struct reading *reading = user;
    const char *section = reading->section;
    int r;

    (void)cut_section;
    if (strncmp(section, "host ", 5) == 0)
        r = setting_host_key(reading->options, section + 5, name, value, reading->e);
    else if (*section)
        r = setting_key(reading->options, name, value, reading->e);
    else
        r = err_set(reading->e, EINVAL, "%.100s stands in no [section]", name);
    if (r < 0)
        reading->bad_line = reading->line;
    return r == 0;
}

/* Without the blanks before it, by which inih knows the rest of a value. What inih would cut
 * without a word is an error. Returns its length, 0 at the end, or a negative errno. */
static int read_line(FILE *file, char *out, int cap, struct err *e)
{
    int n = 0, c;

    while ((c = getc(file)) != EOF) {
        if (n == 0 && (c == ' ' || c == '\t'))
            continue;
        if (c == '\0')
            return err_set(e, EINVAL, "there is a NUL in it");
        if (n == cap - 1)
            return err_set(e, EINVAL, "a line has at most %d bytes", cap - 2);
        out[n++] = (char)c;
        if (c == '\n')
            break;
    }
    out[n] = '\0';
    if (ferror(file))
        return err_set(e, errno, "cannot be read: %s", strerror(errno));
    return n;
}

/* inih tells of keys alone: a section is looked at as its line goes by. */
static int look_for_section(struct reading *reading, const char *line)
{
    const char *end;

    if (reading->line == 1 && strncmp(line, BYTE_ORDER_MARK, 3) == 0)
        line += 3;
    if (line[0] != '[')
        return 0;
    end = strchr(line, ']');
    if (!end)
        return err_set(reading->e, EINVAL, "a section has no ] at its end");
    snprintf(reading->section, sizeof(reading->section), "%.*s", (int)(end - line - 1), line + 1);
    return begin_section(reading->options, reading->section, reading->e);
}

static char *next_line(char *out, int cap, void *user)
{
    struct reading *reading = user;
    int r;

    if (reading->bad_line)
        return NULL; /* one error is told, and its line */
    reading->line++;
    r = read_line(reading->file, out, cap, reading->e);
    if (r == 0)
        return NULL;
    if (r > 0)
        r = look_for_section(reading, out);
    if (r < 0)
        reading->bad_line = reading->line;
    return r < 0 ? NULL : out;
}

int options_read_file(struct options *options, const char *path, struct err *e)
{
    struct reading reading = {.options = options, .e = e};
    struct err why;
    int line;

    options->has_file = true;
    if (setting_absolute(path, options->source, e) < 0)
        return -EBADMSG;
    reading.file = fopen(path, "re");
    if (!reading.file)
        return err_set(e, EBADMSG, "%.150s: cannot be read: %s", path, strerror(errno));
    line = ini_parse_stream(next_line, &reading, on_key, &reading);
    fclose(reading.file); /* it was read only */
    if (reading.bad_line)
        line = reading.bad_line;
    if (line == 0)
        return 0;
    why = *e;
    return err_set(e, EBADMSG, "%.100s:%d: %.140s", path, line,
                   why.code ? why.text : "neither a [section] nor key = value");
}
