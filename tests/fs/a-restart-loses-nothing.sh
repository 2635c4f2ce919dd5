#!/bin/bash
# A daemon that is killed, or stopped, with a job under way goes on where it was when it starts again.
. "$(dirname "$0")/lib.sh"
pool ssd ext4 1G
pool hdd xfs 1G
volume ssd db1 64M dense
volume ssd db2 16M sparse
volume hdd db3 16M sparse
V=$MNT/db1

# [RULES]: hold the job to the other host there, or after some writes have been done; $from and $to are the hosts
begin_copy() {
    if [[ -e $POOLS/ssd/db1 ]]; then from=ssd to=hdd; else from=hdd to=ssd; fi
    fault "${1-call=pwrite,program=copy-worker,at=40,from,do=hold}"
    start_ferryfs
    says ok op write "$V/migrate/target" $to
    held
}

proves "killed while it copies: the dead mount is cleared away and the job goes on to success"
begin_copy
eq "$(<"$V/status")" migrating
eq "$(<"$V/migrate/phase")" copying
kill_ferryfs
fails answers
check_world --dead
no_fault
start_ferryfs
eq "$(result db1)" success "$(<"$V/migrate/error")"
eq "$(<"$V/host")" $to
holds until_true idle
check_world --mount "$MNT"
stop_ferryfs

proves "stopped by SIGTERM while it copies: it ends at once, and the job goes on at the next start"
record_world
begin_copy
says ok op write "$V/migrate/target" $to
stop_ferryfs
no_fault
start_ferryfs
eq "$(result db1)" success "$(<"$V/migrate/error")"
eq "$(<"$V/host")" $to
holds until_true idle
check_world --mount "$MNT"

proves "killed after a checkpoint, it goes on from there, not from 0"
stop_ferryfs
begin_copy "call=pwrite,program=copy-worker,at=100,from,do=ENOSPC"
holds until_true phase_is db1 stopped # with a checkpoint of what was written
checkpoint=$(number db1 checkpoint)
holds test "$checkpoint" -gt 0
kill_ferryfs
fault "call=pwrite,program=copy-worker,do=count"
start_ferryfs
eq "$(result db1)" success "$(<"$V/migrate/error")"
eq "$(number db1 resumes)" 1
holds test "$(number db1 checkpoint)" -ge "$checkpoint"
holds grep -q "resumed at copying, $checkpoint of $((64 << 20)) bytes" "$LOG"
eq "$(ctl counts | sed -n 's/^pwrite //p')" $((((64 << 20) - checkpoint) / (512 << 10))) "blocks of 512 KiB that were written"
holds until_true idle
check_world --mount "$MNT"

proves "an abort after a restart puts the volume back"
stop_ferryfs
begin_copy
kill_ferryfs
hold_copies
start_ferryfs
like "$(<"$V/status")" migrating
says ok op write "$V/migrate/abort" 1
eq "$(result db1)" aborted
eq "$(<"$V/host")" $from
eq "$(<"$V/status")" available
ctl release
holds until_true idle
check_world --mount "$MNT"
stop_ferryfs

proves "an abort that was accepted survives the daemon"
begin_copy
says ok op write "$V/migrate/abort" 1
kill_ferryfs
no_fault
start_ferryfs
eq "$(result db1)" aborted
eq "$(<"$V/host")" $from
holds until_true idle
check_world --mount "$MNT"

proves "history, uuids and results are kept over a restart"
history=$(value .control/history)
stop_ferryfs
start_ferryfs
eq "$(value .control/history)" "$history"
eq "$(<"$V/migrate/status")" aborted
check_world --mount "$MNT"

proves "health tells how many jobs are still being recovered"
stop_ferryfs
begin_copy "call=fsync,program=pool-agent,from,do=hold"
eq "$(<"$V/migrate/phase")" reserving
kill_ferryfs
hidden=("$POOLS/$to/.ferryfs-"*.copy)
fault "call=openat,program=pool-agent,from,do=hold,under=${hidden[0]}" # its evidence
begin_ferryfs
held
holds until_true is .control/health "recovering 1"
ctl release
eq "$(result db1)" success
holds until_true idle
eq "$(<"$MNT/.control/health")" ok
check_world --mount "$MNT"

proves "a volume that vanished while its job was stopped: nothing is touched, a human is told and decides"
stop_ferryfs
begin_copy
kill_ferryfs
mv "$POOLS/$from/db1" "$POOLS/$from/.away"
no_fault
begin_ferryfs
holds until_true answers
tells_of_db1() { [[ $(<"$MNT/.control/health") == *db1* ]]; }
holds until_true tells_of_db1
eq "$(<"$MNT/db2/status")" available
holds until_true lists db1 && eq "$(<"$V/host")" "$from"
mv "$POOLS/$from/.away" "$POOLS/$from/db1"
says ok op write "$MNT/.control/rescan" 1
eq "$(result db1)" success
eq "$(<"$V/host")" "$to"
holds until_true is .control/health ok

proves "a volume that was replaced while its job was stopped: the job touches neither"
stop_ferryfs
begin_copy
kill_ferryfs
mv "$POOLS/$from/db1" "$POOLS/$from/.away"
echo "somebody else's" >"$POOLS/$from/db1"
no_fault
begin_ferryfs
holds until_true answers
holds until_true tells_of_db1
eq "$(<"$POOLS/$from/db1")" "somebody else's"
stop_ferryfs
mv "$POOLS/$from/.away" "$POOLS/$from/db1"
start_ferryfs
eq "$(result db1)" success
finish
