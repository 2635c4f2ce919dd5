#!/bin/bash
# A volume that somebody else has open for writing is in use, from the moment he opens it until he lets go; it is
# refused then, with his name, and nothing else makes a volume seem to be in use: not its readers, not ferryfs itself.
. "$(dirname "$0")/lib.sh"
needs inotifywait
pool ssd ext4 512M
pool hdd tmpfs
volume ssd db1 4M dense
volume ssd db2 64M
volume ssd db3 16M dense
volume hdd db4 1M dense
start_ferryfs
V=$MNT/db1

# Long before the next scan, which is a minute away
at_once() {
    local SLOW=$((SLOW < 2 ? SLOW : 2))
    holds until_true "$@"
}

# FLAGS FILE: a program has it open until let_go; its pid is $HOLDER
hold() {
    rm -f "$WORLD/held"
    op hold "$2" "$1" <&"$TICK" >"$WORLD/held" {SAYS}>&- {TICK}>&- &
    HOLDER=$!
    holds until_true grep -qs held "$WORLD/held"
}
let_go() { kill "$1" && wait "$1"; } 2>/dev/null

proves "who opens it for writing has it, before he has written a byte, and whoever watches the file is told"
timeout $((20 * SLOW)) inotifywait -e modify "$V/status" >"$WORLD/watch" 2>&1 {TICK}>&- {SAYS}>&- &
watcher=$!
holds until_true grep -q established "$WORLD/watch"
hold rw "$POOLS/ssd/db1"
writer=$HOLDER
at_once is db1/status in-use
wait "$watcher" || wrong "inotifywait was not woken: $(<"$WORLD/watch")"
eq "$(<"$V/previous_status")" null
eq "$(<"$V/migrate/status")" null
eq "$(grep -c . "$V/migrate/candidates")" 1

proves "it is refused with his name, and no other volume is"
says "open EBUSY" op write "$V/migrate/target" hdd
like "$(<"$V/migrate/message")" "refused EBUSY: db1: process $writer (op) has it open for writing"
eq "$(<"$V/status")" in-use
migrate db3 hdd
migrate db3 ssd

proves "a restart finds it held, and a scan changes nothing"
stop_ferryfs
start_ferryfs
eq "$(<"$V/status")" in-use
says ok op write "$MNT/.control/rescan" 1
hold rw "$POOLS/ssd/db3"
at_once is db3/status in-use
eq "$(<"$V/status")" in-use

proves "one that is no volume for a while, for a second name, is in use when it is one again"
ln "$POOLS/ssd/db1" "$POOLS/ssd/.second"
says ok op write "$MNT/.control/rescan" 1
holds until_true test ! -e "$V"
rm "$POOLS/ssd/.second"
says ok op write "$MNT/.control/rescan" 1
holds until_true lists db1
eq "$(<"$V/status")" in-use

proves "who lets go gives it back"
let_go "$writer"
let_go "$HOLDER"
at_once is db1/status available
at_once is db3/status available
migrate db1 hdd
hold w "$POOLS/hdd/db1"
at_once is db1/status in-use
let_go "$HOLDER"
at_once is db1/status available
migrate db1 ssd

proves "readers do not"
hold r "$POOLS/ssd/db1"
reader=$HOLDER
hold rw "$POOLS/ssd/db3"
at_once is db3/status in-use # and whoever was opened before was looked at
eq "$(<"$V/status")" available
migrate db1 hdd
migrate db1 ssd
let_go "$reader"
let_go "$HOLDER"
at_once is db3/status available

proves "a file that is mapped for writing is held when it is open no more"
python3 -c '
import mmap, sys
with open(sys.argv[1], "r+b") as f:
    memory = mmap.mmap(f.fileno(), 0)
print("mapped", flush=True)
sys.stdin.read()
' "$POOLS/ssd/db1" <&"$TICK" >"$WORLD/mapped" {SAYS}>&- &
mapper=$!
holds until_true grep -q mapped "$WORLD/mapped"
at_once is db1/status in-use
let_go "$mapper"
at_once is db1/status available

proves "a loop device holds it, and a file system that is mounted from it"
DEVICE=$(losetup --show -f "$POOLS/ssd/db2") || die "no loop device"
at_once is db2/status in-use
says "open EBUSY" op write "$MNT/db2/migrate/target" hdd
like "$(<"$MNT/db2/migrate/message")" "refused EBUSY: db2: the loop device $DEVICE has it open for writing"
losetup -d "$DEVICE"
at_once is db2/status available
mkfs.ext4 -q -F "$POOLS/ssd/db2"
mkdir "$WORLD/inside"
mount -o loop "$POOLS/ssd/db2" "$WORLD/inside"
at_once is db2/status in-use
holds until_true umount "$WORLD/inside"
at_once is db2/status available
migrate db2 hdd
record_world # it has a file system now

proves "a writer who comes while it moves ends that, and then it is in use"
stop_ferryfs
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" hdd
held
eq "$(<"$V/status") $(<"$V/previous_status")" "migrating available"
hold rw "$POOLS/ssd/db1"
ctl release
eq "$(result db1)" error
like "$(<"$V/migrate/error")" "ETXTBSY ?*"
at_once is db1/status in-use
let_go "$HOLDER"
at_once is db1/status available
stop_ferryfs
no_fault
start_ferryfs

proves "ferryfs itself never makes a volume seem to be in use, however fast it is asked"
python3 -uc '
import sys
was = None
while True:
    with open(sys.argv[1]) as f:
        now = f.read()
    if now != was:
        print(now, end="")
    was = now
' "$V/status" >"$WORLD/seen" {TICK}>&- {SAYS}>&- &
reader=$!
for host in hdd ssd hdd ssd hdd ssd; do
    for name in db1 db3; do
        says ok op write "$MNT/$name/migrate/target" $host
        eq "$(result $name) $(<"$MNT/$name/status")" "success available"
    done
done
let_go "$reader"
holds grep -q available "$WORLD/seen"
fails grep -q in-use "$WORLD/seen"
finish
