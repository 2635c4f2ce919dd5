#!/bin/bash
# The N-th call of each kind fails once, for every N until a run is clean: the job succeeds, or ends in an error
# with the volume as it was; nothing is lost, stuck or left over, at the latest after a restart. Arguments: the calls.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # lib.sh uses it
REST=no_jobs
(($# > 0)) || set -- fsync fdatasync ftruncate fallocate renameat2 unlinkat fsetxattr pwrite openat pread malloc
only_known_calls "$@"

# CALL ERRNO STRIDE VOLUME ACTION
sweep() {
    local call=$1 stride=$3 volume=$4 action=$5 n=1 faults=0 under=",under=$WORLD"
    [[ $call == malloc ]] && under=''
    while true; do
        prepare "$call" "$volume" "$action"
        fault "call=$call,armed,at=$n,do=$2$under"
        # It may refuse to start, or to go on
        if ! run "$action" "$volume"; then
            [[ -n $(ctl log) ]] || break
            stop_ferryfs
        fi
        faults=$((faults + 1))
        recovered_whole "$volume"
        ((SENTENCE_OK)) || {
            wrong "at call $n"
            return
        }
        n=$((n + stride))
    done
    was_complete "$call" "$n" "$volume" "$faults"
    check_world --mount "$MNT"
    stop_ferryfs
}

for call in "$@"; do
    case $call in
    fsync | fdatasync | renameat2 | unlinkat | pread) errors=EIO ;;
    ftruncate | fallocate | fsetxattr) errors=ENOSPC ;;
    openat) errors=EMFILE ;;
    malloc) errors=ENOMEM ;;
    pwrite) errors="EIO ENOSPC short" ;;
    *) die "nobody has said how $call fails" ;;
    esac
    for errno in $errors; do
        stride=$(stride_of "$call" "$errno")
        proves "$errno of $(every "$call" "$stride")"
        sweep "$call" "$errno" "$stride" dense forward
    done
    # What a resumed copy may find in the way of a hole is punched out of it
    if [[ $call == fallocate ]]; then
        proves "$errors of every $call in a recovery"
        sweep "$call" "$errors" 1 sparse nothing
    fi
done
finish
