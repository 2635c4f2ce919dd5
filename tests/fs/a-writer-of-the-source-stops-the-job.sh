#!/bin/bash
# Whoever opens the source for writing in any phase gets it, and no byte of his is lost: the job ends in ETXTBSY,
# or was over before he came.
. "$(dirname "$0")/lib.sh"
pool ssd ext4 512M
pool hdd ext4 512M
volume ssd db1 16M dense
volume ssd db2 1M dense
V=$MNT/db1
S=$POOLS/ssd/db1

printf intruder >"$WORLD/intruder"
WRITE=(dd "if=$WORLD/intruder" "of=$S" bs=1 seek=4096 conv=notrunc status=none)
# Undo it: then nothing is left to see of him
take_back() {
    dd if=/dev/zero of="$1" bs=1 seek=4096 count=8 conv=notrunc status=none
    touch -d @1600000000 "$1"
}
# His open waits until the lease is given up, where there is one
has_come() { ended "$writer" || grep -qs lease "/proc/$writer/wchan"; }

# Where the volume is when the job has failed: whole, with the new bytes, and nothing is at the destination
is_back() {
    until_true idle || wrong "jobs: $(value .control/jobs), hidden: $(value .control/hidden)"
    holds until_true is db1/status available # it was in use as long as he was there
    eq "$(<"$V/host") $(<"$V/migrate/status")" "ssd $1"
    eq "$(dd if="$S" bs=1 skip=4096 count=8 status=none)" intruder
    fails test -e "$POOLS/hdd/db1"
    take_back "$S" # nothing else has changed
    check_world --mount "$MNT"
    stop_ferryfs
}

# RULES PHASE RESULT: held by the rules the job is in that phase; he comes; it goes on and ends so
intrude() {
    local writer
    fault "$1"
    start_ferryfs
    says ok op write "$V/migrate/target" hdd
    held
    eq "$(<"$V/migrate/phase")" "$2" "the phase"
    "${WRITE[@]}" &
    writer=$!
    holds until_true has_come
    ctl release
    wait "$writer" || wrong "the writer failed"
    eq "$(result db1)" "$3" "$(<"$V/migrate/error")"
    holds until_true is .control/jobs null
}

# The same, and the job stops for it
stops() {
    intrude "$1" "$2" error
    like "$(<"$V/migrate/error")" "ETXTBSY ?*"
    eq "$(head -n 1 "$MNT/.control/history" | cut -d' ' -f2,5-9)" "db1 ssd hdd error ETXTBSY $((16 << 20))"
    is_back error
}

take_back "$S"
proves "while it copies: ETXTBSY, the volume is where it was with the new bytes"
stops "call=pwrite,program=copy-worker,at=4,from,do=hold" copying
proves "while it reserves: the same"
stops "call=fsync,program=pool-agent,from,do=hold,under=$POOLS/hdd" reserving
proves "while it flushes: the same"
stops "call=fsync,program=copy-worker,from,do=hold" copying
proves "while it verifies: the same"
stops "call=pread,program=copy-worker,at=40,from,do=hold" verifying
proves "while it publishes: the same"
stops "call=renameat2,program=pool-agent,from,do=hold,under=$POOLS/hdd" switching

proves "who will not wait is told EAGAIN, the job stops, and then he gets it"
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" hdd
held
says "open EAGAIN" op open "$S" wn
ctl release
eq "$(result db1)" error
like "$(<"$V/migrate/error")" "ETXTBSY ?*"
says ok op open "$S" wn
"${WRITE[@]}"
is_back error

# Another job holds up the queue
queued() {
    hold_copies
    start_ferryfs
    says ok op write "$MNT/.control/max_jobs" 1
    says ok op write "$MNT/db2/migrate/target" hdd
    held
    says ok op write "$V/migrate/target" hdd
    eq "$(<"$V/migrate/phase")" queued
}
# ... and goes on, and away
unqueued() {
    ctl release
    eq "$(result db2)" success
    eq "$(result db1)" "$1" "$(<"$V/migrate/error")"
    migrate db2 ssd
}

proves "while it is queued, and he stays: ETXTBSY when its turn comes, the volume is where it was with the new bytes"
queued
mkfifo "$WORLD/hold"
op hold "$S" rw <"$WORLD/hold" >"$WORLD/held" &
holder=$!
exec 9>"$WORLD/hold"
holds until_true grep -qs held "$WORLD/held"
"${WRITE[@]}"
unqueued error
like "$(<"$V/migrate/error")" "ETXTBSY reserving ?*"
exec 9>&-
wait "$holder"
is_back error

proves "while it rolls back: he need not wait, it ends as it would have, and the volume has the new bytes"
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" hdd
held
fsfreeze -f "$POOLS/hdd" # what was made there cannot be removed
says ok op write "$V/migrate/abort" 1
eq "$(<"$V/migrate/phase")" rolling-back
holds within 20 "${WRITE[@]}"
eq "$(<"$V/migrate/phase")" rolling-back
fsfreeze -u "$POOLS/hdd"
eq "$(result db1)" aborted
is_back aborted

proves "while it is queued, and he goes: it is a success, and what he wrote has moved too"
queued
"${WRITE[@]}"
sum=$(sum "$S")
unqueued success
eq "$(<"$V/host")" hdd
eq "$(sum "$POOLS/hdd/db1")" "$sum"
eq "$(dd if="$POOLS/hdd/db1" bs=1 skip=4096 count=8 status=none)" intruder
migrate db1 ssd
is_back success

proves "after the switch: it is a success, and the old file is kept with what was written to it"
sum=$(sum "$S")
intrude "call=renameat2,program=pool-agent,from,do=hold,under=$POOLS/ssd" cleaning success
eq "$(<"$V/host")" hdd
eq "$(sum "$POOLS/hdd/db1")" "$sum"
like "$(<"$MNT/.control/hidden")" "* delete-pending db1 ssd *"
old=("$POOLS/ssd/.ferryfs-"*.copy)
eq "$(dd if="${old[0]}" bs=1 skip=4096 count=8 status=none)" intruder
take_back "${old[0]}"
eq "$(sum "${old[0]}")" "$sum"
stop_ferryfs
rm "${old[0]}" # a human has decided
check_world

proves "a reader of the source does not disturb"
no_fault
start_ferryfs
exec 7<"$POOLS/$(<"$V/host")/db1"
to=ssd
[[ $(<"$V/host") == ssd ]] && to=hdd
migrate db1 "$to"
exec 7<&-
finish
