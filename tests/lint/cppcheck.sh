#!/bin/sh
# cppcheck has nothing to say.
set -eu
cd "$(dirname "$0")/../.."

command -v cppcheck >/dev/null || {
    echo "cppcheck is not installed"
    exit 77
}
cppcheck --quiet --error-exitcode=1 -j "$(nproc)" --std=c11 --language=c --library=posix,gnu \
    --enable=warning,performance,portability --inline-suppr \
    --suppressions-list=tests/lint/cppcheck-suppressions -D_GNU_SOURCE -D__GNUC__ -I. copy fs
