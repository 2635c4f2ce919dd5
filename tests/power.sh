# shellcheck shell=bash
# A disk whose power can be cut: what was not flushed by then is lost. For a test's lib.sh, whose WORLD it stands in.
#
#   new_disk SIZE             on: an empty ext4 is mounted at $DISK
#   power_off [COMMAND...]    at once; the command ends whoever has something open there, as the same cut would
#   power_on                  again, as after a reboot
#
# The disk is nbdkit's, with a cache that is written at a flush alone and dies with it; nbdfuse and a loop device make a
# disk of it for the kernel, whose every flush they pass on.
DISK=$WORLD/disk

new_disk() {
    needs nbdkit nbdfuse mkfs.ext4
    mkdir "$DISK" "$WORLD/cable"
    truncate -s "$1" "$WORLD/platter"
    mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$WORLD/platter" || die "mkfs.ext4 does not work here"
    power_on
}

is_plugged() { [[ -s $WORLD/cable/disk ]]; }

power_on() {
    rm -f "$WORLD/current"
    nbdkit -f -U "$WORLD/current" --filter=cache file "$WORLD/platter" cache=writeback 2>"$WORLD/nbdkit" {TICK}>&- {SAYS}>&- &
    NBDKIT=$!
    until_true test -S "$WORLD/current" || die "nbdkit does not serve: $(<"$WORLD/nbdkit")"
    nbdfuse "$WORLD/cable/disk" "nbd+unix:///?socket=$WORLD/current" 2>"$WORLD/nbdfuse" {TICK}>&- {SAYS}>&- &
    NBDFUSE=$!
    until_true is_plugged || die "nbdfuse does not serve: $(<"$WORLD/nbdfuse")"
    PLUG=$(losetup -f --show "$WORLD/cable/disk") || die "no loop device"
    mount "$PLUG" "$DISK" || die "the disk cannot be mounted"
    losetup -d "$PLUG" # once it is unmounted, however that comes
}

is_unplugged() { ! grep -qs "$WORLD" "/sys/block/${PLUG##*/}/loop/backing_file"; }

power_off() {
    kill -KILL "$NBDKIT"
    "$@"
    umount -l "$DISK"
    # what the kernel had still to write fails first, request by request
    SLOW=5 until_true is_unplugged || die "$PLUG is held by somebody"
    umount -l "$WORLD/cable"
    wait "$NBDKIT" "$NBDFUSE"
} 2>/dev/null
