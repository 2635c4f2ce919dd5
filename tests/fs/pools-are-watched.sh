#!/bin/bash
# What happens in a pool shows in the mount at once, and nothing that goes wrong in one stops the rest.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd ext4 256M
volume ssd db1 1M
volume hdd db2 1M
start_ferryfs
# Long before the next rescan, which is a minute away where a pool is watched; where it is not, the log says so
at_once() {
    local SLOW=$((SLOW < 2 ? SLOW : 2))
    holds until_true "$@"
}

proves "the pools are watched"
fails grep -q "cannot be watched" "$LOG"

proves "a file that appears is a volume, and the mount is dated anew"
was=$(stat -c %.9Y "$MNT")
cp "$POOLS/ssd/db1" "$WORLD/new"
mv "$WORLD/new" "$POOLS/ssd/new"
holds at_once lists new
eq "$(<"$MNT/new/host")" ssd
newer() { [[ $(stat -c %.9Y "$MNT") > $was ]]; }
holds until_true newer
fill "$POOLS/ssd/written" 65536 dense 3
holds at_once lists written

proves "a file with a second name is none, as seen by the next rescan at the latest"
ln "$POOLS/ssd/written" "$POOLS/ssd/second"
says ok op write "$MNT/.control/rescan" 1
holds until_true test ! -e "$MNT/written"
rm "$POOLS/ssd/second"
says ok op write "$MNT/.control/rescan" 1
holds until_true lists written

proves "a file that grows shows its size"
uuid=$(<"$MNT/new/uuid")
truncate -s 3M "$POOLS/ssd/new"
holds at_once is new/size 3145728
eq "$(<"$MNT/new/uuid")" "$uuid"
head -c 65536 /dev/urandom >>"$POOLS/ssd/new"
holds at_once is new/size 3211264

proves "a file that goes is a volume no more"
rm "$POOLS/ssd/new"
holds at_once test ! -e "$MNT/new"
fails test -e "$MNT/new"
eq "$(cd "$MNT" && echo *)" "db1 db2 written"

proves "a file that is renamed is another name"
mv "$POOLS/ssd/written" "$POOLS/ssd/renamed"
holds at_once lists renamed
holds at_once test ! -e "$MNT/written"

proves "many files that come and go at once are all seen"
for ((i = 0; i < 300; i++)); do echo "$i" >"$POOLS/hdd/many$i"; done
for ((i = 0; i < 300; i += 2)); do rm "$POOLS/hdd/many$i"; done
all_there() { [[ $(cd "$MNT" && echo many*) == "$(cd "$POOLS/hdd" && echo many*)" ]]; }
holds at_once all_there
rm "$POOLS/hdd"/many*
holds at_once test ! -e "$MNT/many299"

proves "a name that two pools have is told in health, and neither file is touched"
eq "$(<"$MNT/.control/health")" ok
fill "$POOLS/hdd/db1" 65536 dense 9
# shellcheck disable=SC2053 # a pattern
has_health() { [[ $(<"$MNT/.control/health") == $1 ]]; }
holds until_true has_health "degraded *db1*"
eq "$(<"$MNT/db1/host")" ssd
like "$(op write "$MNT/db1/migrate/target" hdd)" "write EEXIST"
rm "$POOLS/hdd/db1"
holds until_true has_health ok

proves "a rescan on demand is accepted"
says ok op write "$MNT/.control/rescan" 1

proves "a pool that goes away shows, and the others go on"
mkdir "$WORLD/away"
# a busy mount can be moved: the pool is gone from its place
mount --move "$POOLS/hdd" "$WORLD/away"
rmdir "$POOLS/hdd"
echo 1 >"$MNT/.control/rescan"
holds until_true is .control/hosts/hdd/state down
like "$(<"$MNT/.control/health")" "degraded *hdd*"
eq "$(<"$MNT/db1/status")" available
like "$(op write "$MNT/db1/migrate/target" hdd)" "write EHOSTDOWN"
fill "$POOLS/ssd/later" 65536 dense 4
holds until_true lists later

proves "a pool that comes back is taken up again, with the same volumes"
mkdir "$POOLS/hdd"
mount --move "$WORLD/away" "$POOLS/hdd"
echo 1 >"$MNT/.control/rescan"
holds until_true is .control/hosts/hdd/state up
holds until_true lists db2
holds until_true has_health ok
migrate db2 ssd
migrate db2 hdd

proves "another pool in its place is not taken for it"
stop_ferryfs
holds until_true umount "$POOLS/hdd"
mount -t tmpfs -o size=16M stranger "$POOLS/hdd"
echo foreign >"$POOLS/hdd/db2"
echo "7e6f1c9a-4c0b-4d5e-9f3a-111111111111" >"$POOLS/hdd/.ferryfs-pool"
begin_ferryfs
holds until_true answers
holds until_true lists db1
echo 1 >"$MNT/.control/rescan"
tick
eq "$(<"$MNT/.control/hosts/hdd/state")" down
eq "$(cat "$POOLS/hdd/db2")" foreign
stop_ferryfs
holds until_true umount "$POOLS/hdd"
mount -o loop "$WORLD/hdd.image" "$POOLS/hdd"
record_world
start_ferryfs
holds until_true has_health ok
finish
