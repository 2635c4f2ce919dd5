#!/bin/bash
# Where ferryfs starts and where it refuses to, with which exit status; and that it ends at once.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 16M dense
record_world

# STATUS ARGUMENTS...: ends by itself with that status, in the foreground and on its way to the background; and says
# the same, which is left in $SAID
ends_with() {
    local wanted=$1 before how first=''
    shift
    before=$(family)
    for how in --foreground ''; do
        SAID=$(FERRYFS_OF_TEST=1 within 10 "$FERRYFS" ${how:+"$how"} "$@" </dev/null 2>&1)
        eq "$?" "$wanted" "$how $* says $SAID"
        SAID=$(grep -v '^<[0-7]>' <<<"$SAID") # the log
        [[ -n $SAID ]] || wrong "$how $* says nothing"
        eq "$SAID" "${first:=$SAID}" "and with -f something else"
    done
    holds until_true family_is "$before"
}
family_is() { [[ $(family) == "$1" ]]; }
S=(--state "$STATE")

proves "usage errors are status 2"
ends_with 2 --no-such-option
ends_with 2 "${S[@]}"
ends_with 2 "${S[@]}" "$MNT" "$MNT"
ends_with 2 "${S[@]}" --host
ends_with 2 "${S[@]}" --host nopath "$MNT"
ends_with 2 "${S[@]}" --host "bad name=/tmp" "$MNT"
ends_with 2 "${S[@]}" --host "a=$POOLS/ssd" --host "a=$POOLS/hdd" "$MNT"
proves "configuration errors are status 3"
ends_with 3 "${S[@]}" -c "$WORLD/nosuch.conf" "$MNT"
printf '[ferryfs]\nstate = %s\n[host ssd]\ndriver = dir\npath = %s\nwat = 1\n' "$STATE" "$POOLS/ssd" >"$WORLD/bad.conf"
ends_with 3 -c "$WORLD/bad.conf" "$MNT"
like "$SAID" "*bad.conf*6*"
ends_with 3 --check-config -c "$WORLD/bad.conf"
printf '[ferryfs]\nstate = %s\nmax_jobs = 4\n[host ssd]\ndriver = dir\npath = %s\n[host hdd]\npath = %s\n' \
    "$STATE" "$POOLS/ssd" "$POOLS/hdd" >"$WORLD/good.conf"
FERRYFS_OF_TEST=1 "$FERRYFS" --check-config -c "$WORLD/good.conf" >"$WORLD/said" 2>&1 || wrong "$(<"$WORLD/said")"
ends_with 0 --help
ends_with 0 --version

proves "a mount point that is a symlink, a file, not there or not empty is refused"
ln -s mnt "$WORLD/link"
ends_with 1 "${S[@]}" "${HOST_ARGS[@]}" "$WORLD/link"
ends_with 1 "${S[@]}" "${HOST_ARGS[@]}" "$LOG"
ends_with 1 "${S[@]}" "${HOST_ARGS[@]}" "$WORLD/nosuch"
mkdir "$WORLD/full"
touch "$WORLD/full/file"
ends_with 1 "${S[@]}" "${HOST_ARGS[@]}" "$WORLD/full"
ends_with 1 "${S[@]}" "${HOST_ARGS[@]}" "$POOLS/hdd"

proves "a state directory that others can write is refused"
mkdir -m 0777 "$WORLD/wide"
ends_with 1 --state "$WORLD/wide" "${HOST_ARGS[@]}" "$MNT"
mkdir -m 0700 "$WORLD/foreign"
chown 1234 "$WORLD/foreign"
ends_with 1 --state "$WORLD/foreign" "${HOST_ARGS[@]}" "$MNT"

proves "a second daemon on the same state is refused with 75, and the first goes on"
start_ferryfs
mkdir "$WORLD/mnt2"
ends_with 75 "${S[@]}" "${HOST_ARGS[@]}" "$WORLD/mnt2"
like "$SAID" "*pid $DAEMON,*"
eq "$(<"$MNT/db1/status")" available

proves "a mount point that is mounted is refused"
ends_with 1 --state "$WORLD/state2" "${HOST_ARGS[@]}" "$MNT"

proves "a second daemon does not get a pool that another has"
mkdir "$WORLD/mnt3"
FERRYFS_WORKER="$BUILD/copy/copy-worker" "$FERRYFS" -f --state "$WORLD/state3" "${HOST_ARGS[@]}" \
    "$WORLD/mnt3" </dev/null >>"$LOG" 2>&1 &
second=$!
holds until_true test -e "$WORLD/mnt3/.control/health"
eq "$(cat "$WORLD/mnt3/.control/hosts/ssd/state")" down
like "$(cat "$WORLD/mnt3/.control/health")" "degraded *ssd*"
fails test -e "$WORLD/mnt3/db1"
migrate db1 hdd
migrate db1 ssd
holds until_true idle
proves "and takes it up when the other ends"
stop_ferryfs
holds until_true test -e "$WORLD/mnt3/db1/status"
kill -TERM "$second"
wait "$second"
eq "$?" 0

proves "--check-catalogue says what is in it"
FERRYFS_OF_TEST=1 "$FERRYFS" --check-catalogue --state "$STATE" >"$WORLD/said" 2>&1 || wrong "$(<"$WORLD/said")"
holds grep -q db1 "$WORLD/said"

proves "SIGTERM ends it in under 2 s, with readers that block and a job under way"
hold_copies
start_ferryfs
says ok op write "$MNT/db1/migrate/target" hdd
held
cat "$MNT/db1/migrate/wait" >"$WORLD/waited" 2>&1 &
waiter=$!
op hold "$MNT/db1/status" r </dev/zero >/dev/null &
open=$!
began=$(now_ms)
kill -TERM "$DAEMON"
holds until_true gone
under $((2000 * SLOW)) $(($(now_ms) - began)) "ms"
wait "$DAEMON"
eq "$?" 0
DAEMON=''
holds until_true no_family
until_true ended "$waiter" || wrong "a reader of wait is stuck"
kill "$open"
fails mountpoint -q "$MNT"

proves "umount ends it in under 2 s, and the job goes on at the next start"
hold_copies
start_ferryfs
began=$(now_ms)
umount "$MNT" || wrong "umount failed"
holds until_true gone
under $((2000 * SLOW)) $(($(now_ms) - began)) "ms"
wait "$DAEMON"
eq "$?" 0
DAEMON=''
no_fault
start_ferryfs
eq "$(result db1)" success
eq "$(<"$MNT/db1/host")" hdd
stop_ferryfs

proves "without -f it goes to the background once it answers, and serves a configuration file"
# shellcheck disable=SC2016 # for the inner shell, which waits for the end of all output
holds within 20 env FERRYFS_OF_TEST=1 FERRYFS_WORKER="$BUILD/copy/copy-worker" \
    bash -c 'said=$("$@" 2>&1)' - "$FERRYFS" -c "$WORLD/good.conf" "$MNT"
holds answers
holds until_true lists db1
eq "$(value .control/max_jobs)" 4
umount "$MNT"
holds until_true no_family
start_ferryfs
finish
