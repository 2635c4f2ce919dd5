#!/bin/bash
# The unit that is installed, run by a systemd of its own.
. "$(dirname "$0")/lib.sh"
. "$HERE/systemd.sh"
pool ssd ext4
pool hdd ext4
volume ssd db1 16M dense
record_world

install_machine
CONF=$(find "$INSTALLED" -path '*/etc/*' -name ferryfs.conf)
printf '[host %s]\npath = %s\n' ssd "$POOLS/ssd" hdd "$POOLS/hdd" >>"$CONF"
unit ferryfs.service.d/test.conf <<<"[Service]
StandardError=append:$LOG"
boot_machine
in_machine systemd-sysusers
in_machine systemd-tmpfiles --create
MNT=$THERE/run/ferryfs

proves "it starts and the host sees the mount"
holds systemctl start ferryfs
until_true lists db1

proves "a volume moves"
migrate db1 hdd
until_true idle
check_world --mount "$MNT"

proves "systemctl stop ends it and unmounts"
holds systemctl stop ferryfs
eq "$(property ferryfs ActiveState)" inactive
fails in_machine mountpoint -q /run/ferryfs
finish
