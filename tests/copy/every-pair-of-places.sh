#!/bin/bash
# From every kind of place to every kind: equal to the byte, and not a grain of space too many. By default the way of
# I/O and what the destination held before take turns; EVERY=1 tries each with each, and volumes of more sizes.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/copy/places.sh
. "$HERE/places.sh"

for kind in "${FILE_SYSTEMS[@]}"; do filesystem "$kind"; done
N=0

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
    copies --io="$io" --force "${@:6}" "$source" "$PLACE"
    leave
    eq "$STATUS" 0 "$what: $ERR"
    same "$(kept_of "$from")" "$back" || wrong "$what: differs: $(cmp "$(kept_of "$from")" "$back")"
    # What shares its storage takes none
    [[ $from == "$to" && $from == @(xfs|btrfs) && -z ${6-} ]] || minimal "$back" || wrong "$what: takes too much space"
    rm -f "$back"
}

# The bytes of a source: on its file system, or on the tmpfs
kept_of() {
    local folder=$1
    [[ -d $WORLD/$1 ]] || folder=tmpfs
    echo "$WORLD/$folder/source"
}

# What takes turns
turn() {
    local ways=("io_uring stale" "threads new" "io_uring new" "threads stale")
    echo "${ways[$((N++ % 4))]}"
}

every_pair() {
    local bytes=$1 from to ways way
    for from in "${FILE_SYSTEMS[@]}"; do mixed "$from/source" "$bytes" 7; done
    for from in "${PLACES[@]}"; do
        proves "$bytes bytes from $from to every place"
        for to in "${PLACES[@]}"; do
            # A device has whole sectors, and so has what qemu-nbd shows of a file
            [[ $from$to == *loop* || $from == qemu-nbd ]] && ((bytes % 512 != 0)) && continue
            ways=("$(turn)")
            [[ -z $LONG ]] || ways=("io_uring stale" "io_uring new" "threads stale" "threads new")
            for way in "${ways[@]}"; do
                # shellcheck disable=SC2086 # words
                pair "$from" "$to" "$bytes" $way
                # shellcheck disable=SC2086
                [[ $from != "$to" || $from != @(xfs|btrfs) ]] || pair "$from" "$to" "$bytes" $way --reflink=never
            done
        done
        N=$((N + 1))
    done
}

io_uring_works() { copies --io=io_uring --digest "$1" && ((STATUS == 0)); }

truncate -s 4096 probe
io_uring_works probe || skip "no io_uring here: ${ERR}"
every_pair $((4 * 1024 * 1024 + 3 * 512))
if [[ -n $LONG ]]; then
    every_pair $((1024 * 1024 + 1))
    every_pair $((24 * 1024 * 1024 + 4095))
    every_pair $((9 * 1024 * 1024))
fi
finish
