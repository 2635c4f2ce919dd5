# shellcheck shell=bash
# For tests that kill: source it instead of ../fs/lib.sh. Pools ssd and hdd hold `sparse` and `dense`.
# `run` is one life of the daemon; FAULT and CRASH of ../fs/lib.sh say how it ends. With a first argument `ext4` hdd is one.
# shellcheck disable=SC2034 # they are used there
. "$(dirname "${BASH_SOURCE[0]}")/../fs/lib.sh"

HDD=tmpfs
if [[ ${1-} == ext4 ]]; then
    HDD=$1
    shift
fi
pool ssd tmpfs
pool hdd "$HDD" 128M
volume ssd sparse 16M sparse 1
volume ssd dense "${DENSE:-4M}" dense 2

serve_checker
record_world

elsewhere() { if [[ -e $POOLS/ssd/$1 ]]; then echo hdd; else echo ssd; fi; }

# REST: what counts as the end of a job. A copy whose deletion failed may be retried later.
REST=idle
no_jobs() { is .control/jobs null; }
is_evacuating() { grep -qx 1 "$MNT"/.control/hosts/*/drain; } 2>/dev/null
at_rest() { gone || { $REST && ! is_evacuating; }; }

# What a job needs that is to be killed: VOLUME
forward() { op write "$MNT/$1/migrate/target" "$(elsewhere "$1")" >/dev/null 2>&1; }
nothing() { :; }

# The job of VOLUME is under way when the daemon dies
interrupted() {
    hold_copies
    begin_ferryfs
    holds until_true answers_or_dead
    holds until_true lists sparse dense
    forward "$1"
    held
    kill_ferryfs
}

# Pools that no daemon has seen, and no state
never_met() {
    rm -rf "$STATE" "$POOLS"/*/.ferryfs-pool
    record_world
}

# For the sweeps: every N of most calls. Of pread and malloc there are hundreds that tell nearly the same, and ENOSPC
# and short writes go where EIO goes: of those every 11th, 23rd and third, unless EVERY=1 (tests/nightly).
EVERY=${EVERY:-0}
# CALL [ERRNO]
stride_of() {
    case $1:${2-} in
    *) ((EVERY)) && echo 1 && return ;;&
    pread:*) echo 11 ;;
    malloc:*) echo 23 ;;
    pwrite:ENOSPC | pwrite:short) echo 3 ;;
    *) echo 1 ;;
    esac
}
# CALL STRIDE
every() { if (($2 == 1)); then echo "every $1"; else echo "one $1 in $2"; fi; }

# A sweep of another call would find none, or never end: CALL...
only_known_calls() {
    local call
    for call in "$@"; do
        ctl counts | grep -q "^$call " || die "the shim knows no call $call"
    done
}

# What a sweep begins with: CALL VOLUME ACTION. The catalogue is allocated once, when it is made.
prepare() {
    [[ $3 == forward ]] || interrupted "$2"
    [[ $1:$3 != fallocate:forward ]] || never_met
}

# CALL N VOLUME HITS: after the run that was not hit, the last of a sweep. It went through to the end, under the eyes
# of the shim, and had not so many calls; so where nothing was hit there was nothing to be hit.
was_complete() {
    local calls
    calls=$(ctl counts | sed -n "s/^$1 //p")
    is "$3/migrate/status" success || wrong "the last run ended in $(value "$3/migrate/status"): $(value "$3/migrate/error")"
    holds test "$(ctl counts | awk '{ n += $2 } END { print n }')" -gt 0
    under "$2" "$calls" "calls of $1 in the last run"
    echo "# $4 times, of $calls calls in the last run"
}

# ACTION VOLUME: start, do that, and wait for the end of the daemon or of the job. True: it died.
run() {
    local action=$1 volume=$2 killer=''
    if [[ $FAULT == *killtree* ]]; then
        "${CTL[@]}" killer FERRYFS_OF_TEST &
        killer=$!
    fi
    [[ -z $FAULT ]] || ctl arm
    {
        begin_ferryfs --grace 1
        holds until_true answers_or_dead
        until_true eval 'gone || lists sparse dense'
        "$action" "$volume"
        timeout 60 cat "$MNT/$volume/migrate/wait" >/dev/null
        until_true at_rest || wrong "it neither ends nor rests: $(cat "$MNT/.control/jobs" "$MNT/.control/hidden")"
        ctl disarm # what a look at the result costs does not count
        # Whom it shall kill may still answer, and what is born too early is killed with them
        if [[ -n $killer ]]; then
            ctl hit 0 || kill "$killer"
            wait "$killer"
            ! ctl hit 0 || until_true gone
        fi
        if gone; then
            wait "$DAEMON"
            DAEMON=''
            until_true no_family || kill_family
        fi
    } 2>/dev/null
    [[ -z $DAEMON ]]
}

# After a death: nothing is lost; after a start all is well, and nothing is left over. $1: the volume
recovered_whole() {
    FAULT='' CRASH=''
    check_world --dead
    if run nothing "$1"; then
        wrong "it died again by itself"
        return
    fi
    check_world --mount "$MNT"
    stop_ferryfs
}
