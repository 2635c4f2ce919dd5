#!/bin/bash
# `restore` makes the retained copy the volume again, if the volume is still what it was when it left: its bytes are
# compared and none is copied.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # lib.sh looks at it
KEEP=1
pool ssd tmpfs
pool hdd tmpfs
volume ssd db 4M dense

retained() { value db/migrate/retained; }
hidden_on() { find "$POOLS/$1" -name '.ferryfs-*.copy'; }
restore() { says "$1" op write "$MNT/db/migrate/retained" restore; }
# From HOST to the other, which keeps it
leave() {
    put 3600 "$MNT/db/migrate/keep"
    migrate db "$1"
}
drop() {
    put drop "$MNT/db/migrate/retained"
    holds until_true is .control/hidden null
}
# Still on hdd, and what lies on ssd is as it was
nothing_happened() {
    eq "$(value db/host)" hdd
    eq "$(value db/status)" available
    like "$(retained)" "ssd 4194304 *"
    eq "$(hidden_on ssd)" "$copy"
    eq "$(sum "$copy")" "$sum"
    eq "$(stat -c '%a %u' "$copy")" "600 0"
    fails test -e "$POOLS/ssd/db"
}

start_ferryfs
proves "there is nothing to restore where nothing is retained"
refused ENOENT write db/migrate/retained restore

proves "a restore is a migration that copies nothing"
leave hdd
copy=$(hidden_on ssd) sum=$(sum "$POOLS/hdd/db")
put 0 "$MNT/db/migrate/keep"
restore ok
like "$(value db/migrate/message)" "accepted 2: hdd -> ssd, 4194304 bytes"
eq "$(result db)" success
eq "$(value db/host)" ssd
eq "$(sum "$POOLS/ssd/db")" "$sum"
eq "$(number db bytes_copied)" 0
eq "$(number db bytes_verified)" 4194304
eq "$(value db/migrate/progress)" 100
like "$(value .control/history | head -n 1)" "2 db * hdd ssd success null 4194304 * 0"
holds until_true is .control/hidden null
check_world --mount "$MNT"

proves "with keep the two change places"
leave hdd
restore ok
eq "$(result db)" success
like "$(retained)" "hdd 4194304 *"
restore ok
eq "$(result db)" success
like "$(retained)" "ssd 4194304 *"
check_world --mount "$MNT"

proves "it is refused while the volume is in use"
copy=$(hidden_on ssd)
exec 9<>"$POOLS/hdd/db"
holds until_true is db/status in-use
refused EBUSY write db/migrate/retained restore
exec 9>&-
holds until_true is db/status available
nothing_happened

proves "it is refused once the volume was written"
printf new | dd of="$POOLS/hdd/db" bs=1 seek=5000 conv=notrunc status=none
looked() { # at what was opened before
    exec 9<>"$POOLS/hdd/db" && until_true is db/status in-use && exec 9>&- && until_true is db/status available
}
holds looked
refused ESTALE write db/migrate/retained restore
nothing_happened

proves "a write that no time tells of is found by the comparison"
touch -d @1600000000.123456789 "$POOLS/hdd/db"
now=$(sum "$POOLS/hdd/db")
restore ok
eq "$(result db)" error
like "$(value db/migrate/error)" "ESTALE verifying * the volume was written since it moved"
nothing_happened
eq "$(sum "$POOLS/hdd/db")" "$now"

proves "and is restored to once it is what it was"
dd if="$copy" of="$POOLS/hdd/db" bs=4096 conv=notrunc status=none
touch -d @1600000000.123456789 "$POOLS/hdd/db"
restore ok
eq "$(result db)" success

proves "what is in its place or has no tag is not trusted"
drop
leave hdd
copy=$(hidden_on ssd)
cp -a "$copy" "$POOLS/ssd/.aside"
mv "$POOLS/ssd/.aside" "$copy"
refused ESTALE write db/migrate/retained restore
rm "$copy"
drop
leave ssd
drop
leave hdd
copy=$(hidden_on ssd)
setfattr -x user.ferryfs.copy "$copy"
refused ESTALE write db/migrate/retained restore
nothing_happened
drop

proves "somebody's file of that name is left alone"
leave ssd
drop
leave hdd
copy=$(hidden_on ssd)
echo mine >"$POOLS/ssd/db"
holds until_true eval '[[ $(value .control/health) == *"ssd/db"* ]]'
refused EEXIST write db/migrate/retained restore
eq "$(<"$POOLS/ssd/db")" mine
rm "$POOLS/ssd/db"
holds until_true eval '[[ $(value .control/health) != *"ssd/db"* ]]'
nothing_happened

proves "an aborted restore leaves the copy retained"
stop_ferryfs
fault "call=pread,program=copy-worker,from,do=hold"
start_ferryfs
restore ok
held
refused EBUSY open db/migrate/retained drop
put 1 "$MNT/db/migrate/abort"
ctl release
eq "$(result db)" aborted
nothing_happened
check_world --mount "$MNT"

proves "a restore that is killed goes on"
restore ok
kill_ferryfs
FAULT=''
start_ferryfs
eq "$(result db)" success
eq "$(value db/host)" ssd
check_world --mount "$MNT"
drop
finish
