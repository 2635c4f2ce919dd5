#!/bin/bash
# A copy that cannot be removed is kept in mind and removed later; the volume does not wait for that.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 8M dense
volume ssd db2 128M dense
V=$MNT/db1
fault "call=unlinkat,program=pool-agent,from,armed,do=EIO,under=$POOLS"
start_ferryfs
ctl arm

proves "the volume has moved though its old copy cannot be removed, which is listed as hidden alone"
says ok op write "$V/migrate/target" hdd
eq "$(result db1)" success "$(<"$V/migrate/error")"
eq "$(<"$V/status")" available
eq "$(<"$V/host")" hdd
fails test -e "$POOLS/ssd/db1"
like "$(<"$MNT/.control/hidden")" "* delete-pending db1 ssd 8388608 *"
eq "$(lists db1 db2 && echo yes)" yes

proves "an abort ends though its copy cannot be removed"
ctl disarm
stop_ferryfs
fault "call=unlinkat,program=pool-agent,from,do=EIO,under=$POOLS"
start_ferryfs
says ok op write "$MNT/db2/migrate/target" hdd
says ok op write "$MNT/db2/migrate/abort" 1
eq "$(result db2)" aborted
eq "$(<"$MNT/db2/status")" available
holds grep -q " destination db2 hdd 134217728 " "$MNT/.control/hidden"

proves "a disk that hangs does not hold up what is to be removed from another"
stop_ferryfs
fault "call=unlinkat,program=pool-agent,from,do=hold,under=$POOLS/ssd"
start_ferryfs
put 1 "$MNT/.control/rescan"
holds ctl hit 20
only_db1() { [[ $(wc -l <"$MNT/.control/hidden") == 1 && $(<"$MNT/.control/hidden") == *" delete-pending db1 ssd "* ]]; }
holds until_true only_db1

proves "both go once the disk is well again"
ctl release
holds until_true is .control/hidden null
finish
