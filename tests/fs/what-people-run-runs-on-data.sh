#!/bin/bash
# Loop devices, file systems, qemu, fio and a database run on VOLUME/data as on the file itself.
. "$(dirname "$0")/lib.sh"
needs losetup qemu-io qemu-img fio sqlite3 e2fsck
pool ssd ext4 1G
pool hdd tmpfs
volume ssd disk 128M
volume ssd image 64M
volume ssd bench 64M
volume hdd small 64M
start_ferryfs
LOOPS=()
MOUNTED=$WORLD/mounted
mkdir "$MOUNTED"

is_whole() { e2fsck -fn "$1" >"$WORLD/said" 2>&1 || wrong "$(<"$WORLD/said")"; }
at_rest() { is "$1/status" available; }
detach() {
    losetup -d "${LOOPS[@]}"
    LOOPS=()
}
attach() {
    LOOP=$(losetup -f --show "$@") || die "no loop device"
    LOOPS+=("$LOOP")
}

proves "a loop device with direct I/O carries a file system, which is whole afterwards"
attach --direct-io=on "$MNT/disk/data"
eq "$(<"$MNT/disk/status")" in-use
eq "$(blockdev --getsize64 "$LOOP")" "$(<"$MNT/disk/size")"
mkfs.ext4 -q -F "$LOOP" || wrong "mkfs fails"
mount -o discard "$LOOP" "$MOUNTED" || wrong "mount fails"
cp -r /usr/share/perl "$MOUNTED/" || wrong "cp fails"
(cd "$MOUNTED/perl" && find . -type f -exec sha256sum {} +) >"$WORLD/sums"
holds test -s "$WORLD/sums"
umount "$MOUNTED"
detach
holds until_true at_rest disk
is_whole "$POOLS/ssd/disk"

proves "mount -o loop mounts it, discards free its space, and what was written is there"
before=$(stat -c %b "$POOLS/ssd/disk")
mount -o loop,discard "$MNT/disk/data" "$MOUNTED" || wrong "mount fails"
(cd "$MOUNTED/perl" && sha256sum --quiet -c "$WORLD/sums") || wrong "the files differ"
rm -r "$MOUNTED/perl"
sync -f "$MOUNTED"
fstrim "$MOUNTED"
umount "$MOUNTED"
holds until_true at_rest disk
holds test "$(stat -c %b "$POOLS/ssd/disk")" -lt $((before / 2))
is_whole "$POOLS/ssd/disk"

proves "a buffered loop device does as well"
attach "$MNT/disk/data"
mkfs.ext4 -q -F "$LOOP" || wrong "mkfs fails"
detach
holds until_true at_rest disk
is_whole "$POOLS/ssd/disk"

proves "qemu reads, writes, discards and flushes it, cached or not"
for cache in none writeback; do
    qemu-io -f raw -t "$cache" -d unmap -c "write -P 0x5a 1M 3M" -c "write -z -u 8M 1M" -c "discard 2M 1M" -c flush \
        -c "read -P 0x5a 1M 1M" "$MNT/image/data" >"$WORLD/said" 2>&1 || wrong "$(<"$WORLD/said")"
    fails grep -qi "fail\|error" "$WORLD/said"
done
holds until_true at_rest image
eq "$(qemu-img info --output=json "$MNT/image/data" | jq '."virtual-size"')" 67108864
holds until_true at_rest image
holds cmp <(head -c 2M "$POOLS/ssd/image" | tail -c 1M) <(head -c 1M /dev/zero | tr '\0' '\132')

# FILE OPTION...
verified() {
    local file=$1
    shift
    fio --name=verified --filename="$file" --allow_file_create=0 --rw=randrw --bs=4k --size=32M --io_size=$((48 / SLOW))M \
        --verify=crc32c --verify_fatal=1 --do_verify=1 "$@" >"$WORLD/said" 2>&1 || wrong "fio $*: $(tail -n 5 "$WORLD/said")"
}
proves "fio finds what it wrote: direct, buffered and mapped, one request at a time and many"
for file in "$MNT/bench/data" "$MNT/small/data"; do
    verified "$file" --direct=1 --ioengine=libaio --iodepth=32
    verified "$file" --direct=1 --ioengine=psync
    verified "$file" --ioengine=psync
    verified "$file" --ioengine=mmap
done
holds until_true at_rest bench
holds until_true at_rest small

proves "a database on a file system on it keeps what it has committed"
attach --direct-io=on "$MNT/disk/data"
mount "$LOOP" "$MOUNTED" || wrong "mount fails"
{
    echo "PRAGMA journal_mode=WAL; CREATE TABLE t (n INTEGER);"
    for n in {1..100}; do echo "INSERT INTO t VALUES ($n);"; done
} | sqlite3 "$MOUNTED/db" >/dev/null || wrong "sqlite3 fails"
umount "$MOUNTED"
detach
holds until_true at_rest disk
attach "$POOLS/ssd/disk"
mount "$LOOP" "$MOUNTED" || wrong "mount fails"
eq "$(sqlite3 "$MOUNTED/db" "PRAGMA integrity_check; SELECT count(*), sum(n) FROM t;" | tr '\n' ' ')" "ok 100|5050 "
umount "$MOUNTED"
detach

proves "and then they move, as they are"
holds until_true at_rest disk
record_world
for name in disk image bench; do migrate "$name" hdd; done
finish
