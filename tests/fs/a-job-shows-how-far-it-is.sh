#!/bin/bash
# Who looks at a job sees where it is: status, progress, rate and eta while it runs, and what is left of them after.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 128M dense
V=$MNT/db1
SIZE=$((128 << 20))

# A time is one of the job's: not before it was asked for, not in the future
is_of_job() { (($1 >= asked_at && $1 <= EPOCHSECONDS)) || wrong "$1 is not in $asked_at..$EPOCHSECONDS"; }
# SOURCE DESTINATION RESULT UID: what the history says of the last job, which its stat says in numbers
is_history() {
    local began ended
    began=$(number db1 started_at)
    ended=$(number db1 ended_at)
    eq "$(head -n 1 "$MNT/.control/history")" "$(number db1 job) db1 $(date -u -d "@$began" +%FT%TZ) $(
        date -u -d "@$ended" +%FT%TZ) $1 $2 $3 null $SIZE $((ended - began)) $4"
}
# FILE...: their values, of this volume
values() { (cd "$V" && cat "$@") | tr '\n' ' '; }

proves "without a job there is nothing to show"
hold_copies
start_ferryfs
eq "$(values status previous_status migrate/{status,phase,progress,eta,rate})" "available null null idle null null 0 "

proves "a job that has begun shows its states, and a volume that is where it was"
asked_at=$((EPOCHSECONDS - 1)) # time(2) lags behind
says ok op write "$V/migrate/target" hdd
held
eq "$(values status previous_status host migrate/{target,status,phase,progress})" \
    "migrating available ssd hdd migrating copying 0 "
eq "$(number db1 bytes_total)" "$SIZE"

proves "hidden tells of the copy, and since when it is there"
copy=("$POOLS/hdd/.ferryfs-"*.copy)
id=${copy[0]##*/.ferryfs-}
since=$(cut -d' ' -f6 "$MNT/.control/hidden")
eq "$(<"$MNT/.control/hidden")" "${id%.copy} destination db1 hdd $SIZE $since"
is_of_job "$(date -d "$since" +%s)"

proves "a host's room is what statfs says, and what the job still needs is reserved"
H=$MNT/.control/hosts/hdd
room_agrees() {
    [[ $(stat -f -c '%S %b %a' "$POOLS/hdd") =~ (.*)\ (.*)\ (.*) ]]
    [[ "$(<"$H/capacity") $(<"$H/free")" == "$((BASH_REMATCH[1] * BASH_REMATCH[2])) $((BASH_REMATCH[1] * BASH_REMATCH[3]))" ]]
}
holds until_true room_agrees
eq "$(<"$H/reserved") $(<"$MNT/.control/hosts/ssd/reserved")" "$SIZE 0"

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
jobs_agree() { is .control/jobs "db1 ssd hdd $(values migrate/{phase,progress,eta,rate})copy"; }
holds until_true jobs_agree

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

proves "the times of a job follow one another, and the history tells them, and who asked for it"
is_of_job "$(number db1 queued_at)"
holds test "$(number db1 queued_at)" -le "$(number db1 started_at)"
holds test "$(number db1 started_at)" -le "$(number db1 ended_at)"
is_of_job "$(number db1 ended_at)"
is_history ssd hdd success 0
stop_ferryfs

proves "a job that was aborted keeps the progress it had made, and the volume has its status again"
hold_copies
start_ferryfs
says ok setpriv --reuid=65534 --clear-groups op write "$V/migrate/target" ssd
held
eq "$(values status previous_status)" "migrating available "
ctl pass 16
holds until_true has_done $((1 << 20))
says ok op write "$V/migrate/abort" 1
eq "$(result db1)" aborted
eq "$(values status previous_status host migrate/{target,status,phase,eta,rate})" "available null hdd hdd aborted idle null 0 "
under 100 "$(<"$V/migrate/progress")"
is_history hdd ssd aborted 65534
finish
