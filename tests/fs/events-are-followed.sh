#!/bin/bash
# .control/events is a file that grows: whoever follows it gets every line once, also where it starts anew at 16 MiB.
. "$(dirname "$0")/lib.sh"
needs busybox inotifywait
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
LIMIT=$((16 << 20)) BURST=1500
"$FERRYFS" --list-crash-points >"$WORLD/points" 2>&1 && LIMIT=$((1 << 20)) BURST=100 # a build for tests
export FERRYFS_EVENTS_BYTES=$LIMIT
start_ferryfs
EVENTS=$MNT/.control/events

# N: as many refusals, one after the other; says how many a second
refuse_many() {
    python3 - "$MNT/db1/migrate/target" "$1" <<'END'
import os, sys, time
fd, began = os.open(sys.argv[1], os.O_WRONLY), time.monotonic()
for _ in range(int(sys.argv[2])):
    try:
        os.write(fd, b"\xff" * 64)
        sys.exit("it was not refused")
    except OSError:
        pass
print(f"# {int(int(sys.argv[2]) / (time.monotonic() - began))} refusals a second", file=sys.stderr)
END
}

# FILE: as far as it was followed it is whole lines, from the first to the last there is now, each once
has_all() { [[ $(tail -n 1 "$1") == "$(tail -n 1 "$EVENTS")" ]]; }
is_whole() {
    sed -n 's/^{"time":"[^"]*","seq":\([0-9]*\),"event":.*}$/\1/p' "$1" | cmp -s - <(seq "$(tail -n 1 "$EVENTS" |
        sed 's/.*"seq":\([0-9]*\).*/\1/')") || wrong "${1##*/} is not whole: $(wc -l <"$1") lines, $(grep -c . "$1")"
}

proves "its size is true, it is read at any offset, and what was read stays"
cp "$EVENTS" "$WORLD/before"
eq "$(stat -c %s "$EVENTS")" "$(wc -c <"$WORLD/before")"
exec 8<"$EVENTS"
cat <&8 >"$WORLD/read"
holds cmp "$WORLD/read" "$WORLD/before"
refuse_many 100 2>/dev/null
cat <&8 >>"$WORLD/read"
holds cmp "$WORLD/read" "$EVENTS"
exec 8<&-
fails test "$(stat -c %s "$EVENTS")" == "$(wc -c <"$WORLD/before")"
holds cmp -n "$(wc -c <"$WORLD/before")" "$EVENTS" "$WORLD/before"
op mmap "$EVENTS" >"$WORLD/mapped"
holds cmp "$WORLD/mapped" "$EVENTS"
busybox cat "$EVENTS" | cmp -s - "$WORLD/mapped" || wrong "busybox cat reads something else"
eq "$(busybox tail -c 100 "$EVENTS")" "$(tail -c 100 "$WORLD/mapped")"
eq "$(stat -c '%a %h' "$EVENTS")" "444 1"
fails eval ': >"$EVENTS"' 2>/dev/null

proves "poll(2) wakes for a new event, and inotify tells of it"
python3 - "$EVENTS" "$MNT/db1/migrate/target" <<'END' || wrong "poll does not wake"
import os, select, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
poll = select.poll()
poll.register(fd, select.POLLPRI)
before = os.read(fd, 1 << 24)
assert not poll.poll(100), "it wakes for nothing"
for _ in range(3):
    target = os.open(sys.argv[2], os.O_WRONLY)
    try:
        os.write(target, b"nowhere")
    except OSError:
        os.close(target)
    assert poll.poll(20000), "it does not wake"
    new = os.read(fd, 1 << 24)
    assert new.count(b"\n") == 1 and b'"ENXIO"' in new, new
    assert not poll.poll(100), "it wakes again"
END
inotifywait -q -t 20 -e modify "$EVENTS" >"$WORLD/inotify" &
watcher=$!
watches() { grep -q inotify "/proc/$watcher/fdinfo/"* 2>/dev/null; }
holds until_true watches
refuse_many 1 2>/dev/null
wait "$watcher" || wrong "inotify does not tell"

rss_bytes() { awk '/^RssAnon/ { print $2 * 1024 }' "/proc/$DAEMON/status"; }

proves "100 who follow at once get every line, and each costs the daemon next to nothing"
before=$(rss_bytes)
for ((i = 0; i < 100; i++)); do
    tail -n +1 -s 0.2 -f "$EVENTS" >"$WORLD/follower.$i" &
    followers[i]=$!
done 2>/dev/null
refuse_many $((BURST / 2))
all_have_all() { [[ $(stat -c %s "$EVENTS" "$WORLD"/follower.* | sort -u | wc -l) == 1 ]]; }
until_true all_have_all || wrong "not all get to the end: $(stat -c %s "$EVENTS" "$WORLD"/follower.* | sort | uniq -c)"
kill "${followers[@]}"
eq "$(sha256sum "$EVENTS" "$WORLD"/follower.* | cut -d' ' -f1 | sort | uniq -c | tr -s ' ' | cut -d' ' -f2)" 101
is_whole "$EVENTS"
rm "$WORLD"/follower.*
# What a sanitizer keeps of freed memory says nothing
((SLOW > 1)) || under $((before + 2 * $(stat -c %s "$EVENTS") + (2 << 20))) "$(rss_bytes)" "bytes of its memory, $before before"

proves "where it starts anew, tail -f, tail -F, busybox tail -f and a program that just reads go on, and miss nothing"
tail -n +1 -s 0.1 -f "$EVENTS" >"$WORLD/tail-f" 2>"$WORLD/said-f" &
followers=("$!")
tail -n +1 -s 0.1 -F "$EVENTS" >"$WORLD/tail-F" 2>"$WORLD/said-F" &
followers+=("$!")
busybox tail -n +1 -s 1 -f "$EVENTS" >"$WORLD/busybox-f" &
followers+=("$!")
python3 -c '
import sys, time
with open(sys.argv[1], "rb", buffering=0) as events:
    while True:
        line = events.read(1 << 20)
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        if not line:
            time.sleep(0.05)
' "$EVENTS" >"$WORLD/reader" &
followers+=("$!")
most=0 size=$(stat -c %s "$EVENTS") last=0
while ((size >= last)); do
    last=$size
    refuse_many $BURST 2>/dev/null
    for name in tail-f tail-F busybox-f reader; do
        until_true has_all "$WORLD/$name" || die "$name does not get to the end"
    done
    size=$(stat -c %s "$EVENTS")
    ((size < most)) || most=$size
done
refuse_many 100 2>/dev/null
for name in tail-f tail-F busybox-f reader; do
    until_true has_all "$WORLD/$name" || wrong "$name does not get to the end"
    is_whole "$WORLD/$name"
done
like "$(<"$WORLD/said-f")" "*file truncated*"
like "$(<"$WORLD/said-F")" "*file truncated*"
echo "# it had $most bytes, and has $(stat -c %s "$EVENTS") after it started anew"
under $((LIMIT + 1)) "$most"
fails test "$most" -lt $((LIMIT * 5 / 8))
under $((LIMIT / 4)) "$(stat -c %s "$EVENTS")"

# With 16 MiB that takes a minute, and is the same
if ((LIMIT < 16 << 20)); then
    proves "it does not wait beyond the limit for one who does not read on"
    exec 8<"$EVENTS"
    read -r -u 8 _
    size=$(stat -c %s "$EVENTS") last=0 most=0
    while ((size >= last)); do
        last=$size
        ((size < most)) || most=$size
        refuse_many $BURST 2>/dev/null
        size=$(stat -c %s "$EVENTS")
    done
    under $((LIMIT + 1)) "$most"
    fails test "$most" -lt $((LIMIT * 7 / 8))
    like "$(head -n 1 <&8)" '{"time":*'
    exec 8<&-
fi
kill "${followers[@]}"
finish
