#!/bin/bash
# Whoever writes at the same time: one job runs, and everybody is told the truth.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
pool third tmpfs
volume ssd db1 16M dense
volume ssd db2 1M dense
volume ssd db3 4M dense
V=$MNT/db1

proves "of 100 writers of two hosts all those of one host succeed, all others get EALREADY, and one job runs"
hold_copies
start_ferryfs
op crowd "$V/migrate/target" 100 hdd third >"$WORLD/crowd"
held
eq "$(<"$WORLD/crowd")" $'ok 50\nEALREADY 50'
eq "$(wc -l <"$MNT/.control/jobs")" 1
eq "$(grep -c 'job [0-9]* accepted' "$LOG")" 1 "jobs in the log"
ctl release
eq "$(result db1)" success
eq "$(cut -d' ' -f2 "$MNT/.control/history" | grep -c db1)" 1
stop_ferryfs

proves "100 writers of one host all succeed, and one job runs"
no_fault
start_ferryfs
op crowd "$MNT/db2/migrate/target" 100 hdd >"$WORLD/crowd"
eq "$(<"$WORLD/crowd")" "ok 100"
eq "$(result db2)" success
eq "$(cut -d' ' -f2 "$MNT/.control/history" | grep -c db2)" 1

proves "in 200 races of abort against completion abort's exit status agrees with the outcome"
aborted=0 late=0
began=${EPOCHREALTIME/./}
migrate db3 hdd
migrate db3 ssd
took_us=$(((${EPOCHREALTIME/./} - began) / 2))
hosts=(ssd hdd)
for ((i = 0; i < 200; i++)); do
    from=$(<"$MNT/db3/host")
    to=${hosts[0]}
    [[ $from == "$to" ]] && to=${hosts[1]}
    op write "$MNT/db3/migrate/target" "$to" >"$WORLD/said" || wrong "race $i: $(<"$WORLD/said")"
    # Anywhere in the time that a migration takes, and a little later
    until=$((${EPOCHREALTIME/./} + took_us * (RANDOM % 130) / 100))
    while ((${EPOCHREALTIME/./} < until)); do :; done
    said=$(op write "$MNT/db3/migrate/abort" 1)
    result=$(result db3)
    case "$said $result $(<"$MNT/db3/host")" in
    "ok aborted $from") aborted=$((aborted + 1)) ;;
    "open ESRCH success $to" | "open EBUSY success $to" | "write ESRCH success $to" | "write EBUSY success $to")
        late=$((late + 1)) ;;
    *) wrong "race $i from $from to $to: abort said $said, the result is $result, the host $(<"$MNT/db3/host")" ;;
    esac
    eq "$(<"$MNT/db3/status")" available
done
echo "# aborted $aborted, too late $late"
under 200 "$aborted"
under 200 "$late"
holds until_true idle
check_world --mount "$MNT"

proves "in 50 races of two hosts against each other and an abort the volume ends at one of them"
for ((i = 0; i < 50; i++)); do
    op write "$MNT/db3/migrate/target" hdd >/dev/null & racers=($!)
    op write "$MNT/db3/migrate/target" third >/dev/null & racers+=($!)
    op write "$MNT/db3/migrate/abort" 1 >/dev/null & racers+=($!)
    wait "${racers[@]}"
    result db3 >/dev/null
done
holds until_true idle
check_world --mount "$MNT"
finish
