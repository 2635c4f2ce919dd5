#!/bin/bash
# The main job: an image of a real filesystem moves to another host and back, by echo and cat alone.
# SIZE is the image's; 4G is what an administrator has.
. "$(dirname "$0")/lib.sh"
SIZE=${SIZE:-512M}

pool ssd ext4 6G
pool hdd xfs 6G
mkfs.ext4 -q -F -d /usr/include "$POOLS/ssd/root" "$SIZE" >"$WORLD/mkfs" || die "no image of /usr/include"
chown 1234:2345 "$POOLS/ssd/root"
chmod 0640 "$POOLS/ssd/root"
setfattr -n user.note -v "the root disk" "$POOLS/ssd/root"
setfacl -m u:4321:r "$POOLS/ssd/root" 2>/dev/null
touch -d @1600000000.123456789 "$POOLS/ssd/root"
VOLUMES+=(root)
volume ssd other 16M dense
wanted=$(sum "$POOLS/ssd/root")
V=$MNT/root
start_ferryfs

proves "a volume at rest shows where it is and what it is"
eq "$(<"$V/host")" ssd
eq "$(<"$V/status")" available
eq "$(<"$V/previous_status")" null
eq "$(<"$V/size")" "$(numfmt --from=iec "$SIZE")"
eq "$(<"$V/allocated")" "$(($(stat -c %b "$POOLS/ssd/root") * 512))"
eq "$(<"$V/path")" "$POOLS/ssd/root"
eq "$(<"$V/migrate/target")" ssd
eq "$(<"$V/migrate/status")" null
eq "$(<"$V/migrate/phase")" idle
eq "$(<"$V/migrate/progress")" null
eq "$(<"$V/migrate/message")" null
eq "$(<"$V/migrate/abort")" 0
eq "$(timeout 5 cat "$V/migrate/wait")" null

# All names, with those that begin with a dot
listing() { find "$1" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' '; }

# What a watcher saw, a line a look, in this order: progress result status former-status listing
watch() {
    local status progress
    while [[ ! -e $WORLD/watched ]]; do
        # Of one moment: a job may begin or end between two reads
        status=$(<"$V/migrate/status")
        progress=$(<"$V/migrate/progress")
        [[ $(<"$V/migrate/status") == "$status" ]] || continue
        echo "$progress $status $(<"$V/status") $(<"$V/previous_status") $(listing "$MNT")"
    done >"$WORLD/seen"
}

# FROM TO
journey() {
    local from=$1 to=$2 allocated minimum began watcher
    allocated=$(<"$V/allocated")
    minimum=$(python3 - "$POOLS/$from/root" <<'END'
import sys
zero, n = bytes(4096), 0
with open(sys.argv[1], "rb") as f:
    while block := f.read(4096):
        n += block != zero[:len(block)]
print(n * 4096)
END
)
    rm -f "$WORLD/watched"
    watch &
    watcher=$!
    proves "$from to $to: echo is accepted in under 0.5 s"
    began=$(now_ms)
    echo "$to" >"$V/migrate/target" || wrong "echo failed: $(<"$V/migrate/message")"
    under $((500 * SLOW)) $(($(now_ms) - began)) "ms for echo"
    like "$(<"$V/migrate/message")" "accepted [0-9]*: $from -> $to, $(<"$V/size") bytes"
    eq "$(<"$V/migrate/target")" "$to"

    proves "$from to $to: wait blocks until it says success"
    eq "$(result root)" success "$(<"$V/migrate/error")"
    : >"$WORLD/watched"
    wait "$watcher"

    proves "$from to $to: the bytes are the same, the volume is at its new host alone"
    eq "$(<"$V/host")" "$to"
    eq "$(<"$V/path")" "$POOLS/$to/root"
    eq "$(<"$V/status")" available
    eq "$(<"$V/migrate/progress")" 100
    eq "$(<"$V/migrate/error")" null
    eq "$(sum "$POOLS/$to/root")" "$wanted"
    holds until_true test ! -e "$POOLS/$from/root"
    holds until_true idle
    check_world --mount "$MNT"

    proves "$from to $to: it takes no more space than its data needs"
    ((minimum > allocated)) && minimum=$allocated
    under $((minimum + minimum / 100 + 4096)) $(($(stat -c %b "$POOLS/$to/root") * 512)) "bytes allocated"
    eq "$(number root bytes_total)" "$(<"$V/size")"
    eq "$(number root bytes_done)" "$(<"$V/size")"
    eq $(($(number root bytes_copied) + $(number root bytes_zero) + $(number root bytes_hole))) "$(<"$V/size")"

    proves "$from to $to: status, progress and listing were right at every moment"
    eq "$(cut -d' ' -f2,3,5- "$WORLD/seen" | sort -u |
        grep -vxE '(null|starting|migrating|completing|success) (migrating|available) \.control other root ')" ""
    grep -q ' migrating migrating ' "$WORLD/seen" || wrong "nobody saw it migrate"
    eq "$(awk '$1 == 100 && $2 != "success"' "$WORLD/seen")" "" "100 before success"
    awk '$2 == "migrating" && $1 != "null" { if ($1 < last) { print "# from " last " to " $1; exit 1 } last = $1 }' \
        "$WORLD/seen" || wrong "progress went back"
}

journey ssd hdd
proves "the image's filesystem is sound at its new place"
holds e2fsck -fn "$POOLS/hdd/root" >"$WORLD/fsck" 2>&1
journey hdd ssd

proves "the history tells both, newest first"
eq "$(cut -d' ' -f2,5-7 "$MNT/.control/history")" $'root hdd ssd success\nroot ssd hdd success'

proves "while it moves its copy is in no listing, and nobody finds it by its name"
stop_ferryfs
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" hdd
held
hidden=$(cd "$POOLS/hdd" && echo .ferryfs-*.copy)
holds test -s "$POOLS/hdd/$hidden"
eq "$(listing "$MNT")" ".control other root "
eq "$(find "$MNT" -name '.ferryfs*' -o -name '*.copy')" ""
for folder in "$MNT" "$V" "$V/migrate" "$MNT/.control" "$MNT/.control/hosts/hdd"; do
    says "open ENOENT" op open "$folder/$hidden" r
    says "stat ENOENT" op stat "$folder/$hidden"
done
check_world --mount "$MNT"
ctl release
eq "$(result root)" success
no_fault
migrate root ssd

proves "asking for the host where it is succeeds and does nothing"
says ok op write "$V/migrate/target" ssd
eq "$(<"$V/migrate/message")" "already on ssd"
eq "$(<"$V/migrate/status")" success
finish
