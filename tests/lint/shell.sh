#!/bin/sh
# No shell script, whatever its name, gives shellcheck anything to say.
set -eu
cd "$(dirname "$0")/../.."

command -v shellcheck >/dev/null || {
    echo "shellcheck is not installed"
    exit 77
}
# Not asked: whether a function called without arguments was meant to get ours (SC2119, SC2120), who
# calls a function whose name is handed on (SC2317), and about $ in the programs of others (SC2016).
# Only with EVERY=1 what a script sources is read with it, five times the work: whether each variable
# is set somewhere (SC2153, SC2154) and used somewhere (SC2034).
not_asked=SC2016,SC2119,SC2120,SC2317
if test -n "${EVERY-}"; then set -- -x -P SCRIPTDIR; else not_asked=$not_asked,SC1091,SC2034,SC2153,SC2154; fi
for file in $(find . -type d \( -name .git -o -path './build*' \) -prune -o -type f -print | sort); do
    case $file in
    *.sh) echo "$file" ;;
    *) head -n 1 "$file" | grep -aqE '^#!.*[/ ](sh|bash|dash)( |$)' && echo "$file" ;;
    esac
done | xargs -P 2 -n 12 shellcheck "$@" -e "$not_asked"
