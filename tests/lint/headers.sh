#!/bin/sh
# Every header compiles alone, twice over, and so needs nothing that is included before it. A list.h
# is no header but the rows of a table, for whoever defines what to make of a row.
set -eu
cd "$(dirname "$0")/../.."

flags=$(pkg-config --cflags fuse3 tdb uuid inih libxxhash libseccomp libnbd liburing)
status=0
for header in $(find copy fs tests -name '*.h' ! -name list.h | sort); do
    # shellcheck disable=SC2086 # flags are words
    printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
        ${CC:-cc} -fsyntax-only -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Wall -Wextra \
            -Werror -Wno-unused-function -Wno-unused-variable -I. $flags -x c - || {
        echo "$header: does not compile alone"
        status=1
    }
done
exit "$status"
