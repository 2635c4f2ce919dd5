#!/bin/bash
# What a user does to the source while its copy is published is seen before the switch: a write where no lease would
# tell of it, and another file at its name.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd ext4 64M
volume ssd db1 4M dense
S=$POOLS/ssd/db1 V=$MNT/db1 LEASING=$FERRYFS

# Leases on the files of others are for who has CAP_LEASE
printf '#!/bin/sh\nexec setpriv --bounding-set=-lease -- "%s" "$@"\n' "$FERRYFS" >"$BIN/without-leases"
chmod 755 "$BIN/without-leases"

# The job waits in the agent's rename, which gives the copy its name
publishing() {
    fault "call=renameat2,program=pool-agent,from,do=hold,under=$POOLS/hdd"
    start_ferryfs
    says ok op write "$V/migrate/target" hdd
    held
    eq "$(<"$V/migrate/phase")" switching
}

write_it() {
    printf "%s" "$1" | dd of="$S" bs=1 seek=12345 conv=notrunc status=none
    WRITTEN=$(sum "$S")
}

# The job ends, and the bytes that were written are the volume's
ends_unmoved() {
    ctl release
    eq "$(result db1)" error
    like "$(<"$V/migrate/error")" "ETXTBSY switching *"
    eq "$(value db1/host) $(value db1/status)" "ssd available"
    eq "$(sum "$S")" "$WRITTEN"
    fails test -e "$POOLS/hdd/db1"
    holds until_true idle
    record_world
}

proves "without a lease, what is written while the copy gets its name ends the job, and is there"
FERRYFS=$BIN/without-leases
publishing
write_it "while it is published"
ends_unmoved
stop_ferryfs

proves "what is written after a kill there is the volume's, and what is written as that job is published again, too"
publishing
kill_ferryfs
write_it "while nobody looks"
fault "call=fsync,program=pool-agent,at=3,do=hold,under=$POOLS/hdd" # after both of the reservation
start_ferryfs
held
eq "$(<"$V/migrate/phase")" switching
write_it "while it is published again"
ends_unmoved
stop_ferryfs

proves "what is written while the switch cannot be recorded ends the job, and is there"
fault "call=fdatasync,program=ferryfs,armed,at=17,from,do=EIO,under=$STATE" # 4 for each of the commits before
start_ferryfs
ctl arm
says ok op write "$V/migrate/target" hdd
unrecorded() { grep -q "cannot be entered" "$LOG"; }
holds until_true unrecorded
write_it "while it is not recorded"
ctl disarm
ends_unmoved
stop_ferryfs

proves "a volume that is replaced while its copy gets its name: nothing is switched until a human has put it back"
FERRYFS=$LEASING
publishing
mv "$S" "$POOLS/ssd/.first"
echo second >"$S"
ctl release
holds until_true is db1/status error
like "$(<"$MNT/.control/health")" "*db1*ESTALE*"
eq "$(<"$V/host")" ssd
eq "$(<"$S")" second
mv "$POOLS/ssd/.first" "$S"
put 1 "$MNT/.control/rescan"
eq "$(result db1)" success
eq "$(sum "$POOLS/hdd/db1")" "$WRITTEN"
finish
