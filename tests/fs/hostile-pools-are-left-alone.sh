#!/bin/bash
# What is no volume is never opened for its data, followed, listed or deleted, whatever it is called.
. "$(dirname "$0")/lib.sh"
pool ssd ext4 512M
pool hdd ext4 512M
P=$POOLS/ssd
volume ssd good 4M dense
volume ssd db2 1M
volume hdd twice 1M

printf 'secret\n' >"$WORLD/secret"
ln -s /etc/shadow "$P/shadow"
ln -s "$WORLD/secret" "$P/outside"
ln -s good "$P/inside"
ln -s nowhere "$P/dangling"
ln "$P/db2" "$P/hard" # so that both have two links
VOLUMES=(good)
mkfifo "$P/fifo"
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$P/socket"
mknod "$P/null" c 1 3
mknod "$P/disk" b 7 250
mkdir "$P/folder"
echo inner >"$P/folder/volume"
long=$(printf 'n%.0s' {1..255})
for name in "$long" $'new\nline' $'esc\e[2Jape' $'\xff\xfe' -rf '*' 'a b' .hidden '~' 'semi;colon' '$(id)' ; do
    echo "stranger" >"$P/$name"
done
# Our own hidden pattern, made by a stranger: a plain file, one that claims to be ours, one that is empty
cid=11111111-2222-3333-4444-555555555555
echo stranger >"$P/.ferryfs-$cid.copy"
echo stranger >"$P/.ferryfs-22222222-2222-3333-4444-555555555555.copy"
setfattr -n user.ferryfs.copy -v "$cid 22222222-2222-3333-4444-555555555555 7" "$P/.ferryfs-22222222-2222-3333-4444-555555555555.copy"
install -m 0600 /dev/null "$P/.ferryfs-33333333-2222-3333-4444-555555555555.copy"
echo stranger >"$P/.ferryfs-x"
mkdir "$P/.ferryfs-folder"
ln -s /etc/shadow "$P/.ferryfs-44444444-2222-3333-4444-555555555555.copy"
# A name that both pools have
fill "$P/contested" 65536 dense 5
fill "$POOLS/hdd/contested" 65536 dense 6
record_world

# Does anything open what is no volume? atime would not tell of an open: inotify does
inotifywait -m -q -e open,access --format %f "$P" "$P/folder" >"$WORLD/opened" &
watcher=$!
holds until_true grep -q ssd "/proc/$watcher/cmdline"
tick && tick
start_ferryfs
V=$MNT/good

proves "the listing holds the volumes and nothing else"
eq "$(cd "$MNT" && echo *)" "contested good twice" "or contested is not listed at all"
fails test -e "$MNT/shadow"
fails test -e "$MNT/folder"
for name in outside inside dangling hard db2 fifo socket null disk "$long" ".ferryfs-$cid.copy" -rf .hidden; do
    says "stat ENOENT" op stat "$MNT/$name"
done

proves "health tells of them, on one line, with control bytes escaped"
like "$(<"$MNT/.control/health")" "degraded ?*"
eq "$(wc -l <"$MNT/.control/health")" 1
fails grep -q $'\e' "$MNT/.control/health"
fails grep -q $'\e' "$LOG"
tells() { grep -qF -e "$1" "$MNT/.control/health"; }
for stranger in "fifo: fifo" "shadow: symlink" "hard: hard links" 'new\x0aline: no volume'"'s name"; do
    holds until_true tells "not listed ssd/$stranger; "
done
# Of two files of one name the one that was seen first is listed; and $'\xff\xfe', after 20 others
holds until_true tells "/contested: conflicting name"
if tells "not listed hdd/contested: "; then more=1; else more=2; fi
holds until_true tells "; host ssd: and $more more are not listed"

proves "the log and the events tell of them too, escaped once"
holds until_true grep -qF 'not listed ssd/new\x0aline: no volume' "$LOG"
fails grep -qF '\x5c' "$LOG"
holds grep -qF 'not listed ssd/new\\x0aline: no volume' "$MNT/.control/events"
fails grep -qF '\x5c' "$MNT/.control/events"

proves "volumes beside them move to and fro"
migrate good hdd
migrate good ssd
migrate twice ssd
migrate twice hdd
holds until_true idle

proves "nothing but volumes was opened"
echo 1 >"$MNT/.control/rescan"
kill "$watcher"
wait "$watcher" 2>/dev/null
eq "$(grep -vE '^(good|twice|contested|\.ferryfs-pool|\.ferryfs-[0-9a-f-]*\.copy|#[0-9]+)?$' "$WORLD/opened" | sort -u)" ""

proves "a volume whose name is a stranger's at the other place is refused, and the stranger stays"
mkdir "$POOLS/hdd/good"
echo 1 >"$MNT/.control/rescan"
like "$(op write "$V/migrate/target" hdd)" "write EEXIST"
rmdir "$POOLS/hdd/good"
ln -s /etc/shadow "$POOLS/hdd/good"
echo 1 >"$MNT/.control/rescan"
like "$(op write "$V/migrate/target" hdd)" "write EEXIST"
rm "$POOLS/hdd/good"
check_world --mount "$MNT"

proves "a symlink that takes the place of a volume is not followed"
mv "$POOLS/hdd/twice" "$POOLS/hdd/.twice"
ln -s "$WORLD/secret" "$POOLS/hdd/twice"
holds until_true test ! -e "$MNT/twice"
op write "$MNT/twice/migrate/target" ssd >"$WORLD/said"
fails grep -q ok "$WORLD/said"
eq "$(<"$WORLD/secret")" secret
rm "$POOLS/hdd/twice"
mv "$POOLS/hdd/.twice" "$POOLS/hdd/twice"
holds until_true lists twice
check_world # the pools alone: what was gone comes back with another uuid

proves "a volume as big as files can be is listed, and refused where it does not fit"
stop_ferryfs
pool big tmpfs
truncate -s 9223372036854775807 "$POOLS/big/biggest" 2>/dev/null || truncate -s 8E "$POOLS/big/biggest" 2>/dev/null ||
    truncate -s 4E "$POOLS/big/biggest"
record_world
start_ferryfs
holds until_true lists biggest
eq "$(<"$MNT/biggest/size")" "$(stat -c %s "$POOLS/big/biggest")"
like "$(op write "$MNT/biggest/migrate/target" ssd)" "write @(EFBIG|ENOSPC)"
finish
