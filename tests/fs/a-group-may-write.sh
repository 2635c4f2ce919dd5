#!/bin/bash
# The members of the configured group write the controls, others read; what shows paths is root's alone.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 1M
GID=$(getent group disk | cut -d: -f3)
[[ -n $GID ]] || skip "there is no group disk"
V=$MNT/db1

by_gid() { setpriv --reuid=65534 --regid="$GID" --clear-groups "$@"; }
by_member() { setpriv --reuid=65534 --regid=65534 --groups="$GID" "$@"; }

# All that can be written is the group's, and nothing else is
controls_are_of() {
    eq "$(find "$MNT" -type f -perm /0222 -printf '%u %g %m\n' | sort -u)" "root $1 664"
    eq "$(find "$MNT" ! -perm /0222 -printf '%u %g\n' -o -type d -printf '%u %g\n' | sort -u)" "root root"
}

proves "--group: controls are of that group, with mode 0664"
start_ferryfs --group disk
controls_are_of disk
eq "$(stat -c '%U %G %a' "$V/migrate/target")" "root disk 664"

proves "who is in the group moves volumes, by its gid or as one of many"
says ok by_gid op write "$V/migrate/target" hdd
eq "$(result db1)" success
says ok by_member op write "$V/migrate/target" ssd
eq "$(result db1)" success
eq "$(value db1/host)" ssd
says ok by_member op write "$MNT/.control/max_jobs" 3

proves "who is not is told EACCES when he opens, and reads"
says "open EACCES" as_nobody op write "$V/migrate/target" hdd
says "open EACCES" as_nobody op write "$MNT/.control/max_jobs" 4
eq "$(as_nobody cat "$V/host" "$MNT/.control/max_jobs")" $'ssd\n3'

proves "the group opens neither what has no store nor what root alone may see"
says "open EACCES" by_gid op write "$V/status" available
says "open EACCES" by_gid op hold "$V/path" r
says "open EACCES" by_gid op hold "$MNT/.control/hidden" r
stop_ferryfs

proves "a configuration's group is the same, and the command line wins over it"
printf '[ferryfs]\ngroup = disk\n' >"$WORLD/conf"
printf '[host %s]\npath = %s\n' ssd "$POOLS/ssd" hdd "$POOLS/hdd" >>"$WORLD/conf"
start_ferryfs -c "$WORLD/conf"
controls_are_of disk
stop_ferryfs
start_ferryfs -c "$WORLD/conf" --group root
controls_are_of root
stop_ferryfs

proves "without one it is the daemon's own"
start_ferryfs
controls_are_of root
finish
