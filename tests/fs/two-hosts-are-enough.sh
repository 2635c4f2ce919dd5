#!/bin/bash
# Hosts are all that must be said: the state, the mount point and copy-worker are where the manual says.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 1M dense
record_world

[[ " $WORLD $BUILD $HERE" != *" "/@(run|var/lib)/* ]] || skip "this test hides /run and /var/lib, and lies there itself"
# /var/lib and /run as after an installation and a boot, for this mount namespace alone
mount -t tmpfs -o mode=0755 var-lib /var/lib || skip "nothing can be mounted at /var/lib"
mount -t tmpfs -o mode=0755 run /run || skip "nothing can be mounted at /run"
MNT=/run/ferryfs STATE=/var/lib/ferryfs
mkdir "$WORLD/home"

started() { within 20 env FERRYFS_OF_TEST=1 HOME="$WORLD/home" XDG_STATE_HOME="$WORLD/home/xdg" "$@" </dev/null >>"$LOG" 2>&1; }
# Ended by umount, the processes too
ended_by_umount() {
    umount "$MNT" || wrong "umount failed"
    until_true no_family || wrong "left over of ferryfs: $(family)"
}

proves "two hosts and a mount point are enough, and root's state is in /var/lib/ferryfs"
mkdir "$MNT"
holds started "$FERRYFS" "${HOST_ARGS[@]}" "$MNT"
holds until_true lists db1
migrate db1 hdd
eq "$(stat -c '%U %a' "$STATE")" "root 700"
holds test -s "$STATE/catalogue.tdb"
eq "$(ls -A "$WORLD/home")" "" "root's home and XDG_STATE_HOME are used"
holds until_true idle
check_world --mount "$MNT"
ended_by_umount

proves "two hosts alone are enough: the mount point is /run/ferryfs, made where it is not there"
rmdir "$MNT"
holds started "$FERRYFS" "${HOST_ARGS[@]}"
holds until_true lists db1
eq "$(stat -c %m "$MNT/db1")" "$MNT"
eq "$(value db1/host)" hdd "the state of before is not found again"
migrate db1 ssd
ended_by_umount
eq "$(stat -c '%U %a' "$MNT")" "root 755"

# WANTED SETTING...: where a user's state is, with that in his environment
state_is() {
    local wanted=$1
    shift
    like "$(as_nobody env -u HOME -u XDG_STATE_HOME "$@" "$FERRYFS" --check-config "${HOST_ARGS[@]}" 2>&1)" \
        "*, state in $wanted"
}

proves "a user's state is in his XDG_STATE_HOME, else in his home"
state_is /h/.local/state/ferryfs HOME=/h
state_is /x/ferryfs HOME=/h XDG_STATE_HOME=/x
state_is /h/.local/state/ferryfs HOME=/h XDG_STATE_HOME=
state_is /h/.local/state/ferryfs HOME=/h XDG_STATE_HOME=relative
finish
