#!/bin/bash
# Whoever waits for a change is woken by it: poll, inotify, and a read that blocks.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
volume ssd db2 4M dense
hold_copies
start_ferryfs
V=$MNT/db1

# FILE: op poll on it, started and armed; $poller is its pid, $WORLD/poll what it says
arm() {
    rm -f "$WORLD/poll"
    op poll "$1" 20000 >"$WORLD/poll" &
    poller=$!
    holds until_true grep -qs armed "$WORLD/poll"
}

dates() { stat -c %.9Y "${@/#/$V/}"; }
same=(host migrate/error migrate/abort) new=(status migrate/phase migrate/target migrate/status migrate/message)
was_same=$(dates "${same[@]}") was_new=$(dates "${new[@]}")

# FILE PATTERN CMD...: that makes FILE read so, wakes a poll on it, and dates it anew
wakes() {
    local file=$1 pattern=$2 was
    shift 2
    was=$(dates "$file")
    arm "$V/$file"
    "$@"
    wait "$poller"
    like "$(tail -n +2 "$WORLD/poll")" "$pattern" "of $file"
    fails test "$(dates "$file")" == "$was"
}

proves "poll on candidates wakes when a host is drained, and when it takes volumes again"
wakes migrate/candidates "hdd ECONNREFUSED *" put 1 "$MNT/.control/hosts/hdd/drain"
wakes migrate/candidates "hdd ok *" put 0 "$MNT/.control/hosts/hdd/drain"

proves "poll(POLLPRI) on status wakes when a migration begins"
arm "$V/status"
says ok op write "$V/migrate/target" hdd
wait "$poller"
eq "$(tail -n +2 "$WORLD/poll")" migrating
held

proves "a file is dated by its own value, not by what else changes about the volume"
eq "$(dates "${same[@]}")" "$was_same"
eq "$(comm -12 <(dates "${new[@]}" | sort) <(sort <<<"$was_new"))" "" "not dated anew"

proves "poll on candidates wakes when the queue, or what a host may run, says otherwise"
put 1 "$MNT/.control/hosts/hdd/max_jobs"
wakes migrate/candidates "hdd ENOBUFS *" put 0 "$MNT/.control/max_queue"
wakes migrate/candidates "hdd ok *" put 2 "$MNT/.control/hosts/hdd/max_jobs"
wakes migrate/candidates "hdd ENOBUFS *" put 1 "$MNT/.control/max_jobs"
wakes migrate/candidates "hdd ok *" put 9 "$MNT/.control/max_queue"

proves "poll on progress and stat wakes when a job is accepted, though it waits for its turn"
put 1 "$MNT/.control/max_jobs"
V=$MNT/db2
wakes migrate/progress 0 put hdd "$V/migrate/target"
says ok op write "$V/migrate/abort" 1
eq "$(result db2)" aborted
wakes migrate/stat "job 3?queued_at *" put hdd "$V/migrate/target"
says ok op write "$V/migrate/abort" 1
eq "$(result db2)" aborted
V=$MNT/db1

proves "poll wakes when the message changes"
arm "$V/migrate/message"
says "write EALREADY" op write "$V/migrate/target" nowhere
wait "$poller"
like "$(tail -n +2 "$WORLD/poll")" "refused EALREADY: *"

proves "poll wakes when it ends"
arm "$V/status"
: >"$WORLD/poll2"
op poll "$V/migrate/status" 20000 >"$WORLD/poll2" &
second=$!
holds until_true grep -q armed "$WORLD/poll2"
within 20 cat "$V/migrate/wait" >"$WORLD/waited" &
waiter=$!
inotifywait -q -t 20 -e modify -e close_write --format '%e %f' "$V/migrate/status" >"$WORLD/inotify" 2>&1 &
watcher=$!
watches() { grep -q inotify "/proc/$watcher/fdinfo/"* 2>/dev/null; }
until_true watches || wrong "inotifywait does not watch"
ctl release
wait "$poller"
eq "$(tail -n +2 "$WORLD/poll")" available
wait "$second"
like "$(tail -n +2 "$WORLD/poll2")" "@(completing|success)"
proves "a read that blocks returns the result"
wait "$waiter"
eq "$(<"$WORLD/waited")" success
proves "inotify tells of it"
wait "$watcher" || wrong "no event"
like "$(<"$WORLD/inotify")" "@(MODIFY|CLOSE_WRITE)*"

proves "inotifywait over the whole mount sees a migration in status"
inotifywait -q -m -r -e modify -e close_write --format '%w%f' "$MNT" >"$WORLD/inotify" 2>"$WORLD/inotify-said" &
watcher=$!
watches_many() { (($(cat "/proc/$watcher/fdinfo/"* 2>/dev/null | grep -c '^inotify') >= 9)); }
until_true watches_many || wrong "inotifywait does not watch all 9 folders"
migrate db1 ssd
holds until_true grep -q "^$V/status" "$WORLD/inotify"
kill "$watcher"
eq "$(grep -c "/wait$" "$WORLD/inotify")" 0

proves "poll on a file that does not change does not wake"
eq "$(op poll "$V/uuid" 300 | tail -n 1)" timeout

proves "a blocked read is ended by a signal, and by nothing else hurt"
stop_ferryfs
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" hdd
held
cat "$V/migrate/wait" >"$WORLD/waited" 2>&1 &
waiter=$!
blocked() { grep -qE '^State:.[SD]' "/proc/$waiter/status"; }
holds until_true blocked
kill -INT "$waiter"
kill -TERM "$waiter"
holds until_true ended "$waiter"
eq "$(<"$WORLD/waited")" ""
eq "$(<"$V/status")" migrating

proves "100 blocked readers all get the result, and others are served meanwhile"
for ((i = 0; i < 100; i++)); do
    within 60 cat "$V/migrate/wait" &
    readers[i]=$!
done >"$WORLD/waited"
all_blocked() { (($(pgrep -c -f "^cat $V/migrate/wait") >= 100)); }
until_true all_blocked || wrong "100 readers do not block"
under $((100000 * SLOW)) "$(op slowest "$V/status" 100)" "us"
ctl release
wait "${readers[@]}"
eq "$(sort "$WORLD/waited" | uniq -c | tr -s ' ')" " 100 success"
finish
