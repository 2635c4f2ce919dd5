#!/bin/bash
# kill -9 at any moment: at each call that changes something (by the fault shim), and at random, again and again while
# one copy is made. With --resume the copy goes on, comes to the same, and no more is copied twice than what one
# checkpoint interval lets through. COPY_KILLS: how many at random.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/copy/places.sh
. "$HERE/places.sh"

COPY_KILLS=${COPY_KILLS:-${LONG:+60}}
COPY_KILLS=${COPY_KILLS:-3}
filesystem tmpfs
filesystem ext4
SHARED=$WORLD/shared
ctl() { "$BUILD/tests/faultshim/faultctl" "$SHARED" "$@"; }

# Nothing that looks like a copy is there before it is one; of a map that was being made its first name may be left,
# as ferrycopy(1) says
nothing_half() {
    [[ -e map || ! -s ext4/copy ]] || same source ext4/copy || wrong "$1: half a copy and no map"
    local left
    left=$(echo map.*)
    [[ $left != map.new0 || -e map ]] || left='map.*'
    [[ $left == 'map.*' ]] || wrong "$1: $left is left"
    rm -f map.new0
}

# CALL STRIDE: killed at the first, then at every STRIDE-th such call until there is none left
kill_at() {
    local call=$1 n=1 kills=0
    while true; do
        rm -f "$SHARED" ext4/copy map
        ctl reset
        FAULT="file=$SHARED,call=$call,at=$n,do=kill,under=$WORLD"
        copies --io=threads --block-size=64K --resume="$WORLD/map" "$WORLD/source" "$WORLD/ext4/copy" 2>/dev/null
        FAULT=''
        ((STATUS == 137)) || break
        kills=$((kills + 1)) n=$((n + $2))
        nothing_half "$call number $((n - $2))"
        # Without a map it is complete, or there is nothing in it
        [[ -e map || ! -s ext4/copy ]] || continue
        copies --resume="$WORLD/map" "$WORLD/source" "$WORLD/ext4/copy"
        ((STATUS == 0)) || wrong "after a kill at $call number $((n - $2)): $ERR"
        same source ext4/copy || wrong "after a kill at $call number $((n - $2)): differs"
        [[ ! -e map ]] || wrong "after a kill at $call number $((n - $2)): the map is left"
        ((SENTENCE_OK)) || break
    done
    ((STATUS == 0)) || wrong "without a kill: $ERR"
    echo "# $kills kills"
    ((kills > 0)) || wrong "$call was never called"
}

mixed source $((2 * 1024 * 1024 + 99)) 3
for row in "pwrite 2" "fsync 1" "fdatasync 1" "ftruncate 1" "renameat2 1" "unlinkat 1" "openat 1"; do
    read -r call stride <<<"$row"
    proves "a copy goes on that was killed at a call of $call"
    kill_at "$call" "${LONG:-$stride}"
done

# From here on a copy takes some seconds, with a checkpoint in each
SPEED=$((8 * 1024 * 1024))
volume source 32M dense 5
# What the progress last said of a member; how often it said anything
last() {
    local said
    said=$(cat out err | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" | tail -n 1)
    echo "${said:-0}"
}
n_said() { cat out err | grep -c done_bytes; }
has_said() { (($(n_said) > $1)) || ! kill -0 "$PID" 2>/dev/null; }

# What it has done is asked for in the last moment
kill_it() {
    local n
    n=$(n_said)
    if ((n > 0)); then
        kill -USR1 "$PID" 2>/dev/null
        holds until_true has_said "$n"
    fi
    kill -KILL "$PID" 2>/dev/null
}

# TO IO. What a run has done when it is killed and the next one does not skip is done twice: what came in the interval of
# checkpoints, a second, and while its flush was under way.
kill_at_random() {
    local to=$1 io=$2 kills i done_bytes=0 skipped most=$((SPEED * 3 * SLOW / 2)) worst=0
    rm -f map
    place "$to" copy
    for ((kills = 0; kills < COPY_KILLS; kills++)); do
        begins --io="$io" --speed=$SPEED --block-size=64K --progress=json --resume=map --force source "$PLACE"
        for ((i = RANDOM % 200; i > 0; i--)); do tick; done
        kill_it
        ends
        ((STATUS == 137)) || break
        skipped=$(last skipped_bytes)
        # Nothing, or of nothing, is said by one that was killed at its start
        (($(last done_bytes) > 0)) || continue
        ((worst > done_bytes - skipped)) || worst=$((done_bytes - skipped))
        done_bytes=$(last done_bytes)
    done
    copies --io="$io" --progress=json --resume=map --force source "$PLACE"
    leave
    eq "$STATUS" 0 "$ERR"
    skipped=$(last skipped_bytes)
    ((worst > done_bytes - skipped)) || worst=$((done_bytes - skipped))
    echo "# $kills kills; $worst bytes done twice at most, $skipped not done again in the end"
    under "$most" "$worst" "done twice"
    same source "$BACK" || wrong "it differs: $(cmp source "$BACK")"
    fails test -e map
    rm -f "$BACK"
}

RANDOM=${SEED:=$$}
echo "# SEED=$SEED"
for row in "ext4 threads" "tmpfs $URING" "loop $URING" "nbdkit auto"; do
    read -r to io <<<"$row"
    proves "a copy to $to by $io goes on after kills at random, and no more is done twice than comes between checkpoints"
    [[ $to == ext4 || $to == tmpfs ]] || "$BUILD/tests/fs/fill" tmpfs/copy "$(size_of source)" dense 99
    kill_at_random "$to" "$io"
done
finish
