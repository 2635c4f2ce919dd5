#!/bin/bash
# SIGKILL to the daemon and its children at the N-th call of each kind, for every N until a run is clean: in a
# whole migration, and in the recovery of one. Arguments: the calls.
# shellcheck disable=SC2034 # FAULT and CRASH are used by ../fs/lib.sh
. "$(dirname "$0")/lib.sh"
(($# > 0)) || set -- fsync fdatasync ftruncate fallocate renameat2 unlinkat fsetxattr pwrite openat pread malloc
only_known_calls "$@"

# CALL VOLUME ACTION
sweep() {
    local call=$1 volume=$2 action=$3 n=1 kills=0 under=",under=$WORLD"
    [[ $call == malloc ]] && under=''
    while true; do
        prepare "$call" "$volume" "$action"
        fault "call=$call,armed,at=$n,do=killtree$under"
        if ! run "$action" "$volume"; then
            was_complete "$call" "$n" "$volume" "$kills"
            check_world --mount "$MNT"
            stop_ferryfs
            break
        fi
        kills=$((kills + 1))
        recovered_whole "$volume"
        ((SENTENCE_OK)) || {
            wrong "at call $n"
            break
        }
        n=$((n + $(stride_of "$call")))
    done
}

for call in "$@"; do
    for volume in sparse dense; do
        proves "a kill at $(every "$call" "$(stride_of "$call")") of a migration, $volume"
        sweep "$call" "$volume" forward
        proves "a kill at $(every "$call" "$(stride_of "$call")") of a recovery, $volume"
        sweep "$call" "$volume" nothing
    done
done
finish
