#!/bin/sh
# Every test and every source stands in the list of a meson.build, or tests/nightly tries it; a shell test is executable, what
# tests share is not.
set -eu
cd "$(dirname "$0")/../.."

status=0
missing() {
    echo "$1: stands in no list of $2"
    status=1
}

for file in tests/unit/test-*.c; do
    name=${file#tests/unit/test-}
    name=${name%.c}
    grep -q "'$name'" tests/meson.build || missing "$file" tests/meson.build
done

for file in tests/*.sh tests/*/*.sh; do
    test -x "$file" || continue
    name=$(basename "$file" .sh)
    folder=$(dirname "$file")
    cat tests/nightly tests/meson.build "$folder/meson.build" 2>/dev/null |
        grep -q -e "^$file" -e "'$name'" -e "'\(\./\)\{0,1\}$name\.sh'" -e "'${folder#tests/}/$name\.sh'" ||
        missing "$file" tests/meson.build
done

for file in $(find copy fs -name '*.c' | sort); do
    name=$(basename "$file" .c)
    folder=$(dirname "$file")
    list=$folder/meson.build
    test -e "$list" || list=$(dirname "$folder")/meson.build
    grep -q -e "'$name\.c'" -e "'$name'" -e "'$(basename "$folder")/$name\.c'" "$list" ||
        missing "$file" "$list"
done
exit "$status"
