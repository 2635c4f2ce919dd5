#!/bin/bash
# --resume of a source that has no time of its last change, a device or a server: it goes on to an equal end, and another
# one in its place is told by what is in it.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/copy/places.sh
. "$HERE/places.sh"
filesystem tmpfs
BYTES=$((16 << 20))

for kind in loop nbdkit qemu-nbd; do
    proves "what was killed goes on, from $kind"
    "$BUILD/tests/fs/fill" tmpfs/source "$BYTES" dense 5
    place "$kind" source
    half_a_copy "$PLACE"
    exits 0 --progress=json --resume map "$PLACE" copy
    holds same tmpfs/source copy
    holds test "$(of_last skipped_bytes)" -gt 0
    fails test -e map

    proves "but not from another volume there"
    half_a_copy "$PLACE"
    leave
    "$BUILD/tests/fs/fill" tmpfs/source "$BYTES" dense 6
    cp copy before
    place "$kind" source
    exits 3 --resume map "$PLACE" copy
    like "$ERR" "ferrycopy: *map*source*"
    holds same before copy
    leave
    rm tmpfs/source
done
finish
