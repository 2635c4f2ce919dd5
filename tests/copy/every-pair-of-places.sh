#!/bin/bash
# From every kind of place to every kind: equal to the byte, and not a grain of space too many. By default the way of
# I/O and what the destination held before take turns; EVERY=1 tries each with each, and large volumes of more sizes.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/copy/places.sh
. "$HERE/places.sh"

for kind in "${FILE_SYSTEMS[@]}"; do filesystem "$kind"; done
N=0 TURN=''

# Before the copy: nothing, or a volume that is full of something else
prepare() {
    local back=$1 bytes=$2 stale=$3 new=$4
    rm -f "$back"
    if [[ $stale == stale ]]; then
        "$BUILD/tests/fs/fill" "$back" "$bytes" dense 99
    elif [[ $new != new ]]; then
        truncate -s "$bytes" "$back"
    fi
}

# FROM TO BYTES IO STALE [OPTION]
pair() {
    local from=$1 to=$2 bytes=$3 io=$4 stale=$5 source back what="$1 to $2, $3 bytes, $4, $5"
    place "$from" source
    source=$PLACE
    case $to in
    loop | nbdkit | qemu-nbd) prepare "$WORLD/tmpfs/copy" "$bytes" "$stale" there ;;
    *) prepare "$WORLD/$to/copy" "$bytes" "$stale" new ;;
    esac
    place "$to" copy
    back=$BACK
    copies --io="$io" --force --progress=json "${@:6}" "$source" "$PLACE"
    leave
    eq "$STATUS" 0 "$what: $ERR"
    shares "$@" || wrong "$what: $(tail -n 1 out)"
    same "$(kept_of "$from")" "$back" || wrong "$what: differs: $(cmp "$(kept_of "$from")" "$back")"
    # What shares its storage takes none
    [[ $from == "$to" && $from == @(xfs|btrfs) && -z ${6-} ]] || minimal "$back" || wrong "$what: takes too much space"
    rm -f "$back"
}

# As pair: it has shared storage where that can be, and nowhere else
shares() {
    local cloned
    cloned=$(sed -n '$s/.*"cloned_bytes":\([0-9]*\).*/\1/p' out)
    if [[ $1 == "$2" && $1 == @(xfs|btrfs) && -z ${6-} ]]; then ((cloned > 0)); else ((cloned == 0)); fi
}

# The bytes of a source: on its file system, or on the tmpfs
kept_of() {
    local folder=$1
    [[ -d $WORLD/$1 ]] || folder=tmpfs
    echo "$WORLD/$folder/source"
}

# What takes turns, in $TURN
turn() {
    local ways=("$URING stale" "threads new" "$URING new" "threads stale")
    TURN=${ways[$((N++ % 4))]}
}

every_pair() {
    local bytes=$1 from to ways way
    for from in "${FILE_SYSTEMS[@]}"; do mixed "$from/source" "$bytes" 7; done
    for from in "${PLACES[@]}"; do
        proves "$bytes bytes from $from to every place"
        for to in "${PLACES[@]}"; do
            # A device has whole sectors, and so has what qemu-nbd shows of a file
            [[ $from$to == *loop* || $from == qemu-nbd ]] && ((bytes % 512 != 0)) && continue
            turn
            ways=("$TURN")
            [[ -z $LONG ]] || ways=("$URING stale" "$URING new" "threads stale" "threads new")
            for way in "${ways[@]}"; do
                # shellcheck disable=SC2086 # words
                pair "$from" "$to" "$bytes" $way
                # shellcheck disable=SC2086
                [[ $from != "$to" || $from != @(xfs|btrfs) ]] || pair "$from" "$to" "$bytes" $way --reflink=never
            done
        done
        N=$((N + 1)) # another way for the same place
    done
}

every_pair $((4 * 1024 * 1024 + 3 * 512))
if [[ -n $LONG ]]; then
    every_pair $((1024 * 1024 + 1))
    every_pair $((24 * 1024 * 1024 + 4095))
    every_pair $((9 * 1024 * 1024))
fi

# FROM TO: a byte at each end and in between, in 1 TiB and a sector
huge() {
    local source
    prepare "$WORLD/tmpfs/copy" "$HUGE" new there
    place "$1" source
    source=$PLACE
    place "$2" copy
    turn
    copies --io="${TURN% *}" --force "$source" "$PLACE"
    leave
    eq "$STATUS" 0 "1 TiB from $1 to $2: $ERR"
    exits 0 --compare tmpfs/source tmpfs/copy
    minimal tmpfs/copy || wrong "1 TiB from $1 to $2: takes too much space"
}
HUGE=$(((1 << 40) + 512))
truncate -s "$HUGE" tmpfs/source
for at in 0 123456789012 $((HUGE - 1)); do
    printf x | dd of=tmpfs/source bs=1 seek="$at" conv=notrunc status=none
done
for kind in nbdkit qemu-nbd; do # a device does not tell where it is empty
    proves "1 TiB with next to nothing in it from and to $kind"
    huge "$kind" tmpfs
    huge tmpfs "$kind"
done
rm tmpfs/source tmpfs/copy

proves "volumes of a few bytes or sectors, from and to devices and servers"
small() {
    "$BUILD/tests/fs/fill" tmpfs/source "$1" dense "$1"
    turn
    # shellcheck disable=SC2086 # words
    pair "$2" "$3" "$1" $TURN
}
for bytes in 1 511 512 4095 4096 4097; do
    for kind in loop nbdkit qemu-nbd; do
        [[ $kind == nbdkit || $((bytes % 512)) == 0 ]] || continue
        small "$bytes" "$kind" ext4
        [[ $kind == loop ]] || small "$bytes" "$kind" nbdkit
    done
    cp tmpfs/source ext4/source
    for kind in loop nbdkit; do
        [[ $kind == nbdkit || $((bytes % 512)) == 0 ]] || continue
        small "$bytes" ext4 "$kind"
    done
done
finish
