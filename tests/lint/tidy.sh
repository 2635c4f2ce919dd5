#!/bin/sh
# tidy.sh BUILD: clang-tidy, as .clang-tidy has it, on every source that the build directory compiles. Without its
# analyser, which takes most of the time, unless EVERY=1 (tests/nightly).
set -eu
build=$(cd "${1:?usage: tidy.sh BUILD}" && pwd)
cd "$(dirname "$0")/../.."

command -v clang-tidy >/dev/null || {
    echo "clang-tidy is not installed"
    exit 77
}
test -e "$build/compile_commands.json" || {
    echo "$build/compile_commands.json: not there; is it a build directory?"
    exit 1
}
checks='-clang-analyzer-*'
test "${EVERY:-0}" != 1 || checks=
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The files as written there, relative to the build directory, each once; tests are not looked at.
status=0
sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$build/compile_commands.json" | sort -u |
    while read -r file; do (cd "$build" && realpath "$file"); done |
    grep -e "^$PWD/copy/" -e "^$PWD/fs/" |
    xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet --checks="$checks" >"$log" 2>/dev/null || status=1
cat "$log"
exit "$status"
