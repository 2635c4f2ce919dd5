#!/bin/bash
# SIGKILL to the daemon and its children at the N-th call of each kind, for every N until a run is clean: in a
# whole migration, and in the recovery of one. Then to one of the children alone, at its 1st, 2nd, 4th, ... call (with
# EVERY=1 at every call): the daemon lives on and sees to it. Arguments: the calls.
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

# PROGRAM CALL VOLUME
sweep_child() {
    # shellcheck disable=SC2034 # lib.sh uses REST
    local program=$1 call=$2 volume=$3 n=1 kills=0 under=",under=$WORLD" REST=no_jobs
    [[ $call == malloc ]] && under=''
    while true; do
        fault "call=$call,program=$program,armed,at=$n,do=kill$under"
        if run forward "$volume"; then
            wrong "the daemon died too"
            return
        fi
        op write "$MNT/.control/rescan" 1 >/dev/null # what could not be removed goes now
        until_true is "$volume/status" available || wrong "it is $(value "$volume/status")"
        until_true idle || wrong "left over: $(value .control/hidden)"
        check_world --mount "$MNT"
        if ! ctl hit 0; then
            was_complete "$call" "$n" "$volume" "$kills"
            stop_ferryfs
            return
        fi
        kills=$((kills + 1))
        [[ $program != copy-worker ]] || eq "$(value "$volume/migrate/status")" success "another takes over"
        stop_ferryfs
        ((SENTENCE_OK)) || {
            wrong "at call $n"
            return
        }
        n=$((n + (EVERY ? 1 : n)))
    done
}

for call in "$@"; do
    for program in copy-worker pool-agent; do
        proves "a kill of the $program alone at its $call, dense"
        sweep_child "$program" "$call" dense
    done
    for volume in sparse dense; do
        proves "a kill at $(every "$call" "$(stride_of "$call")") of a migration, $volume"
        sweep "$call" "$volume" forward
        proves "a kill at $(every "$call" "$(stride_of "$call")") of a recovery, $volume"
        sweep "$call" "$volume" nothing
    done
done
finish
