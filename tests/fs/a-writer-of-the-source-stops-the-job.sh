#!/bin/bash
# Whoever opens the source for writing in any phase gets it, and no byte of his is lost: the job ends in ETXTBSY,
# or was over before he came.
. "$(dirname "$0")/lib.sh"
pool ssd ext4 512M
pool hdd ext4 512M
volume ssd db1 16M dense
V=$MNT/db1
S=$POOLS/ssd/db1

# RULES: the phase in which the job waits
intrude() {
    local rules=$1 result
    fault "$rules"
    start_ferryfs
    says ok op write "$V/migrate/target" hdd
    held
    phase=$(<"$V/migrate/phase")
    # The open waits until the lease is given up, so it must not wait for us
    (printf intruder | dd of="$S" bs=1 seek=4096 conv=notrunc status=none) &
    writer=$!
    tick
    ctl release
    wait "$writer" || wrong "the writer failed"
    result=$(result db1)
    until_true is .control/jobs null
    if [[ $result == error ]]; then
        like "$(<"$V/migrate/error")" "ETXTBSY ?*"
        eq "$(<"$V/host")" ssd
        eq "$(<"$V/status")" available
        eq "$(dd if="$S" bs=1 skip=4096 count=8 status=none)" intruder
        fails test -e "$POOLS/hdd/db1"
    else
        eq "$result" success
        eq "$(<"$V/host")" hdd
    fi
    RESULT=$result
}

proves "while it copies: ETXTBSY, the volume is where it was with the new bytes"
intrude "call=pwrite,program=copy-worker,at=4,from,do=hold"
eq "$phase $RESULT" "copying error"
record_world
check_world --mount "$MNT"
stop_ferryfs

proves "who will not wait for it gets EAGAIN once, and the job stops all the same"
fault "call=pwrite,program=copy-worker,at=4,from,do=hold"
start_ferryfs
says ok op write "$V/migrate/target" hdd
held
like "$(truncate -s +0 "$S" 2>&1)" "*: Resource temporarily unavailable"
ctl release
eq "$(result db1)" error
like "$(<"$V/migrate/error")" "ETXTBSY ?*"
holds truncate -s +0 "$S"
stop_ferryfs

proves "while it reserves: the same"
intrude "call=fsync,program=pool-agent,from,do=hold,under=$POOLS/hdd"
stop_ferryfs
record_world

proves "while it flushes and verifies: the same"
intrude "call=fsync,program=copy-worker,from,do=hold"
eq "$RESULT" error
record_world
stop_ferryfs

proves "while it publishes: the same"
intrude "call=renameat2,program=pool-agent,from,do=hold,under=$POOLS/hdd"
eq "$RESULT" error
record_world
stop_ferryfs

proves "after the switch: it is a success, and the old file is kept with what was written to it"
sum=$(sum "$S")
intrude "call=renameat2,program=pool-agent,from,do=hold,under=$POOLS/ssd"
eq "$RESULT" success
eq "$(sum "$POOLS/hdd/db1")" "$sum"
like "$(<"$MNT/.control/hidden")" "* delete-pending db1 ssd *"
old=("$POOLS/ssd/.ferryfs-"*.copy)
eq "$(dd if="${old[0]}" bs=1 skip=4096 count=8 status=none)" intruder
stop_ferryfs
rm "${old[0]}" # a human has decided
record_world

proves "a reader of the source does not disturb"
no_fault
start_ferryfs
exec 7<"$POOLS/$(<"$V/host")/db1"
to=ssd
[[ $(<"$V/host") == ssd ]] && to=hdd
migrate db1 "$to"
exec 7<&-
record_world
finish
