#!/bin/sh
# A file has 400 lines at most, a function 60.
set -eu
cd "$(dirname "$0")/../.."

# A function is what opens and closes a brace in the first column: clang-format sees to that.
find copy fs -name '*.[ch]' | sort | xargs awk '
FNR == 1 && last {
    check_file()
}
{
    last = FILENAME
    n_lines = FNR
}
/^[A-Za-z_].*\(/ {
    head = $0
}
/^\{/ {
    begin = FNR
}
/^\}/ && begin {
    if (FNR - begin + 1 > 60) {
        sub(/\(.*/, "", head)
        sub(/.*[ *]/, "", head)
        print FILENAME ":" begin ": " head " has " FNR - begin + 1 " lines, 60 are allowed"
        failed = 1
    }
    begin = 0
}
END {
    check_file()
    exit failed
}

function check_file()
{
    if (n_lines > 400) {
        print last ": " n_lines " lines, 400 are allowed"
        failed = 1
    }
    begin = 0
}'
