#!/bin/bash
# The N-th call of each kind fails once, for every N until a run is clean: the job succeeds, or ends in an error
# with the volume as it was; nothing is lost, stuck or left over, at the latest after a restart. Arguments: the calls.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # lib.sh uses it
REST=no_jobs
(($# > 0)) || set -- fsync fdatasync ftruncate renameat2 unlinkat fsetxattr pwrite openat pread

# CALL ERRNO STRIDE
sweep() {
    local call=$1 stride=$3 n=1 faults=0
    while true; do
        fault "call=$call,armed,at=$n,do=$2,under=$WORLD"
        # It may refuse to start, or to go on
        if ! run forward dense; then
            [[ -n $(ctl log) ]] || break
            stop_ferryfs
        fi
        faults=$((faults + 1))
        recovered_whole dense
        ((SENTENCE_OK)) || {
            wrong "at call $n"
            break
        }
        n=$((n + stride))
    done
    check_world --mount "$MNT"
    stop_ferryfs
    echo "# $faults faults"
}

for call in "$@"; do
    case $call in
    fsync | fdatasync | renameat2 | unlinkat | pread) errors=EIO ;;
    ftruncate | fsetxattr) errors=ENOSPC ;;
    openat) errors=EMFILE ;;
    pwrite) errors="EIO ENOSPC short" ;;
    esac
    for errno in $errors; do
        stride=$(stride_of "$call" "$errno")
        proves "$errno of $(every "$call" "$stride")"
        sweep "$call" "$errno" "$stride"
    done
done
finish
