#!/bin/bash
# SIGKILL to the daemon and its children at every point that --list-crash-points names, and there again in the
# recovery: nothing is lost, nothing is stuck, nothing is left over.
# shellcheck disable=SC2034 # CRASH, FAULT and SENTENCE are used by ../fs/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -n $("$FERRYFS" --list-crash-points 2>/dev/null) ]] || skip "this build has no crash points"

# The worker flushed: change what it wrote, so that verifying has something to repair
spoil() {
    local copy
    forward "$1"
    ctl hit 20
    copy=("$POOLS/$(elsewhere "$1")"/.ferryfs-*.copy)
    printf spoilt | dd of="${copy[0]}" bs=1 seek=65536 conv=notrunc status=none
    ctl release
}

# A copy that takes longer than the time between checkpoints, until it is killed at one
linger() {
    forward "$1"
    ctl hit 20
    until_true gone
    ctl release
}

# Its turn comes when the other volume has moved
queued() {
    local other=dense
    [[ $1 == sparse ]] || other=sparse
    op write "$MNT/.control/max_jobs" 1 >/dev/null 2>&1
    forward "$other"
    forward "$1"
}

evacuated() {
    local host=ssd
    [[ $(elsewhere "$1") == hdd ]] || host=hdd
    op write "$MNT/.control/hosts/$host/evacuate" auto >/dev/null 2>&1
}

# POINT VOLUME: what makes the daemon come by there
pass() {
    case $1 in
    abort-* | undoing-* | finish*-rolling-back) run aborted "$2" ;;
    entered-rolling-back)
        fault "call=pwrite,program=copy-worker,at=2,from,do=EIO"
        run forward "$2"
        ;;
    evacuation-*) run evacuated "$2" ;;
    leaving-queued | entered-reserving) run queued "$2" ;;
    pool-mark-*)
        never_met
        run forward "$2"
        ;;
    *-repair)
        fault "call=fsync,program=copy-worker,from,do=hold"
        run spoil "$2"
        ;;
    checkpoint-* | worker-*-checkpoint | worker-after-flush)
        [[ $2 == dense ]] || return 2 # one of the two takes long enough
        fault "call=pwrite,program=copy-worker,at=25,from,do=hold" # of 32: the first block is written by then
        run linger "$2"
        ;;
    *) run forward "$2" ;;
    esac
}

for point in $("$FERRYFS" --list-crash-points); do
    for volume in sparse dense; do
        CRASH=$point
        proves "a kill at $point, $volume, and there again in the recovery"
        pass "$point" "$volume"
        case $? in
        0)
            FAULT=''
            if ! run nothing "$volume"; then
                CRASH=''
                stop_ferryfs
            fi
            recovered_whole "$volume"
            ;;
        1)
            wrong "it never came by"
            stop_ferryfs
            ;;
        *) SENTENCE='' ;;
        esac
        CRASH='' FAULT=''
    done
done
finish
