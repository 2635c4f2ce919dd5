#!/bin/bash
# mount(8), umount(8) and a line in fstab do for ferryfs what they do for other filesystems.
. "$(dirname "$0")/lib.sh"
needs mount umount findmnt
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
record_world

# A helper where mount(8) looks for it, and an fstab, for this mount namespace alone
mkdir "$WORLD/sbin"
ln -s "$FERRYFS" "$WORLD/sbin/mount.fuse.ferryfs"
SBIN=$(realpath /sbin)
mount -t overlay -o "lowerdir=$WORLD/sbin:$SBIN" helper "$SBIN" || die "nothing can be laid over $SBIN"
CONF=$WORLD/ferryfs.conf FSTAB=$WORLD/fstab
printf '[ferryfs]\nstate = %s\n' "$STATE" >"$CONF"
printf '[host %s]\npath = %s\n' ssd "$POOLS/ssd" hdd "$POOLS/hdd" >>"$CONF"
: >"$FSTAB"
mount --bind "$FSTAB" /etc/fstab || die "nothing can be mounted at /etc/fstab"

# STATUS SAYS COMMAND...: its exit status, and what it says is like that
ends_with() {
    local wanted=$1 like=$2 said
    shift 2
    said=$(FERRYFS_OF_TEST=1 within 20 "$@" 2>&1 </dev/null)
    eq "$?" "$wanted" "$* says $said"
    like "$said" "$like" "$*"
}
# What is mounted, from where
source_is() { eq "$(findmnt -n -o SOURCE "$MNT")" "$1"; }
is_unmounted() { ! mountpoint -q "$MNT" && no_family; }
# What has just changed is told to inotify through the mount: it is busy for a moment
goes() { FERRYFS_OF_TEST=1 within 20 "$@" 2>/dev/null; }
MOUNT=(mount -t fuse.ferryfs "$CONF" "$MNT")

proves "mount -t fuse.ferryfs returns when the volumes are there, and umount ends it"
ends_with 0 "" "${MOUNT[@]}"
lists db1 || wrong "db1 is not there"
source_is "$CONF"
like ",$(findmnt -n -o OPTIONS "$MNT")," "*,nosuid,nodev,noexec,*"
migrate db1 hdd
holds until_true goes umount "$MNT"
holds until_true is_unmounted

proves "in the background it tells syslog, with the names of the events"
mkdir "$WORLD/dev"
mount -t tmpfs -o mode=0755 dev "$WORLD/dev" || die "no tmpfs for /dev"
cp -a /dev/null /dev/zero /dev/urandom /dev/fuse "$WORLD/dev"
ln -s /proc/self/fd "$WORLD/dev/fd"
mount --bind "$WORLD/dev" /dev || die "nothing can be mounted at /dev"
python3 - >"$WORLD/syslog" 2>&1 <<'END' &
import os
import socket
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log.new")
os.rename("/dev/log.new", "/dev/log")
while True:
    print(log.recv(65536).decode(), flush=True)
END
SYSLOG=$!
holds until_true test -S /dev/log
ends_with 0 "" "${MOUNT[@]}"
migrate db1 ssd
says "write ENXIO" op write "$MNT/db1/migrate/target" nowhere
holds until_true goes umount "$MNT"
holds until_true is_unmounted
# <priority of a daemon>date ferryfs[pid]: what [event]
has_told() { grep -qE "^<$1>.*ferryfs\[[0-9]+\]: $2 \[$3\]\$" "$WORLD/syslog"; }
holds until_true has_told 29 "volume db1: job [0-9]+ accepted: hdd -> ssd, .*" accepted
holds until_true has_told 29 "volume db1: job [0-9]+ of uid 0 ended: success: .*" success
holds until_true has_told 28 "volume db1: target 'nowhere' by uid 0 .* refused: ENXIO: .*" refused
{
    kill "$SYSLOG"
    wait "$SYSLOG"
} 2>/dev/null
umount /dev
ends_with 0 "" "${MOUNT[@]}"
migrate db1 hdd
holds until_true goes umount "$MNT"
holds until_true is_unmounted

proves "settings are mount options, and win over the file"
ends_with 0 "" "${MOUNT[@]}" -o "state=$STATE,group=disk,max_jobs=7"
eq "$(value .control/max_jobs)" 7
eq "$(stat -c %G "$MNT/db1/migrate/target")" disk
eq "$(value db1/host)" hdd
proves "mount does not mount it twice, and remount is refused in words"
ends_with 32 "*another daemon, pid *, holds $STATE" "${MOUNT[@]}"
ends_with 32 "*something is mounted at $MNT already*" "${MOUNT[@]}" -o "state=$WORLD/state2"
ends_with 1 "*the mount option remount cannot be: *" mount -o remount,max_jobs=3 "$MNT"
eq "$(value .control/max_jobs)" 7
holds until_true goes umount "$MNT"
holds until_true is_unmounted

proves "what mount(8) has for every filesystem is understood"
ends_with 0 "" "${MOUNT[@]}" -o "defaults,rw,nosuid,nodev,noexec,relatime,_netdev,nofail,noauto,x-systemd.automount,comment=x,allow_other"
holds until_true goes umount "$MNT"
holds until_true is_unmounted
proves "what cannot be is an error that names it, and nothing is mounted"
ends_with 1 "*the mount option ro cannot be: *" "${MOUNT[@]}" -o ro
ends_with 1 "*there is no mount option wat*" "${MOUNT[@]}" -o wat
ends_with 1 "*there is no mount option wat*" "${MOUNT[@]}" -o wat=1,noauto
ends_with 1 "*max_jobs is a number*" "${MOUNT[@]}" -o max_jobs=many
ends_with 1 "*state must begin with /*" "${MOUNT[@]}" -o state=here
ends_with 0 "" "${MOUNT[@]}" -s -o wat
holds until_true goes umount "$MNT"
holds until_true is_unmounted
ends_with 32 "*nosuch.conf*cannot be read*" mount -t fuse.ferryfs "$WORLD/nosuch.conf" "$MNT"
printf '[ferryfs]\nwat = 1\n' >"$WORLD/bad.conf"
ends_with 32 "*bad.conf:2:*" mount -t fuse.ferryfs "$WORLD/bad.conf" "$MNT"
ends_with 0 "*is right*" "${MOUNT[@]}" -f
holds is_unmounted

proves "a line in fstab is enough for mount, mount -a and umount -a, again and again"
echo "$CONF $MNT fuse.ferryfs defaults,group=disk,_netdev,x-systemd.automount 0 0" >"$FSTAB"
ends_with 0 "" mount "$MNT"
ends_with 0 "" mount -a
eq "$(findmnt -n "$MNT" | wc -l)" 1
migrate db1 ssd
holds until_true goes umount -a -t fuse.ferryfs
holds until_true is_unmounted
ends_with 0 "" mount -a
lists db1 || wrong "db1 is not there"

proves "what was killed is mounted anew"
holds until_true kill_family
fails answers
ends_with 0 "" mount "$MNT"
eq "$(value db1/host)" ssd
check_world --mount "$MNT"
holds until_true goes umount "$MNT"
holds until_true is_unmounted

proves "of several lines, one that fails is told by status 64"
mkdir "$WORLD/mnt2"
echo "$WORLD/bad.conf $WORLD/mnt2 fuse.ferryfs defaults 0 0" >>"$FSTAB"
ends_with 64 "*bad.conf:2:*" mount -a
lists db1 || wrong "db1 is not there"
umount "$MNT"
holds until_true is_unmounted
finish
