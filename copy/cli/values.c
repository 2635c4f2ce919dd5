#include "copy/cli/values.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/text.h"

int cli_value_word(const struct cli_word *words, size_t n, const char *value, int *ret,
                   struct err *e)
{
    struct text known = {0};

    for (size_t i = 0; i < n; i++) {
        if (value && strcmp(words[i].word, value) == 0) {
            *ret = words[i].value;
            return 0;
        }
    }
    for (size_t i = 0; i < n; i++)
        text_add(&known, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ", words[i].word);
    err_set(e, EINVAL, "\"%.40s\" is not %s", value ? value : "", known.bytes ? known.bytes : "?");
    text_deinit(&known);
    return -EINVAL;
}

int cli_value_flag(const struct cli_word *words, size_t n, const char *value, bool *ret,
                   struct err *e)
{
    int number, r = cli_value_word(words, n, value, &number, e);

    if (r == 0)
        *ret = number != 0;
    return r;
}

int cli_value_path(const char *value, const char **ret, struct err *e)
{
    if (!*value)
        return err_set(e, EINVAL, "an empty name");
    *ret = value;
    return 0;
}

int cli_value_count(const char *value, uint64_t max, uint64_t *ret, struct err *e)
{
    uint64_t n;

    if (text_parse_u64(value, &n) < 0 || n < 1 || n > max)
        return err_set(e, EINVAL, "\"%.40s\" is not a number from 1 to %" PRIu64, value, max);
    *ret = n;
    return 0;
}

int cli_value_fd(const char *value, int *ret, struct err *e)
{
    uint64_t fd;

    if (text_parse_u64(value, &fd) < 0 || fd <= STDERR_FILENO || fd > INT32_MAX)
        return err_set(e, EINVAL, "\"%.40s\" is no number of a descriptor above 2", value);
    if (fcntl((int)fd, F_GETFD) < 0)
        return err_set(e, EINVAL, "descriptor %.40s is not open", value);
    *ret = (int)fd;
    return 0;
}
