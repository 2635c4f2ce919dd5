#!/bin/bash
# Run by its unit beside the journal of a systemd, ferryfs tells it each event with the fields that ferryfs(5) names; and what
# `notify` runs there lives behind the walls that ferryfs(8) names.
. "$(dirname "$0")/lib.sh"
. "$HERE/systemd.sh"
needs journalctl /lib/systemd/systemd-journald logger

pool ssd
pool hdd
volume ssd db1 16M dense
volume ssd db2 64K
record_world

install_machine
cp -t "$UNITS" /lib/systemd/system/systemd-journald{.service,.socket,-dev-log.socket} || die "no units of the journal"
CONF=$(find "$INSTALLED" -path '*/etc/*' -name ferryfs.conf -printf '/%P')
TOLD=$WORLD/told
mkdir -m 1777 "$TOLD"
unit told.service <<END
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'grep NoNewPrivs /proc/self/status >$TOLD/unit.new && mv $TOLD/unit.new $TOLD/unit'
END
boot_machine
MNT=$THERE/run/ferryfs
holds in_machine systemd-sysusers 2>/dev/null
holds in_machine systemd-tmpfiles --create
printf '[host %s]\npath = %s\n' ssd "$POOLS/ssd" hdd "$POOLS/hdd" >>"$THERE$CONF"

# Of notify, from the next start on
notify() {
    sed -i '/^notify/d' "$THERE$CONF"
    sed -i "/^group/i notify = $1\nnotify_user = $2" "$THERE$CONF"
}
journal() { in_machine journalctl --quiet --no-pager --output=json "$@"; }
told() { [[ $(journal "FERRYFS_EVENT=$1" "FERRYFS_VOLUME=$2") ]]; }
# Each event that is to be in the journal is there by its MESSAGE_ID, once and with all its keys; no other is.
# Prints the names of those that are.
compare() {
    journal --unit=ferryfs --boot >"$WORLD/journal"
    "$FERRYFS" --list-events | python3 "$HERE/journal.py" "$MNT/.control/events" "$WORLD/journal"
}

proves "each event of jobs that are steered, aborted and end well is in the journal, with the keys as fields"
holds systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald
holds systemctl start ferryfs
put 1 "$MNT/.control/pause"
says ok op write "$MNT/db1/migrate/target" hdd
says "write EINVAL" op write "$MNT/db1/migrate/target" $'no"where\e[2J=\xc3\xa4\xff'
put 1 "$MNT/db1/migrate/abort"
eq "$(result db1)" aborted
says ok op write "$MNT/db1/migrate/target" hdd
put 0 "$MNT/.control/pause"
put 1 "$MNT/db1/migrate/pause"
put 0 "$MNT/db1/migrate/pause"
eq "$(result db1)" success
holds until_true told success db1
says "aborted aborting accepted host-up paused refused resumed success" compare
eq "$(journal MESSAGE_ID=bd4fc075d09d47c0b83f0cbceece7c47 | jq -r '.FERRYFS_VOLUME + " " + .FERRYFS_DESTINATION')" "db1 hdd"

proves "so are an error, a lost host and what the health is"
put 1M "$MNT/db1/migrate/speed"
says ok op write "$MNT/db1/migrate/target" ssd
holds until_true phase_is db1 copying
: >>"$POOLS/hdd/db1"
eq "$(result db1)" error
kill -KILL "$(pgrep -x -n ferryfs-pool)"
is_well_again() { [[ $(journal FERRYFS_EVENT=host-up | wc -l) == 3 && $(journal "FERRYFS_TEXT=health: ok") ]]; }
holds until_true is_well_again
says "aborted aborting accepted error health host-down host-up paused refused resumed success" compare

proves "and a job that goes on after a kill, whose daemon tells the journal anew"
put 1M "$MNT/db1/migrate/speed"
says ok op write "$MNT/db1/migrate/target" ssd
holds until_true phase_is db1 copying
in_machine kill -KILL "$(property ferryfs MainPID)"
holds until_true told recovered db1
holds until_true lists db1 db2
eq "$(result db1)" success

proves "where the journal is started anew meanwhile, the events after that are there too"
holds systemctl restart systemd-journald
migrate db2 hdd
holds until_true told success db2

proves "what notify runs has no network, and what a program's set-user-ID bit would give, not"
cp "$(command -v id)" "$BIN/id-of-root"
chmod 4755 "$BIN/id-of-root"
like "$(in_machine setpriv --reuid=65534 --clear-groups "$BIN/id-of-root")" "*euid=0(root)*" "without those walls"
cat >"$BIN/told" <<END
#!/bin/sh
{
    id -u
    $BIN/id-of-root
    python3 -c 'import socket; socket.socket(socket.AF_INET)' 2>&1 | tail -n 1
    grep NoNewPrivs /proc/self/status
} >$TOLD/\$FERRYFS_EVENT.new
logger -t told "\$FERRYFS_EVENT of \$FERRYFS_VOLUME"
mv $TOLD/\$FERRYFS_EVENT.new $TOLD/\$FERRYFS_EVENT
END
chmod 755 "$BIN/told"
notify "$BIN/told" nobody
holds systemctl restart ferryfs
migrate db2 ssd
holds until_true test -s "$TOLD/success"
eq "$(<"$TOLD/success")" "65534
uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)
OSError: [Errno 97] Address family not supported by protocol
NoNewPrivs:	1"
proves "but it may say what it likes by a Unix socket: to syslog"
says_so() { [[ $(journal SYSLOG_IDENTIFIER=told "MESSAGE=success of db2") ]]; }
holds until_true says_so

proves "or to systemd, which starts a unit that those walls do not hold"
notify "/bin/systemctl start --no-block told.service" root
holds systemctl restart ferryfs
holds until_true test -s "$TOLD/unit"
eq "$(<"$TOLD/unit")" "NoNewPrivs:	0"
migrate db1 hdd

holds until_true idle
check_world --mount "$MNT"
holds systemctl stop ferryfs
halt_machine
finish
