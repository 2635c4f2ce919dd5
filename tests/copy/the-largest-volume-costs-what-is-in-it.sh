#!/bin/bash
# A volume of 2^63-1 bytes with a little in it, at its very end too, on a file system that can share storage: nothing
# that is done with it takes time or memory by its size.
. "$(dirname "$0")/lib.sh"
need_root
truncate -s 20G image
mkfs.xfs -q image
mkdir pool
mount -o loop image pool || skip "no loop devices here"
largest=9223372036854775807
truncate -s $largest pool/source
for at in 0 123456789012345 $((1 << 62)) $((largest - 1)); do
    printf x | dd of=pool/source bs=1 seek="$at" conv=notrunc status=none
done

# What took time by the size took hours: the deadline is for it
copies_soon() {
    begins "$@"
    ends
    eq "$STATUS" 0 "$ERR"
}

proves "it is copied and verified, by bytes and by sharing"
copies_soon --reflink=never pool/source pool/bytes
copies_soon pool/source pool/shared
eq "$(size_of pool/bytes)" $largest
under $((1 << 20)) "$(allocated pool/bytes)"

proves "it is compared, digested and looked through"
copies_soon --compare pool/source pool/bytes
copies_soon --compare pool/shared pool/bytes
copies_soon --digest pool/source
digest=${OUT%% *}
copies_soon --digest pool/bytes
eq "${OUT%% *}" "$digest"
copies_soon --map pool/source
eq "$(grep -c data <<<"$OUT")" 4

proves "one that is larger is refused, and makes nothing"
for bytes in $((1 << 63)) -1; do
    bytes=$(printf %u "$bytes")
    exits 1 "null:$bytes" null:
    like "$ERR" "ferrycopy: a volume has no more than 2^63-1 bytes: File too large"
    exits 1 "null:$bytes" pool/beyond
    fails test -e pool/beyond
done

proves "over a copy of it that holds other things, it is all the source's"
printf y | dd of=pool/bytes bs=1 seek=$((3 << 60)) conv=notrunc status=none
copies_soon --force --reflink=never pool/source pool/bytes
copies_soon --digest pool/bytes
eq "${OUT%% *}" "$digest"
finish
