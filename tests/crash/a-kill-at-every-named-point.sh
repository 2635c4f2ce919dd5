#!/bin/bash
# SIGKILL to the daemon and its children at every point that --list-crash-points names, and there again in the
# recovery: nothing is lost, nothing is stuck, nothing is left over. With the argument `retained`: of a volume whose
# old source is kept, restored or dropped.
# shellcheck disable=SC2034 # CRASH, DENSE, FAULT and SENTENCE are used by lib.sh
DENSE=16M # of 4 MiB all is under way before the first block is written
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
    holds until_true gone
    ctl release
}

# VOLUME: its worker is at a call that is held, so that it cannot be done before
abort() {
    ctl hit 20
    op write "$MNT/$1/migrate/abort" 1 >/dev/null 2>&1
    ctl release
}
aborted() {
    forward "$1"
    abort "$1"
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
    abort-* | undoing-* | finish*-rolling-back)
        fault "call=pwrite,program=copy-worker,from,do=hold"
        run aborted "$2"
        ;;
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

# Its old source is kept, and one that was kept before goes
kept() {
    put 3600 "$MNT/$1/migrate/keep"
    forward "$1"
}
restored() { op write "$MNT/$1/migrate/retained" restore >/dev/null 2>&1; }
# A restore with keep: the two change places
swapped() {
    put 3600 "$MNT/$1/migrate/keep"
    restored "$1"
}
given_up() {
    restored "$1"
    abort "$1"
}
dropped() { op write "$MNT/$1/migrate/retained" drop >/dev/null 2>&1; }

# What of a volume with a retained copy comes by where
declare -A WAYS=(
    [kept]="leaving-switching entered-cleaning finishing-cleaning finished-cleaning pool-retain- pool-remove-"
    [restored]="accept- leaving-reserving entered-verifying leaving-verifying entered-switching leaving-switching
        entered-cleaning finishing-cleaning finished-cleaning worker-start worker-before-verify worker-verify-chunk
        worker-after-verify worker-verified pool-publish- pool-adopt- pool-remove-"
    [swapped]="entered-cleaning finishing-cleaning finished-cleaning pool-retain-"
    [given_up]="abort- undoing-rolling-back finishing-rolling-back finished-rolling-back pool-retain-"
    [dropped]="drop- pool-remove-unlinked pool-remove-done"
)

# WAY POINT
comes_by() {
    local beginning
    for beginning in ${WAYS[$1]}; do [[ $2 != "$beginning"* ]] || return 0; done
    return 1
}

# VOLUME: a life without a fault, after which its old source is retained
keep_one() {
    [[ -z $(find "$POOLS" -name '.ferryfs-*.copy') ]] || return 0
    if run kept "$1"; then wrong "it died by itself"; else stop_ferryfs; fi
}

# VOLUME STATUS: what must be so after the run that was to come by
judge() {
    case $2 in
    0)
        FAULT=''
        if ! run nothing "$1"; then
            CRASH=''
            stop_ferryfs
        fi
        recovered_whole "$1"
        ;;
    1)
        wrong "it never came by"
        stop_ferryfs
        ;;
    *) SENTENCE='' ;;
    esac
    CRASH='' FAULT=''
}

if [[ ${1-} == retained ]]; then
    KEEP=1 REST=settled
    for point in $("$FERRYFS" --list-crash-points); do
        for way in kept restored swapped given_up dropped; do
            comes_by "$way" "$point" || continue
            proves "a kill at $point of a volume that is $way, and there again in the recovery"
            keep_one dense
            CRASH=$point
            [[ $way != given_up ]] || fault "call=pread,program=copy-worker,from,do=hold"
            run "$way" dense
            judge dense $?
        done
    done
    finish
fi

for point in $("$FERRYFS" --list-crash-points); do
    [[ $point != drop-* && $point != pool-retain-* ]] || continue # with the argument
    for volume in sparse dense; do
        CRASH=$point
        proves "a kill at $point, $volume, and there again in the recovery"
        pass "$point" "$volume"
        judge "$volume" $?
    done
done
finish
