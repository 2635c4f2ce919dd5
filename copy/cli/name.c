#include "copy/cli/name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "copy/base/cleanup.h"

static bool has_scheme(const char *name, const char *scheme)
{
    size_t n = strlen(scheme);

    return strncmp(name, scheme, n) == 0 && name[n] == ':';
}

const char *cli_name_path(const char *name)
{
    static const char *const schemes[] = {"file", "block"};
    const char *colon = strchr(name, ':'), *slash = strchr(name, '/');

    if (!colon || (slash && slash < colon))
        return name;
    for (size_t i = 0; i < ARRAY_N(schemes); i++) {
        if (has_scheme(name, schemes[i]))
            return colon + 1;
    }
    return NULL;
}

bool cli_name_is_block(const char *name)
{
    return has_scheme(name, "block");
}

bool cli_name_is_null(const char *name)
{
    return has_scheme(name, "null");
}

void cli_name_parent(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;

    if (!slash)
        snprintf(out, PATH_MAX, ".");
    else if (n == 0)
        snprintf(out, PATH_MAX, "/");
    else
        snprintf(out, PATH_MAX, "%.*s", (int)n, path);
}

const char *cli_name_shown(const char *name, char out[CLI_NAME_BYTES])
{
    size_t n = strlen(name);
    const char *end = name + n - (n < CLI_NAME_BYTES ? n : CLI_NAME_BYTES - sizeof("..."));

    while (end > name && (*end & 0xc0) == 0x80) /* no half of a character */
        end++;
    snprintf(out, CLI_NAME_BYTES, "%s%s", end > name ? "..." : "", end);
    return out;
}

const char *cli_size_text(uint64_t bytes, char out[CLI_SIZE_BYTES])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double n = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(out, CLI_SIZE_BYTES, "%" PRIu64 " byte%s", bytes, bytes == 1 ? "" : "s");
        return out;
    }
    while (n >= 1023.95 && unit + 1 < ARRAY_N(units)) { /* what would be shown as 1024.0 */
        n /= 1024;
        unit++;
    }
    snprintf(out, CLI_SIZE_BYTES, "%.1f %s", n, units[unit]);
    return out;
}

const char *cli_digest_text(const struct digest *digest, char out[CLI_DIGEST_BYTES])
{
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest->bytes[i]);
    return out;
}
