#!/bin/bash
# A line of fstab in a machine that systemd runs: a unit that mounts, and ends with its daemon.
. "$(dirname "$0")/lib.sh"
. "$HERE/systemd.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
record_world

install_machine
CONF=$(find "$INSTALLED" -path '*/etc/*' -name ferryfs.conf -printf '/%P')
# Where mount(8) looks for helpers, whatever the prefix
mkdir -p "$INSTALLED/usr/sbin" "$INSTALLED/etc"
HELPER=$(find "$INSTALLED" -path '*/sbin/mount.fuse.ferryfs' -printf '/%P')
[[ $HELPER == /usr/sbin/* ]] || ln -s "$HELPER" "$INSTALLED/usr/sbin"
sed -i 's/^group = .*/group = root/' "$INSTALLED$CONF"
printf '[host %s]\npath = %s\n' ssd "$POOLS/ssd" hdd "$POOLS/hdd" >>"$INSTALLED$CONF"
echo "$CONF /run/ferryfs fuse.ferryfs noauto,nofail,x-systemd.automount,x-systemd.requires-mounts-for=$POOLS,group=disk 0 0" >"$INSTALLED/etc/fstab"
unit run-ferryfs.mount.d/test.conf <<<"[Mount]
StandardError=append:$LOG"
boot_machine
MNT=$THERE/run/ferryfs
daemons() { in_machine pgrep -x ferryfs | wc -l; }
no_daemon() { [[ $(daemons) == 0 ]]; }
mounted_are() { [[ $(grep -c " /run/ferryfs .* - fuse.ferryfs " "$THERE/proc/1/mountinfo") == "$1" ]]; }

proves "systemctl start of its mount unit mounts it, and the daemon outlives mount(8)"
holds systemctl start run-ferryfs.mount
holds mounted_are 1
eq "$(property run-ferryfs.mount ActiveState) $(daemons)" "active 1"
holds until_true lists db1
eq "$(stat -c %a "$MNT/db1/migrate/target") $(in_machine stat -c %G /run/ferryfs/db1/migrate/target)" "664 disk"
migrate db1 hdd
holds until_true idle
check_world --mount "$MNT"
proves "and systemctl stop ends both"
holds systemctl stop run-ferryfs.mount
holds mounted_are 0
holds until_true no_daemon

if [[ -e /dev/autofs ]]; then
    proves "with x-systemd.automount the first who looks mounts it"
    holds systemctl start run-ferryfs.automount
    eq "$(in_machine cat /run/ferryfs/db1/host)" hdd
    holds mounted_are 1
else
    echo "# no autofs here: x-systemd.automount is not tried"
fi

proves "after a kill of the daemon the mount unit can be started again"
in_machine pkill -KILL -x ferryfs
holds until_true no_daemon
holds until_true systemctl stop run-ferryfs.mount # it may be busy for the moment in which inotify is told
holds systemctl start run-ferryfs.mount
holds until_true lists db1
holds until_true systemctl stop run-ferryfs.mount
holds until_true no_daemon
halt_machine
finish
