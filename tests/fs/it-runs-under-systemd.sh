#!/bin/bash
# The unit that is installed, run by a systemd of its own: it starts, moves, restarts and ends as an administrator expects.
. "$(dirname "$0")/lib.sh"
. "$HERE/systemd.sh"
needs systemd-analyze systemd-sysusers systemd-tmpfiles setcap
EXPOSURE=43 # of 100, as systemd-analyze(1) reckons; what it is made of is told in the unit
PATIENCE_S=3 # of the watchdog here

pool ssd ext4
pool hdd ext4
volume ssd db1 16M dense
volume ssd odd 1M
# What only capabilities may give to a copy
chown 4711:4712 "$POOLS/ssd/odd"
chmod 06750 "$POOLS/ssd/odd"
setfattr -n trusted.note -v secret "$POOLS/ssd/odd"
setcap cap_net_raw=ep "$POOLS/ssd/odd"
touch -d @1600000000 "$POOLS/ssd/odd"
record_world

install_machine
cp "$BUILD/tests/faultshim/libfaultshim.so" "$BIN" || die "tests/faultshim is not built"
CONF=$(find "$INSTALLED" -path '*/etc/*' -name ferryfs.conf -printf '/%P')
unit ferryfs.service.d/test.conf <<END
[Service]
StandardError=append:$LOG
WatchdogSec=$PATIENCE_S
END
boot_machine
MNT=$THERE/run/ferryfs

unit_is() { [[ $(property ferryfs ActiveState) == "$1" ]]; }
# shellcheck disable=SC2053 # a pattern
status_is() { [[ $(property ferryfs StatusText) == $1 ]]; }
restarted() { (($(property ferryfs NRestarts) > $1)) && unit_is active && lists "${VOLUMES[@]}"; }
# SIGNAL: to the daemon, and it is started anew
signal_restarts() {
    local before
    before=$(property ferryfs NRestarts)
    in_machine kill "-$1" "$(property ferryfs MainPID)"
    until_true restarted "$before" || die "after SIG$1: $(systemctl status --no-pager ferryfs)"
}
# RULES: of the fault shim from the next start on; none: without it
shim_is() {
    fault "${1-}"
    unit ferryfs.service.d/shim.conf <<<"[Service]
${1:+Environment='LD_PRELOAD=$BIN/libfaultshim.so' 'FAULTSHIM=$FAULT'}"
    systemctl daemon-reload
}

proves "systemd has nothing to say against the units that are installed, nor against what they leave open"
for file in "$INSTALLED"/*/*/lib/systemd/system/* "$INSTALLED"/*/lib/systemd/system/*; do
    [[ ! -e $file ]] || says "" in_machine systemd-analyze verify --man=no "$UNITS/${file##*/}"
done
holds in_machine systemd-analyze security --no-pager --threshold=$EXPOSURE ferryfs.service >/dev/null

proves "the group and the folders are made as it needs them"
holds in_machine systemd-sysusers 2>/dev/null
holds in_machine systemd-tmpfiles --create
like "$(in_machine getent group ferryfs)" "ferryfs:*"
eq "$(stat -c '%U %G %a' "$THERE"/{run,var/lib}/ferryfs)" $'root root 755\nroot root 700'

proves "a configuration without hosts is told, and not tried again and again"
fails systemctl start ferryfs 2>/dev/null
eq "$(property ferryfs ExecMainStatus) $(property ferryfs NRestarts)" "3 0"
printf '[host %s]\npath = %s\n' ssd "$POOLS/ssd" hdd "$POOLS/hdd" >>"$THERE$CONF"

proves "systemctl start returns when everybody sees the volumes, and status says how it is"
holds systemctl start ferryfs
holds lists db1 odd
eq "$(in_machine stat -c '%G %a' /run/ferryfs/db1/migrate/target)" "ferryfs 664"
holds until_true status_is "2 volumes on 2 hosts; 0 moving, 0 queued; health: ok"
like "$(systemctl status --no-pager ferryfs)" '*Status: "2 volumes on 2 hosts;*'

proves "its few capabilities are enough: owner, mode and attributes move, a lease holds the source, who opens it is seen"
migrate odd hdd
eq "$(stat -c '%u %g %a' "$POOLS/hdd/odd")" "4711 4712 6750"
like "$(getcap "$POOLS/hdd/odd")" "*cap_net_raw=ep"
eq "$(getfattr --only-values -n trusted.note "$POOLS/hdd/odd" 2>/dev/null)" secret
eq "$(number odd claim_weak)" 0
holds grep -qs ^fanotify /proc/[0-9]*/fdinfo/*
proves "and who has a volume open is named"
in_machine setpriv --reuid=4711 --clear-groups tail -f /dev/null <>"$POOLS/hdd/odd" &
holds until_true in_machine pgrep -x tail >"$WORLD/tail"
says "open EBUSY" op write "$MNT/odd/migrate/target" ssd
like "$(value odd/migrate/message)" "refused EBUSY: odd: process $(<"$WORLD/tail") (tail) has it open for writing"
{
    in_machine kill "$(<"$WORLD/tail")"
    wait $!
} 2>/dev/null

proves "systemctl stop unmounts, and nothing has failed"
holds systemctl stop ferryfs
eq "$(property ferryfs ActiveState) $(property ferryfs Result)" "inactive success"
fails in_machine mountpoint -q /run/ferryfs

proves "what moves is nobody's process, and however long it hangs, the watchdog is content"
shim_is "call=pwrite,program=copy-worker,from,do=hold"
holds systemctl start ferryfs
says ok op write "$MNT/db1/migrate/target" hdd
held
worker=$(in_machine pgrep -x copy-worker)
like "$(grep ^Uid: "$THERE/proc/$worker/status")" "*65534*65534*65534*65534"
like "$(grep ^CapEff: "$THERE/proc/$worker/status")" "*0000000000000000"
holds until_true status_is "2 volumes on 2 hosts; 1 moving, 0 queued; health: ok"
began=$(now_ms)
long_enough() { (($(now_ms) - began > PATIENCE_S * 2000)); }
holds until_true long_enough
eq "$(property ferryfs NRestarts)" 0
eq "$(value db1/status)" migrating

proves "after a kill -9 it is back with a fresh mount, and the job goes on to its end"
shim_is
signal_restarts KILL
eq "$(result db1)" success
eq "$(value db1/host) $(number db1 resumes)" "hdd 1"
eq "$(grep -c " /run/ferryfs " "$THERE/proc/1/mountinfo")" 1

proves "systemctl reload reads the configuration again"
sed -i "s:^;max_jobs = 2 .*:max_jobs = 6:" "$THERE$CONF"
holds systemctl reload ferryfs
holds until_true is .control/max_jobs 6
eq "$(property ferryfs ActiveState)" active

proves "a daemon that has stopped is noticed and started anew"
signal_restarts STOP
eq "$(property ferryfs NRestarts)" 2

proves "so is one whose owner hangs, though every read is answered"
holds systemctl stop ferryfs
shim_is "call=fdatasync,from,armed,do=hold,under=/var/lib/ferryfs"
holds systemctl start ferryfs
ctl arm
op write "$MNT/db1/migrate/target" ssd >/dev/null 2>&1 &
asking=$!
ctl hit $((20 * SLOW)) || wrong "the catalogue is not written"
eq "$(value db1/status)" available
before=$(property ferryfs NRestarts)
shim_is
until_true restarted "$before" || wrong "$(systemctl status --no-pager ferryfs)"
holds grep -q "the owner does not answer" "$LOG"
wait "$asking"
holds until_true recovered
holds until_true idle

proves "where another ferryfs is mounted it is left alone"
holds systemctl stop ferryfs
program=$(find "$INSTALLED" -path '*/sbin/ferryfs' -printf '/%P')
holds within 20 nsenter -t "$MACHINE" -m -p -n --root --wd env FERRYFS_OF_TEST=1 "$program" -c "$CONF"
fails systemctl start ferryfs 2>/dev/null
eq "$(property ferryfs ExecMainStatus) $(property ferryfs NRestarts)" "75 0"
holds lists db1 odd
holds until_true idle
check_world --mount "$MNT"
holds in_machine umount /run/ferryfs
holds until_true no_family
halt_machine
finish
