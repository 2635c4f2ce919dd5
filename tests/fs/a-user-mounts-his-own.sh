#!/bin/bash
# An ordinary user moves volumes between his own pools, over fusermount3.
. "$(dirname "$0")/lib.sh"
command -v fusermount3 >/dev/null || skip "no fusermount3"
[[ -u $(command -v fusermount3) ]] || skip "fusermount3 is not setuid"

# A device node that everybody may open, for this mount namespace alone
mknod "$WORLD/fuse" c 10 229
chmod 0666 "$WORLD/fuse"
mount --bind "$WORLD/fuse" /dev/fuse || skip "/dev/fuse cannot be replaced"

pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
volume ssd foreign 1M
STATE=$WORLD/home/state
mkdir "$WORLD/home"
chown -R 65534:65534 "$POOLS/ssd" "$POOLS/hdd" "$MNT" "$WORLD/home"
chgrp 2345 "$POOLS/ssd/foreign"
touch -d @1600000000 "$POOLS/ssd/db1" "$POOLS/ssd/foreign"
record_world
setpriv --reuid=65534 --regid=65534 --clear-groups env FERRYFS_OF_TEST=1 FERRYFS_WORKER="$BUILD/copy/copy-worker" "$FERRYFS" "${HOST_ARGS[@]}" --state "$STATE" \
    -f "$MNT" </dev/null >>"$LOG" 2>&1 &
DAEMON=$!
user_answers() { as_nobody test -e "$MNT/db1/status" || ! alive; }
until_true user_answers
as_nobody test -e "$MNT/db1/status" || die "it does not start for an ordinary user"
V=$MNT/db1

proves "he sees his volumes"
eq "$(as_nobody cat "$V/status" "$V/host")" $'available\nssd'
eq "$(awk '/^Uid:/ { print $2, $3 }' "/proc/$DAEMON/status")" "65534 65534"

proves "he moves a volume"
says ok as_nobody op write "$V/migrate/target" hdd
eq "$(as_nobody timeout 30 cat "$V/migrate/wait")" success "$(as_nobody cat "$V/migrate/error")"
eq "$(as_nobody cat "$V/host")" hdd
eq "$(stat -c '%U %a' "$POOLS/hdd/db1")" "nobody 640"

proves "he is refused what cannot be"
says "write ENXIO" as_nobody op write "$V/migrate/target" nowhere
says "open EACCES" as_nobody op write "$V/status" available

proves "he is refused a volume whose group he could not give to the copy"
says "write EACCES" as_nobody op write "$MNT/foreign/migrate/target" hdd
like "$(as_nobody cat "$MNT/foreign/migrate/message")" "refused EACCES: *cannot have the volume's owner 65534:2345*"
eq "$(as_nobody cat "$MNT/foreign/status")" available

proves "nobody else sees it, not even root"
says "stat EACCES" op stat "$V"

proves "SIGTERM ends it and the mount is gone"
kill -TERM "$DAEMON"
holds until_true gone
wait "$DAEMON"
eq "$?" 0
DAEMON=''
fails mountpoint -q "$MNT"
finish
