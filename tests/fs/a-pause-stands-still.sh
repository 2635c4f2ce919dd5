#!/bin/bash
# A job that is paused moves no byte and loses nothing: it goes on where it was, or is aborted, and nothing else ends it.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
for i in 1 2 3; do volume ssd "db$i" 64M dense; done
SIZE=$((64 << 20))
V=$MNT/db1

has_moved() { (($(number "$1" bytes_copied) + $(number "$1" bytes_verified) > $2)); }
# VOLUME: what was begun has ended, and nothing comes after it
stands_still() {
    local before after
    TICK_S=0.3 tick
    before=$(number "$1" bytes_copied):$(number "$1" bytes_verified)
    TICK_S=0.7 tick
    after=$(number "$1" bytes_copied):$(number "$1" bytes_verified)
    [[ $before == "$after" ]]
}
workers() {
    local pid
    for pid in $(family); do [[ $(<"/proc/$pid/comm") != copy-worker ]] || echo "$pid"; done
} 2>/dev/null
has_worker() { [[ -n $(workers) ]]; }
no_worker() { ! has_worker; }
has_checkpoint() { (($(number "$1" checkpoint) > 0)); }
begin() {
    says ok op write "$MNT/$1/migrate/target" hdd
    until_true has_moved "$1" 0 || wrong "$1 does not move: $(value "$1/migrate/phase")"
}

start_ferryfs --speed 16M --grace 1 --stall 1

proves "a job that is paused stands still at once, and says so"
begin db1
put 1 "$V/migrate/pause"
eq "$(<"$V/migrate/phase") $(<"$V/migrate/status") $(<"$V/migrate/pause") $(<"$V/status")" "paused migrating 1 migrating"
holds stands_still db1
eq "$(<"$V/migrate/eta")" null
like "$(<"$MNT/.control/jobs")" "db1 ssd hdd paused *"
holds has_worker

proves "meanwhile its speed is changed, and no time passes for it"
put 1M "$V/migrate/speed"
put 2M "$MNT/.control/speed"
TICK_S=3 tick # more than what a disk that is not heard of, and the grace, are given
eq "$(<"$V/migrate/phase") $(<"$V/migrate/error")" "paused null"
put max "$MNT/.control/speed"
put max "$V/migrate/speed"

proves "it goes on where it was: nothing is copied again"
copied=$(number db1 bytes_copied)
under "$SIZE" "$copied"
put 0 "$V/migrate/pause"
eq "$(result db1)" success
eq "$(number db1 bytes_copied) $(number db1 resumes)" "$SIZE 0"

proves "a job that is paused is aborted like any other"
put 8M "$MNT/.control/speed"
begin db2
put 1 "$MNT/db2/migrate/pause"
says ok op write "$MNT/db2/migrate/abort" 1
eq "$(result db2) $(<"$MNT/db2/host") $(<"$MNT/db2/migrate/pause")" "aborted ssd 1"

proves "a volume that is paused already is accepted, and waits"
says ok op write "$MNT/db2/migrate/target" hdd
eq "$(<"$MNT/db2/migrate/phase") $(<"$MNT/db2/migrate/status")" "paused starting"
proves "others go before it"
put 1 "$MNT/.control/max_jobs"
begin db3
eq "$(<"$MNT/db2/migrate/phase") $(<"$MNT/db3/migrate/phase")" "paused copying"
put 0 "$MNT/db2/migrate/pause"
eq "$(<"$MNT/db2/migrate/phase")" queued

proves "the service's pause stops all of them, and nothing begins"
put 1 "$MNT/.control/pause"
put 4 "$MNT/.control/max_jobs"
says ok op write "$V/migrate/target" ssd
eq "$(cut -d' ' -f1,4 "$MNT/.control/jobs")" $'db2 paused\ndb3 paused\ndb1 paused'
holds stands_still db3
eq "$(number db2 bytes_copied) $(number db1 bytes_copied)" "0 0"
proves "whoever writes the volume is let in all the same"
holds within 2 sh -c ": <>'$POOLS/ssd/db3'"
eq "$(result db3)" error
like "$(<"$MNT/db3/migrate/error")" "ETXTBSY copying *"
says ok op write "$MNT/db2/migrate/abort" 1
eq "$(result db2)" aborted
put 0 "$MNT/.control/pause"
holds until_true has_moved db1 0
put max "$MNT/.control/speed"
eq "$(result db1) $(<"$V/host")" "success ssd"

proves "workers that die while it is paused are not counted"
put 16M "$MNT/.control/speed"
begin db1
for i in 1 2 3 4 5; do
    put 1 "$V/migrate/pause"
    # shellcheck disable=SC2046 # pids
    kill -KILL $(workers)
    holds until_true no_worker
    eq "$(<"$V/migrate/phase")" paused
    put 0 "$V/migrate/pause"
    until_true has_worker || wrong "no worker begins anew"
done
put max "$MNT/.control/speed"
eq "$(result db1)" success "$(<"$V/migrate/error")"
migrate db1 ssd

proves "a kill while it is paused: it goes on from the checkpoint, and is not paused any more"
put 4M "$MNT/.control/speed"
begin db1
holds until_true has_checkpoint db1
put 1 "$V/migrate/pause"
TICK_S=0.3 tick
checkpoint=$(number db1 checkpoint)
kill_ferryfs
check_world --dead
start_ferryfs --speed 32M
eq "$(<"$V/migrate/pause") $(<"$MNT/.control/pause")" "0 0"
eq "$(number db1 resumes)" 1

proves "so is one that compares"
holds until_true phase_is db1 verifying
put 1 "$MNT/.control/pause"
eq "$(<"$V/migrate/phase")" paused
holds stands_still db1
under "$SIZE" "$(number db1 bytes_verified)"
eq "$(number db1 bytes_skipped)" $((checkpoint / 524288 * 524288)) # whole blocks
put 0 "$MNT/.control/pause"
put max "$MNT/.control/speed"
eq "$(result db1)" success "$(<"$V/migrate/error")"
stop_ferryfs

proves "what lacks space is not given up while it is paused"
fault "call=pwrite,program=copy-worker,armed,from,do=ENOSPC"
start_ferryfs --grace 1
ctl arm
says ok op write "$V/migrate/target" ssd
holds until_true phase_is db1 stopped
put 1 "$V/migrate/pause"
TICK_S=3 tick
eq "$(<"$V/migrate/phase")" paused
like "$(<"$V/migrate/error")" "ENOSPC copying *"
ctl disarm
put 0 "$V/migrate/pause"
eq "$(result db1) $(<"$V/migrate/error")" "success null"
stop_ferryfs
no_fault

proves "the configuration may say that nothing begins"
start_ferryfs --pause 1
says ok op write "$V/migrate/target" hdd
eq "$(<"$V/migrate/phase") $(<"$MNT/.control/pause")" "paused 1"
kill_ferryfs
start_ferryfs --pause 1
eq "$(<"$V/migrate/phase") $(<"$V/status")" "paused migrating"
put 0 "$MNT/.control/pause"
eq "$(result db1)" success
finish
