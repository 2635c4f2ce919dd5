#!/bin/bash
# Storage that is a FUSE server hangs harder than a disk: every close(2) of its files waits, that of a child between
# fork and exec too. Whoever has to do with other pools does not notice, and who has to do with it can be told to stop.
. "$(dirname "$0")/lib.sh"
LIMIT_US=$((1000000 * SLOW))
V=$MNT/db1

# served NAME: a pool behind a server of its own, $SERVER
served() {
    mkdir "$WORLD/behind-$1" "$POOLS/$1"
    mount -t tmpfs -o mode=0755,size=1G "behind-$1" "$WORLD/behind-$1"
    "$BUILD/tests/fs/passthrough" "$WORLD/behind-$1" "$POOLS/$1" {TICK}>&- {SAYS}>&- &
    SERVER=$!
    until_true mountpoint -q "$POOLS/$1" || die "no FUSE server for $1"
    host "$1"
}
freeze() { kill -STOP "$SERVER"; }
thaw() { kill -CONT "$SERVER"; }

control_answers() {
    under $LIMIT_US "$(op write-us "$MNT/.control/max_jobs" 3)" "us for a control write"
}

served remote
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 64M dense
volume ssd db2 1M
volume ssd db3 1M
start_ferryfs

proves "a volume moves to a server and back as to any other pool"
migrate db1 remote
migrate db1 ssd
check_world --mount "$MNT"

proves "while it hangs others move, and what asks for nothing of it is answered"
freeze
migrate db1 hdd
migrate db1 ssd
control_answers
thaw
holds until_true idle
check_world --mount "$MNT"

# FROM TO: the server is one of them, and hangs in the midst of a copy
hangs_under_way() {
    [[ $(<"$V/host") == "$1" ]] || migrate db1 "$1"
    stop_ferryfs
    hold_copies
    start_ferryfs
    says ok op write "$V/migrate/target" "$2"
    held
    freeze
    ctl release
    control_answers
    under $LIMIT_US "$(op write-us "$V/migrate/abort" 1)" "us for abort"
    control_answers
    migrate db2 hdd
    migrate db2 ssd
    eq "$(<"$V/status")" migrating
    thaw
    eq "$(result db1)" aborted
    eq "$(<"$V/host")" "$1"
    eq "$(<"$V/status")" available
    holds until_true idle
    check_world --mount "$MNT"
}
proves "as the destination of a copy under way: an abort is accepted at once, and carried out when it answers again"
hangs_under_way ssd remote
proves "as its source: the same"
hangs_under_way remote ssd
finish
