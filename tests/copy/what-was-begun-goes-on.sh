#!/bin/bash
# --resume: a copy that was ended goes on, to an equal end, and no other copy is taken for it.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"

volume source 24M dense 1
proves "a copy with a map is made as without, and the map is gone afterwards"
exits 0 --resume map source copy
holds same source copy
fails test -e map

proves "what was killed goes on, and copies only the rest"
half_a_copy source
eq "$STATUS" 137
holds test -e copy
exits 0 --progress=json --resume map source copy
holds same source copy
fails test -e map
eq $(($(of_last skipped_bytes) + $(of_last copied_bytes))) $((24 << 20))
eq "$(of_last verified_bytes)" $((24 << 20))

proves "so does what was stopped"
SIGNAL=TERM half_a_copy source
eq "$STATUS" 143
exits 0 --progress=json --resume map source copy
holds same source copy
holds test "$(of_last skipped_bytes)" -gt 0

proves "and with another block size, and without verification"
half_a_copy source
exits 0 --resume map --block-size=64K --verify=off source copy
holds same source copy
half_a_copy source --block-size=128K
exits 0 --resume map --block-size=4M --io=threads source copy
holds same source copy

proves "of a read-only source it is read-only, whoever goes on"
chmod 0444 source
half_a_copy source
exits 0 --resume map source copy
holds same source copy
eq "$(stat -c %a copy)" 444
if [[ $(id -u) == 0 ]]; then
    half_a_copy source
    chmod 755 .
    mkdir theirs
    mv map copy theirs
    chown -R 65534:65534 theirs
    setpriv --reuid=65534 --regid=65534 --clear-groups "$FERRYCOPY" --resume theirs/map source theirs/copy 2>err
    eq $? 0 "$(<err)"
    holds same source theirs/copy
    eq "$(stat -c %a theirs/copy)" 444
    rm -r theirs
fi
chmod 0644 source

proves "an old file that was overwritten goes on without --force"
rm -f map copy
volume copy 30M dense 9
exits 3 --resume map source copy
like "$ERR" "ferrycopy: copy exists and holds 30.0 MiB; --force overwrites it"
fails test -e map
rm -f first
begins --speed=2M --force --resume map source copy
until_true has_copied || wrong "it has not begun: $(<err)"
kill -KILL "$PID"
ends
exits 0 --resume map source copy
holds same source copy

# It is refused with this message, and neither the map nor the copy is changed
refused() {
    local before_map before_copy
    before_map=$(sum map) before_copy=$(sum copy 2>/dev/null)
    exits 3 --resume map "${@:2}"
    # shellcheck disable=SC2053 # a pattern
    [[ $ERR == $1 ]] || wrong "it says \"$ERR\", not \"$1\""
    eq "$(sum map)" "$before_map"
    eq "$(sum copy 2>/dev/null)" "$before_copy"
}

proves "another source is refused: by its size, its time, its contents"
half_a_copy source
cp -p source original
truncate -s +1 source
refused "ferrycopy: map is the map of another source: that had 25165824 bytes, this one has 25165825" source copy
cp -p original source
touch -d '2001-01-01' source
refused "ferrycopy: *map*" source copy
cp -p original source
printf x | dd of=source bs=1 conv=notrunc status=none
touch -r original source
refused "ferrycopy: *map*" source copy
cp -p original source

proves "another destination is refused"
refused "ferrycopy: other is gone; to begin anew remove map, which tells of it" source other
fails test -e other
cp copy other
refused "ferrycopy: *map*destination*" source other
mv copy away
refused "ferrycopy: copy is gone; *" source copy
cp away copy
refused "ferrycopy: *map*destination*" source copy
mv away copy

proves "a destination that was changed since is refused, or made right"
cp copy kept
printf x | dd of=copy bs=1 conv=notrunc status=none
refused "ferrycopy: copy does not hold what the map says, at byte 0; to begin anew remove map and use --force" source copy
cat kept >copy
truncate -s 1M copy
refused "ferrycopy: copy is smaller than when it was copied to; *" source copy
cat kept >copy
printf xxxxxxxx | dd of=copy bs=1 seek=4097 conv=notrunc status=none
exits 0 --resume map source copy
holds same source copy

# LOW ABOVE: the map says that this is done, in blocks of 512 KiB
map_says() {
    python3 - "$@" <<'END'
import struct, sys
def crc32c(crc, data):
    crc ^= 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
with open("map", "r+b") as f:
    seed = struct.unpack("<I", f.read(4096)[-4:])[0]
    for sequence in (98, 99):
        page = struct.pack("<QQQQ", sequence, 512 << 10, int(sys.argv[1]), int(sys.argv[2])).ljust(4092, b"\0")
        f.seek(4096 * (1 + sequence % 2))
        f.write(page + struct.pack("<I", crc32c(seed, page)))
END
}

# SOURCE OFFSET [LOW ABOVE]: of a copy of which so much is done, by the map, a grain is what it was before
stale_at() {
    local source=$1 at=$2
    rm -f map copy first
    begins --io=threads --speed=4K --resume map "$source" copy
    until_true has_map || wrong "it has not begun: $(<err)"
    kill -KILL "$PID"
    ends
    cp --sparse=always "$source" kept
    cat kept >copy
    map_says "${3:-$(size_of "$source")}" "${4:-0}"
    exits 0 --verify=off --resume map "$source" copy
    rm -f copy
    begins --io=threads --speed=4K --resume map "$source" copy
    until_true has_map || wrong "it has not begun: $(<err)"
    kill -KILL "$PID"
    ends
    cat kept >copy
    head -c 4096 /dev/zero | dd of=copy bs=4096 seek=$((at / 4096)) conv=notrunc status=none
    map_says "${3:-$(size_of "$source")}" "${4:-0}"
    exits 3 --verify=off --resume map "$source" copy
    like "$ERR" "ferrycopy: copy does not hold what the map says, at byte $at; *"
}

has_map() { [[ -e map && -e copy && $(size_of copy) == $((24 << 20)) ]]; }
proves "a destination that is older than its map is refused, without verification too: at its end"
stale_at source $(((24 << 20) - 4096))
proves "in what is done ahead of the rest"
stale_at source $((5 << 19)) $((1 << 19)) $((1 << 3))
proves "where the data is in few places"
truncate -s 24M sparse
for at in 3 100 3000 4000; do
    dd if=source of=sparse bs=4096 skip=$at seek=$at count=1 conv=notrunc status=none
done
for at in 3 100 3000 4000; do stale_at sparse $((at * 4096)); done
rm -f map copy

proves "a map that is none, or is damaged, is refused and left alone"
half_a_copy source
for damage in 'echo hello' 'head -c 100000 /dev/urandom' 'true'; do
    cp map good
    $damage >map
    refused "ferrycopy: *map*" source copy
    cp good map
done
rm map
mkdir map
copies --resume map source copy
fails test "$STATUS" == 0
rmdir map

proves "a map that is the source or the destination is refused"
rm -rf map copy
exits 3 --resume source source copy
eq "$ERR" "ferrycopy: --resume: the map cannot be source; name another file"
fails test -e copy
exits 3 --resume ./copy source copy
eq "$ERR" "ferrycopy: --resume: the map cannot be copy; name another file"
fails test -e copy
cp source copy
exits 3 --force --resume copy source copy
eq "$ERR" "ferrycopy: --resume: the map cannot be copy; name another file"
holds same source copy

proves "a second copy with the same map is kept out"
rm -f copy
begins --speed=4K --resume map source copy
until_true has_map || wrong "it has not begun: $(<err)"
copies --resume map source copy
eq "$STATUS" 3
kill -TERM "$PID"
ends

if command -v nbdkit >/dev/null; then
    proves "where a map is removed before it could be read, what is there is not overwritten"
    rm -f map copy
    nbdkit --foreground --unix slow.socket --filter=delay file source rdelay=50ms 2>/dev/null &
    server=$!
    until_true test -S slow.socket || wrong "nbdkit does not listen"
    volume copy 24M dense 3
    before=$(sum copy)
    : >map
    begins --resume map "nbd+unix:///?socket=$WORLD/slow.socket" copy
    has_open() { [[ $(readlink /proc/"$PID"/fd/*) == *"$WORLD/copy"* ]]; }
    until_true has_open || wrong "it has not begun: $(<err)"
    rm map
    ends
    eq "$STATUS" 3
    eq "$ERR" "ferrycopy: map was there, and is gone"
    eq "$(sum copy)" "$before"
    fails test -e map
    kill "$server"
    wait "$server" 2>/dev/null
fi

proves "a map that cannot be made is a failure, and leaves no destination"
rm -f map copy
exits 1 --resume no/folder/map source copy
like "$ERR" "ferrycopy: *no/folder/map*"
fails test -e copy

if [[ $(id -u) == 0 ]]; then
    proves "a copy to a device goes on too, but not on another disk that has got its name"
    volume disk 32M dense 7
    volume disk2 32M dense 8
    loop disk
    device=$LOOP
    loop disk2
    other=$LOOP
    # NAME leads to that device from now on. A loop device that was let go of would be the next test's at once.
    leads_to() {
        rm -f "$1"
        mknod "$1" b "0x$(stat -c %t "$2")" "0x$(stat -c %T "$2")"
    }
    LOOP=$WORLD/one
    leads_to "$LOOP" "$device"
    ln -s "$LOOP" device
    rm -f map first
    begins --speed=4K --force --resume map source "$LOOP"
    until_true test -e map || wrong "it has not begun: $(<err)"
    kill -KILL "$PID"
    ends
    exits 3 --resume map source "$LOOP"
    eq "$ERR" "ferrycopy: map tells of nothing done yet; --force overwrites what $LOOP holds"
    rm -f map
    begins --speed=2M --force --resume map source "$LOOP"
    until_true has_copied || wrong "it has not begun: $(<err)"
    kill -KILL "$PID"
    ends
    leads_to "$LOOP" "$other"
    exits 3 --resume map source "$LOOP"
    like "$ERR" "ferrycopy: $LOOP does not hold what the map says, at byte *"
    leads_to "$LOOP" "$device"
    refused "ferrycopy: *map*destination*" source device
    exits 0 --resume map source "$LOOP"
    holds cmp -n $((24 << 20)) source "$LOOP"
    fails test -e map

    proves "a device that has an id of its own is known by that, whatever its name is then"
    # In place of the shell, in a mount namespace where the kernel tells these ids
    with_ids() {
        # shellcheck disable=SC2016 # of the other shell
        exec unshare --mount sh -c 'mount -t tmpfs none /sys/dev/block || exit 77
            while [ "$1" != -- ]; do
                mkdir -p "/sys/dev/block/$2/dm" && echo "$3" >"/sys/dev/block/$2/dm/uuid"
                shift 3
            done
            shift
            exec "$@"' sh "$@" {TICK}>&-
    }
    number() { echo $((0x$(stat -c %t "$1"))):$((0x$(stat -c %T "$1"))); }
    rm -f map first
    with_ids id "$(number "$LOOP")" LVM-one -- "$FERRYCOPY" --speed=2M --force --resume map source "$LOOP" 2>err &
    PID=$!
    until_true has_copied || wrong "it has not begun: $(<err)"
    kill -KILL "$PID"
    ends
    leads_to "$LOOP" "$other"
    ids=(id "$(number "$device")" LVM-one id "$(number "$other")" LVM-two)
    (with_ids "${ids[@]}" -- "$FERRYCOPY" --resume map source "$LOOP" 2>err)
    eq $? 3
    like "$(<err)" "ferrycopy: *map*destination*"
    (with_ids "${ids[@]}" -- "$FERRYCOPY" --resume map source "$device" 2>err)
    eq $? 0 "$(<err)"
    holds cmp -n $((24 << 20)) source disk
fi
finish
