#!/bin/bash
# An ordinary user moves volumes between his own pools, over fusermount3.
. "$(dirname "$0")/lib.sh"
command -v fusermount3 >/dev/null || skip "no fusermount3"
[[ -u $(command -v fusermount3) ]] || skip "fusermount3 is not setuid"

# A device node that everybody may open, for this mount namespace alone
mknod "$WORLD/fuse" c 10 229
chmod 0666 "$WORLD/fuse"
mount --bind "$WORLD/fuse" /dev/fuse || skip "/dev/fuse cannot be replaced"

# fusermount3 unmounts nothing without it, and a system that nobody has booted yet has none
if [[ ! -e /etc/mtab ]]; then
    mkdir "$WORLD/etc" "$WORLD/etc.work"
    ln -s /proc/self/mounts "$WORLD/etc/mtab"
    mount -t overlay -o "lowerdir=/etc,upperdir=$WORLD/etc,workdir=$WORLD/etc.work" overlay /etc ||
        skip "no /etc/mtab, and none can be put there"
fi

pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
volume ssd foreign 1M
mkdir "$WORLD/home"
chown -R 65534:65534 "$POOLS/ssd" "$POOLS/hdd" "$MNT" "$WORLD/home"
chgrp 2345 "$POOLS/ssd/foreign"
touch -d @1600000000 "$POOLS/ssd/db1" "$POOLS/ssd/foreign"
record_world
chmod 0666 "$MANIFEST" # the uuids are added to it
V=$MNT/db1

user_answers() { as_nobody test -e "$V/status" || ! alive; }
# He names no state directory
start_as_user() {
    setpriv --reuid=65534 --regid=65534 --clear-groups env -u XDG_STATE_HOME HOME="$WORLD/home" FERRYFS_OF_TEST=1 \
        FERRYFS_WORKER="$BUILD/copy/copy-worker" "$FERRYFS" "${HOST_ARGS[@]}" -f "$MNT" </dev/null >>"$LOG" 2>&1 &
    DAEMON=$!
    holds until_true user_answers
    as_nobody test -e "$V/status" || die "it does not start for an ordinary user"
}
# What `fusermount3 -u` or a signal has ended, is gone, and so is its mount
ended_cleanly() {
    until_true gone || die "it does not end"
    wait "$DAEMON"
    eq "$?" 0 "its exit status"
    DAEMON=''
    fails mountpoint -q "$MNT"
    until_true no_family || wrong "left over: $(family)"
}
start_as_user

proves "he sees his volumes"
eq "$(as_nobody cat "$V/status" "$V/host")" $'available\nssd'
eq "$(awk '/^Uid:/ { print $2, $3 }' "/proc/$DAEMON/status")" "65534 65534"
eq "$(stat -c '%U %a' "$WORLD/home/.local/state/ferryfs")" "nobody 700"

proves "the kernel keeps the permissions of his mount"
like ",$(findmnt -n -o OPTIONS "$MNT")," "*,default_permissions,*"
like ",$(findmnt -n -o OPTIONS "$MNT")," "*,nosuid,nodev,noexec,*"

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

proves "all his volumes are whole and the tree says what is true"
found=$(as_nobody "$HERE/../invariants" check "$MANIFEST" "${POOL_ARGS[@]}" --mount "$MNT" 2>&1) || wrong "$found"

proves "after a kill -9 he starts it again: what it left mounted is cleared away, and nothing is lost"
kill_ferryfs
fails as_nobody test -e "$V/status"
start_as_user
holds grep -q "unmounted what a dead ferryfs left at $MNT" "$LOG"
eq "$(grep -c " $MNT " /proc/self/mountinfo)" 1
eq "$(as_nobody cat "$V/host")" hdd

proves "fusermount3 -u ends it and the mount is gone"
holds as_nobody fusermount3 -u "$MNT"
ended_cleanly

proves "SIGTERM ends it and the mount is gone"
start_as_user
kill -TERM "$DAEMON"
ended_cleanly
finish
