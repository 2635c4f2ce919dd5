#!/bin/bash
# What a destination holds is overwritten only where the user said so; whatever is refused has changed nothing.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"
needs nbdkit

volume source 3M sparse 1
volume old 2M dense 2
old=$(sum old)

proves "a new file is made, equal and with its permissions less the umask"
chmod 0640 source
exits 0 source new
eq "$ERR$OUT" ''
holds same source new
eq "$(stat -c %a new)" 640
chmod 0444 source
exits 0 source read-only
eq "$(stat -c %a read-only)" 444
holds same source read-only
chmod 0666 source
exits 0 source masked
eq "$(stat -c %a masked)" 644
chmod 0644 source

proves "a file that holds something is refused, and says what would help"
exits 3 source old
eq "$ERR" "ferrycopy: old exists and holds 2.0 MiB; --force overwrites it"
eq "$(sum old)" "$old"

proves "a file that holds nothing is used, but not with --create"
: >empty
exits 3 --create source empty
eq "$ERR" "ferrycopy: empty exists; --create wants a name that is new"
eq "$(size_of empty)" 0
exits 0 source empty
holds same source empty
exits 3 --create source new
exits 0 --create source created
holds same source created

proves "--force overwrites; nothing of the old bytes is left, nor of their space"
exits 0 --force source old
holds same source old
under $(($(allocated source) + 65536)) "$(allocated old)"
volume longer 8M dense 3
exits 0 -f source longer
holds same source longer

fallocate -l 8M allocated && exits 0 --force source allocated
holds same source allocated
under $(($(allocated source) + 65536)) "$(allocated allocated)"

proves "an old file that is longer is cut when the copy is whole, not before"
volume longer 8M dense 3
exits 0 --force source longer
holds same source longer
feed source | ferrycopy --force - "$(volume longer2 8M dense 3 && echo longer2)"
holds same source longer2
under $(($(allocated source) + 65536)) "$(allocated longer2)"
volume longer 8M dense 3
begins --force --speed=4K source longer
begun() { ! cmp -s -n 65536 longer longer3; }
volume longer3 8M dense 3
until_true begun || wrong "it has not begun: $(<err)"
kill -TERM "$PID"
ends
eq "$(size_of longer)" $((8 << 20))
holds cmp -i $((3 << 20)) longer longer3

proves "the same file is refused, by whatever names"
ln source link
ln -s source symlink
for name in source ./source link symlink "file:source"; do
    exits 3 --force source "$name"
    eq "$ERR" "ferrycopy: source and $name are the same; nothing to copy"
done
# shellcheck disable=SC2094 # that is the point
ferrycopy --force - source <source >/dev/null 2>err
eq $? 3
like "$(<err)" "*are the same*"
holds same source new

proves "what is no volume is refused with what to do instead"
mkdir folder
mkfifo pipe
exits 3 source folder
eq "$ERR" "ferrycopy: folder is a directory; name a file in it"
exits 3 folder there
eq "$ERR" "ferrycopy: folder is a directory; name a file in it"
exits 3 source pipe
eq "$ERR" "ferrycopy: pipe is a pipe; write -, and let the shell open it: >"
exits 3 pipe there
eq "$ERR" "ferrycopy: pipe is a pipe; write -, and let the shell open it: <"
exits 3 source /dev/null
like "$ERR" "ferrycopy: /dev/null is a character device; *"
exits 3 block:source there
eq "$ERR" "ferrycopy: block:source is no block device"
exits 3 --force source block:old
eq "$ERR" "ferrycopy: block:old is no block device"
exits 1 source block:there
eq "$ERR" "ferrycopy: cannot open block:there: No such file or directory"
fails test -e there
ln -s nowhere dangling
exits 3 source dangling
eq "$ERR" "ferrycopy: dangling is a symbolic link that leads nowhere; remove it"
exits 1 missing there
eq "$ERR" "ferrycopy: cannot open missing: No such file or directory"
exits 1 source no/folder/there
eq "$ERR" "ferrycopy: cannot create no/folder/there: No such file or directory"
exits 1 source gopher:there
like "$ERR" "ferrycopy: gopher: *; a path with a colon is written ./NAME"
exits 0 source ./gopher:there
fails test -e there

# --force is refused while another program has it locked
locked() {
    local before
    before=$(sum "$1")
    python3 - "$1" "$FERRYCOPY" <<'END' >out 2>&1
import fcntl, os, struct, subprocess, sys
fd = os.open(sys.argv[1], os.O_RDWR)
# F_OFD_SETLK, as QEMU locks the images it uses
fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 100, 1, 0))
print(subprocess.run([sys.argv[2], "--force", "source", sys.argv[1]]).returncode)
END
    like "$(<out)" "*ferrycopy: $1 is in use: another program has locked it*"
    like "$(<out)" "*3"
    eq "$(sum "$1")" "$before"
}
proves "a file that another program has locked is refused"
volume locked 1M dense 4
locked locked

proves "a volume that is empty is copied too"
: >nothing
exits 0 nothing copy-of-nothing
holds same nothing copy-of-nothing
exits 0 --force nothing masked
eq "$(size_of masked)" 0

proves "of a long name the end is shown, and the reason"
long=$(printf 'folder-%.0s' {1..25})
mkdir -p "$long/$long/é"
cp old "$long/$long/é/ünd"
exits 3 source "$long/$long/é/ünd"
like "$ERR" "ferrycopy: ...*der-folder-/é/ünd exists and holds 3.0 MiB; --force overwrites it"
exits 1 source "$long/$long/none/there"
like "$ERR" "ferrycopy: cannot create ...*der-folder-/none/there: No such file or directory"
exits 3 --resume "$long/$long/map" --force source "$long/$long/map"
like "$ERR" "ferrycopy: --resume: the map cannot be ...*der-folder-/map; name another file"

proves "a name with control characters is shown harmless"
exits 1 $'no\e[31m' there
eq "$ERR" 'ferrycopy: cannot open no\x1b[31m: No such file or directory'

proves "an NBD export wants --force too, and room; with it as many connections as it is told"
nbdkit --foreground --unix socket memory 4M 2>/dev/null &
until_true test -S socket || wrong "nbdkit does not listen"
nbd="nbd+unix:///?socket=$WORLD/socket"
exits 3 source "$nbd"
eq "$ERR" "ferrycopy: $nbd is there already; --force overwrites what it holds"
exits 3 --create source "$nbd"
like "$ERR" "ferrycopy: $nbd is no file; --create wants a new one"
exits 0 --force --connections=2 source "$nbd"
like "$ERR" "ferrycopy: $nbd is larger than the source: beyond 3.0 MiB it stays as it is"
exits 0 --compare source "$nbd"
volume large 5M sparse 5
exits 3 --force large "$nbd"
eq "$ERR" "ferrycopy: $nbd is too small: it has 4.0 MiB, and 5.0 MiB are needed"
exits 3 --force "$nbd" "$nbd"
eq "$ERR" "ferrycopy: $nbd and $nbd are the same; nothing to copy"
proves "a file that is the source by way of a server is itself afterwards"
for size in 3M 2M; do
    volume served "$size" dense 12
    sum=$(sum served)
    nbdkit --foreground --unix served.socket file served 2>/dev/null &
    until_true test -S served.socket || wrong "nbdkit does not listen"
    for options in --verify=off --sparse=never --io=threads; do
        exits 0 --force "$options" "nbd+unix:///?socket=$WORLD/served.socket" served
        eq "$(sum served)" "$sum"
    done
    kill $!
    wait $! 2>/dev/null
    rm -f served.socket
done
proves "a server that is not there is told"
exits 1 "nbd+unix:///?socket=$WORLD/nobody" there
like "$ERR" "ferrycopy: *nobody*"
fails test -e there

if [[ $(id -u) == 0 ]]; then
    truncate -s 4M disk
    loop disk
    proves "a block device wants --force, whatever it holds"
    exits 3 source "$LOOP"
    eq "$ERR" "ferrycopy: $LOOP is a block device; --force overwrites what it holds"
    exits 3 --create source "$LOOP"
    like "$ERR" "*$LOOP is no file; --create wants a new one"
    proves "one that another program has locked is refused"
    locked "$LOOP"
    proves "a larger device is used, which is said; what lies beyond stays"
    volume disk 4M dense 9
    tail -c 1M disk >beyond
    exits 0 --force source "$LOOP"
    eq "$ERR" "ferrycopy: $LOOP is larger than the source: beyond 3.0 MiB it stays as it is"
    sync disk
    holds cmp -n $((3 << 20)) source disk
    exits 0 --compare source "block:$LOOP"
    tail -c 1M disk | cmp - beyond || wrong "what lies beyond has changed"
    proves "a smaller one is refused"
    volume large 5M sparse 5
    before=$(sum disk)
    exits 3 --force large "$LOOP"
    eq "$ERR" "ferrycopy: $LOOP is too small: it has 4.0 MiB, and 5.0 MiB are needed"
    exits 3 --force --resume map large "$LOOP"
    fails test -e map
    eq "$(sum disk)" "$before"
    proves "the same device is refused"
    ln -s "$LOOP" device
    exits 3 --force "$LOOP" device
    eq "$ERR" "ferrycopy: $LOOP and device are the same; nothing to copy"
    proves "a file and a loop device over it are the same, whichever is the source, partitions too"
    volume under 4M dense 11
    sum=$(sum under)
    loop under
    device=$LOOP
    loop under
    other=$LOOP
    same="are the same; nothing to copy"
    exits 3 --force "$device" under
    eq "$ERR" "ferrycopy: $device and under $same"
    exits 3 --force under "$device"
    eq "$ERR" "ferrycopy: under and $device $same"
    exits 3 --force "$device" "$other"
    eq "$ERR" "ferrycopy: $device and $other $same"
    parts=0
    for number in 1 2; do
        addpart "$device" "$number" $((2048 * number)) 2048 2>/dev/null
        part=/sys/block/${device##*/}/${device##*/}p$number/dev
        [[ -e $part ]] && IFS=: read -r major minor <"$part" && mknod "part$number" b "$major" "$minor" && parts=$number
    done
    if [[ $parts == 2 ]]; then
        exits 3 --force part1 under
        eq "$ERR" "ferrycopy: part1 and under $same"
    fi
    eq "$(sum under)" "$sum"
    if [[ $parts == 2 ]]; then
        exits 0 --force part1 part2
        holds same part1 part2
        delpart "$device" 1
        delpart "$device" 2
    fi
    proves "a device that is mounted is refused"
    truncate -s 32M image
    mkfs.ext4 -q -F image
    loop image
    mkdir mounted
    if mount "$LOOP" mounted; then
        exits 3 --force source "$LOOP"
        like "$ERR" "ferrycopy: $LOOP is in use: *"
    fi
fi
finish
