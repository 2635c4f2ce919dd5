#!/bin/sh
# cppcheck has nothing to say.
set -eu
cd "$(dirname "$0")/../.."

command -v cppcheck >/dev/null || {
    echo "cppcheck is not installed"
    exit 77
}
# It reads no header of the system, and has to be told what walks a list
foreach='TAILQ_FOREACH(v,head,field)=while((v=(head)->tqh_first))'
cppcheck --quiet --error-exitcode=1 -j "$(nproc)" --std=c11 --language=c --library=posix,gnu \
    --enable=warning,performance,portability --inline-suppr \
    --suppressions-list=tests/lint/cppcheck-suppressions -D "$foreach" -D_GNU_SOURCE -D__GNUC__ -I. copy fs
