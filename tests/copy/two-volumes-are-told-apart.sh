#!/bin/bash
# --compare, --map and --digest tell what is in a volume, and change nothing.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"

volume source 20M sparse 1
cp --sparse=always source equal
cp --sparse=never source dense

# byte OFFSET FILE: another one there
byte() { printf '\xa5' | dd of="$2" bs=1 seek="$1" conv=notrunc status=none; }

proves "equal volumes are equal, wherever their holes are"
exits 0 --compare source equal
eq "$OUT$ERR" ''
exits 0 --compare source dense
exits 0 --compare dense source
exits 0 --compare source source
: >empty
exits 0 --compare empty empty

proves "the first byte that differs is named, to the byte"
for offset in 0 1 4095 4096 524287 524288 9999999 20971519; do
    cp --sparse=always source other
    byte "$offset" other
    exits 1 --compare source other
    eq "$OUT" "source and other differ at byte $offset"
    eq "$ERR" ''
    exits 1 --compare other source
    eq "$OUT" "other and source differ at byte $offset"
done
byte 5000000 other
exits 1 --compare source other
eq "$OUT" "source and other differ at byte 5000000"

proves "a hole and bytes that are not zero differ too"
truncate -s 20M hole
cp hole other
byte 7654321 other
exits 1 --compare hole other
eq "$OUT" "hole and other differ at byte 7654321"
exits 1 --compare other hole
eq "$OUT" "other and hole differ at byte 7654321"

proves "files of different sizes differ"
truncate -s 20971521 longer
exits 1 --compare hole longer
eq "$OUT" "hole has 20971520 bytes, longer has 20971521"

proves "what cannot be compared is neither equal nor different"
exits 4 --compare source missing
eq "$ERR" "ferrycopy: cannot open missing: No such file or directory"
eq "$(feed source | ferrycopy --compare source - 2>&1)" \
    "ferrycopy: --compare: a pipe can be read only once and in order; use a file"

exits 4 --compare source folder/missing
exits 4 --compare --control=no/folder/rate source source
exits 4 --compare --control=no/folder/rate --progress=json source source

proves "of what is written meanwhile nothing is said"
volume busy 4M dense
cp busy twin
has_begun() { grep -qs "\"done_bytes\":[1-9]" out err; }
for row in "4 compared compare --compare busy twin" "4 compared compare --compare twin busy" "1 read read --digest busy"; do
    read -r status was again asked <<<"$row"
    # shellcheck disable=SC2086 # words
    begins --speed=1M --progress=json $asked
    until_true has_begun || wrong "it has not begun: $(<err)"
    touch busy
    ends
    eq "$STATUS" "$status" "$asked"
    like "$OUT$ERR" "*busy was written while it was $was; $again it again when nobody writes it*"
    fails grep -q '"digest":"' out err
done
rm busy twin

proves "what cannot be printed is a failure, and no difference"
unprinted() {
    ferrycopy "${@:2}" >/dev/full 2>err
    eq $? "$1" "${*:2}"
    like "$(<err)" "ferrycopy: cannot write standard output*"
}
printf x | cat - source >other
unprinted 1 --digest source
unprinted 1 --digest --progress=json source
unprinted 1 --map source
unprinted 4 --compare source other
unprinted 4 --compare --progress=json source other
unprinted 4 --compare --progress=json source source

if [[ $(id -u) == 0 ]]; then
    proves "of a larger device only so much is compared as the other volume has"
    truncate -s 24M disk
    loop disk
    exits 0 --force --verify=off source "$LOOP"
    exits 0 --compare source "$LOOP"
    eq "$ERR" "ferrycopy: $LOOP is larger: only its first 20.0 MiB are compared"
    byte 12345678 "$LOOP"
    exits 1 --compare source "$LOOP"
    eq "$OUT" "source and $LOOP differ at byte 12345678"
fi

proves "--map tells data, holes and zeroes that were written, from 0 to the end, without a gap"
truncate -s 4M mapped
dd if=source of=mapped bs=4096 count=16 seek=256 conv=notrunc status=none
volume mapped.data 64K dense 2
dd if=mapped.data of=mapped bs=64K seek=16 conv=notrunc status=none
dd if=/dev/zero of=mapped bs=64K seek=32 count=2 conv=notrunc status=none
printf x | dd of=mapped bs=1 seek=$((4 << 20)) conv=notrunc status=none
exits 0 --map mapped
eq "$OUT" "0 1048576 hole
1048576 65536 data
1114112 983040 hole
2097152 131072 zero
2228224 1966080 hole
4194304 1 data"
exits 0 --map --block-size=64K --queue-depth=1 mapped
eq "$(awk '{ n += $2 } $1 + 0 != at { exit 1 } { at = $1 + $2 } END { print n }' out)" 4194305
volume full 2M dense 3
exits 0 --map full
eq "$OUT" "0 2097152 data"
exits 0 --map empty
eq "$OUT" ''
exits 0 --map hole
eq "$OUT" "0 20971520 hole"

proves "--map through a pipe that nobody reads any more ends silently"
ferrycopy --map dense 2>err | true
eq "$(<err)" ''

proves "--digest is of the contents alone"
exits 0 --digest source
digest=${OUT%% *}
like "$OUT" "$(printf '[0-9a-f]%.0s' {1..32})  source"
for volume in equal dense; do
    exits 0 --digest "$volume"
    eq "$OUT" "$digest  $volume"
done
exits 0 --digest --queue-depth=2 --io=threads dense
eq "$OUT" "$digest  dense"
eq "$(ferrycopy --digest - <source)" "$digest  -"
eq "$(feed source | ferrycopy --digest -)" "$digest  -"
cp --sparse=always source other
byte 5000000 other
exits 0 --digest other
fails test "${OUT%% *}" == "$digest"

proves "--digest is what ferrycopy(1) says that it is: by another implementation"
bytes_of() { python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))'; }
digest_by_hand() {
    local place=0 piece
    split -b 512K -a 4 "$1" piece.
    {
        for piece in piece.*; do
            [[ ! -e $piece ]] || cmp -s -n "$(size_of "$piece")" "$piece" /dev/zero ||
                printf '%016x%s' "$place" "$(xxh128sum <"$piece" | cut -d' ' -f1)"
            place=$((place + (512 << 10)))
        done
        printf '%016x' "$(size_of "$1")"
    } | bytes_of | xxh128sum | cut -d' ' -f1
    rm -f piece.*
}
for volume in source other empty; do
    exits 0 --digest "$volume"
    eq "${OUT%% *}" "$(digest_by_hand "$volume")" "$volume"
    eq "$(feed "$volume" | ferrycopy --digest -)" "${OUT/$volume/-}"
done
finish
