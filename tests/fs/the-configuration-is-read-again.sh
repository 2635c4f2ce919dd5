#!/bin/bash
# SIGHUP reads the configuration again, all or nothing, and while jobs run.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
volume ssd db2 4M dense
volume ssd db3 4M dense
record_world
HOST_ARGS=()
CONF=$WORLD/ferryfs.conf

# MAX_JOBS [LINE...]: lines behind those of hdd
configure() {
    local max_jobs=$1
    shift
    printf '[ferryfs]\nmax_jobs = %s\nmax_queue = %s\n' "$max_jobs" "$((max_jobs * 100))"
    printf '[host %s]\npath = %s\n' ssd "$POOLS/ssd" hdd "$POOLS/hdd"
    printf '%s\n' "$@"
} >"$CONF"
# WORDS: of the log, once more than before
read_again() {
    local before
    before=$(grep -c "the configuration was read again" "$LOG")
    kill -HUP "$DAEMON"
    until_true says_more "$before" || wrong "the log does not tell"
    like "$(grep "the configuration was read again" "$LOG" | tail -n 1)" "$1"
}
says_more() { (($(grep -c "the configuration was read again" "$LOG") > $1)); }
settings() { cat "$MNT/.control/"{max_jobs,max_queue,hosts/ssd/max_jobs,hosts/hdd/max_jobs} | tr '\n' ' '; }
settings_are() { [[ $(settings) == "$1 " ]]; }
# WORDS [LINE...]: with MAX_JOBS 7 and these lines it is refused with these words, and everything stays
refuses() {
    local words=$1 before
    shift
    configure 7 "$@"
    before=$(settings)
    read_again "<3>the configuration was read again, and nothing changes: *$words*"
    eq "$(settings)" "$before"
}

configure 1
hold_copies
start_ferryfs -c "$CONF"
settings_are "1 100 2 2" || wrong "$(settings)"
for name in db1 db2 db3; do says ok op write "$MNT/$name/migrate/target" hdd; done
held
running() { [[ $(grep -c copying "$MNT/.control/jobs") == "$1" ]]; }
holds until_true running 1

proves "settings of the service and of hosts change at once, under the jobs that run"
configure 2 "max_jobs = 5"
read_again "<5>the configuration was read again"
holds until_true settings_are "2 200 2 5"
holds until_true running 2

proves "what was written to their files meanwhile stays, unless the configuration has changed there"
says ok op write "$MNT/.control/hosts/ssd/max_jobs" 9
says ok op write "$MNT/.control/max_jobs" 1
says ok op write "$MNT/.control/pause" 1
configure 2 "max_jobs = 5" "speed = 1M" "drain = 1"
read_again "<5>the configuration was read again"
holds until_true is .control/hosts/hdd/speed 1048576
holds until_true is .control/hosts/hdd/drain 1
holds until_true settings_are "1 200 9 5"
eq "$(value .control/pause)" 1
configure 3 "max_jobs = 5" "speed = max"
read_again "<5>the configuration was read again"
holds until_true settings_are "3 300 9 5"
holds until_true is .control/hosts/hdd/drain 0
says ok op write "$MNT/.control/pause" 0

proves "an error changes nothing, and is told with its line"
refuses "ferryfs.conf:8: there is no key wat; there are *" "wat = 1"
refuses "ferryfs.conf:8: max_jobs is a number *" "max_jobs = -1"
proves "what takes a restart changes nothing, and is named"
refuses "the number of hosts has changed; that takes a restart" "[host new]" "path = $POOLS"
refuses "group has changed; that takes a restart" "[ferryfs]" "group = disk"
refuses "notify has changed; that takes a restart" "[ferryfs]" "notify = /bin/true"
refuses "grace has changed; that takes a restart" "[ferryfs]" "grace = 1"
sed -i 's/^grace.*/grace = 60/; s/\[host hdd\]/[host other]/' "$CONF"
read_again "<3>*nothing changes: where host hdd was is other; *"
sed -i "s/\[host other\]/[host hdd]/; s:^path = .*hdd:path = $POOLS/ssd:" "$CONF"
read_again "<3>*nothing changes: the path of host hdd has changed; *"
rm "$CONF"
read_again "<3>*nothing changes: *cannot be read*"
holds settings_are "3 300 9 5"

proves "the jobs never noticed, and the next start reads it all"
ctl release
for name in db1 db2 db3; do eq "$(result "$name")" success; done
no_fault
stop_ferryfs
configure 4 "max_jobs = 3"
start_ferryfs -c "$CONF"
holds settings_are "4 400 2 3"
finish
