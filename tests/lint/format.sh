#!/bin/sh
# The sources are as .clang-format has them.
set -eu
cd "$(dirname "$0")/../.."

command -v clang-format >/dev/null || {
    echo "clang-format is not installed"
    exit 77
}
find copy fs tests -name '*.[ch]' | sort | xargs clang-format --dry-run -Werror
