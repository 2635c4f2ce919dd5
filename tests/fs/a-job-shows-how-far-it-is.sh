#!/bin/bash
# Who looks at a job sees where it is: status, progress, rate and eta while it runs, and what is left of them after.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 128M dense
V=$MNT/db1
SIZE=$((128 << 20))

# FILE...: their values, of this volume
values() { (cd "$V" && cat "$@") | tr '\n' ' '; }

proves "without a job there is nothing to show"
hold_copies
start_ferryfs
eq "$(values status previous_status migrate/{status,phase,progress,eta,rate})" "available null null idle null null 0 "

proves "a job that has begun shows its states, and a volume that is where it was"
says ok op write "$V/migrate/target" hdd
held
eq "$(values status previous_status host migrate/{target,status,phase,progress})" \
    "migrating available ssd hdd migrating copying 0 "
eq "$(number db1 bytes_total)" "$SIZE"

# Writes go on one by one, and each look is at a copy that stands still
# MOVED: more bytes than that are done
has_done() { (($(number db1 bytes_done) > $1)); }
percent_agrees() {
    local done_bytes verified
    done_bytes=$(number db1 bytes_done)
    verified=$(number db1 bytes_verified)
    is db1/migrate/progress $(((done_bytes + verified) * 100 / (2 * SIZE)))
}

proves "progress is the part that is copied and compared, and only grows"
last=0
for _ in 1 2 3 4; do
    moved=$(number db1 bytes_done)
    ctl pass 8 # of 512 KiB, and 1 in 100 is 2.56 MiB of the two passes
    holds until_true has_done $((moved + (3 << 20)))
    holds until_true percent_agrees
    progress=$(<"$V/migrate/progress")
    like "$progress" "[1-9]?([0-9])"
    holds test "$progress" -gt "$last"
    last=$progress
done
eq "$(cut -d' ' -f1-5 "$MNT/.control/jobs")" "db1 ssd hdd copying $last"

proves "rate is what has lately moved in a second, and eta how long the rest takes at that pace"
known() {
    ctl pass 1 # a little every moment
    [[ $(<"$V/migrate/eta") != null && $(<"$V/migrate/rate") != 0 ]]
}
holds until_true known
rest_takes_that_long() {
    local rate eta left
    rate=$(<"$V/migrate/rate")
    eta=$(<"$V/migrate/eta")
    left=$((2 * SIZE - $(number db1 bytes_copied) - $(number db1 bytes_zero)))
    [[ $rate == "$(<"$V/migrate/rate")" ]] || return 1 # of one moment
    ((rate > 0 && (eta - 1) * rate <= left * 102 / 100 && (eta + 2) * rate >= left * 98 / 100))
}
holds until_true rest_takes_that_long
under "$SIZE" "$(<"$V/migrate/rate")"
eq "$(cut -d' ' -f6 "$MNT/.control/jobs" | grep -cE '^[0-9]+$')" 1

proves "a copy that stands still shows the rate of the last 10 s, which sinks"
rate=$(<"$V/migrate/rate")
sinks() { (($(<"$V/migrate/rate") < rate)); }
holds until_true sinks
eq "$(values status previous_status migrate/{status,phase})" "migrating available migrating copying "

proves "while its pool is away nothing is copied: how long the rest takes is not known"
away=$WORLD/away
mkdir "$away"
mount --move "$POOLS/hdd" "$away"
put 1 "$MNT/.control/rescan"
holds until_true is .control/hosts/hdd/state down
holds until_true is db1/migrate/eta null
mount --move "$away" "$POOLS/hdd"
put 1 "$MNT/.control/rescan"

proves "a job that has ended: 100, and nothing is left to wait for"
ctl release
eq "$(result db1)" success
eq "$(values status previous_status host migrate/{status,phase,progress,eta,rate})" \
    "available null hdd success idle 100 null 0 "
eq "$(number db1 bytes_done)" "$SIZE"
eq "$(number db1 bytes_verified)" "$SIZE"
stop_ferryfs

proves "a job that was aborted keeps the progress it had made, and the volume has its status again"
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" ssd
held
eq "$(values status previous_status)" "migrating available "
ctl pass 16
holds until_true has_done $((1 << 20))
says ok op write "$V/migrate/abort" 1
eq "$(result db1)" aborted
eq "$(values status previous_status host migrate/{target,status,phase,eta,rate})" "available null hdd hdd aborted idle null 0 "
under 100 "$(<"$V/migrate/progress")"
finish
