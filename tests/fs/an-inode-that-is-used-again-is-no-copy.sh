#!/bin/bash
# Where there are no birth times, an inode number is all that a file is told by, and it is given again: to a volume that
# comes back to where an old copy of it was recorded, and has the time of that copy too.
. "$(dirname "$0")/lib.sh"
pool hdd tmpfs
pool ssd ext4-128 256M
volume ssd db 4M dense
touch -d @1600000000 "$POOLS/ssd/db" # such an inode keeps whole seconds
start_ferryfs
hidden_on() { find "$POOLS/$1" -name '.ferryfs-*.copy'; }
inode() { stat -c '%i %W' "$1"; }
# The volume is at hdd, what is recorded of ssd is not there any more: it comes back to that inode
comes_back() {
    migrate db ssd
    eq "$(inode "$POOLS/ssd/db")" "$before"
    holds until_true idle
    check_world --mount "$MNT"
    stop_ferryfs
    start_ferryfs
    holds until_true idle
    check_world --mount "$MNT"
    eq "$(value .control/health)" ok
}

proves "the volume is not taken for its retained copy, which somebody has removed"
put 3600 "$MNT/db/migrate/keep"
migrate db hdd
before=$(inode "$(hidden_on ssd)")
like "$before" "* 0"
rm "$(hidden_on ssd)"
put 0 "$MNT/db/migrate/keep"
comes_back

proves "nor for an old source of which only the record is left"
stop_ferryfs
fault "call=unlinkat,program=pool-agent,from,do=EIO,under=$POOLS/ssd"
start_ferryfs
before=$(inode "$POOLS/ssd/db")
migrate db hdd
like "$(value .control/hidden)" "* delete-pending db ssd *"
rm "$(hidden_on ssd)"
kill_ferryfs
no_fault
hold_copies
start_ferryfs
put ssd "$MNT/db/migrate/target"
held
ctl release
result db >/dev/null
comes_back
finish
