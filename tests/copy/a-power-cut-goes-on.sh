#!/bin/bash
# The power goes, of the disk and of the machine, while a copy is made and right after it: what is left is less than what
# was written, but nothing that the map promises; the copy goes on from there and comes to the same, and one that has
# ended is whole.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/power.sh
. "$HERE/../power.sh"
need_root
CUTS=${CUTS:-2}

volume source 48M dense 5
volume thin 200M sparse 6
new_disk 400M
TO=(--resume="$DISK/map" --speed=8M --progress=json)

# A checkpoint was recorded since it began
has_promised() {
    ! has_ended || return 0
    [[ -s promised ]] || cp "$DISK/map" promised # it was made, and promises nothing
    [[ -s promised ]] && ! same "$DISK/map" promised
} 2>/dev/null
end_it() {
    kill -KILL "$PID"
    ends
}
lights_out() {
    power_off end_it
    power_on
}

# SOURCE IO
cut_at_random() {
    local cuts skipped i
    for ((cuts = 0; ; cuts++)); do
        cp "$DISK/map" promised 2>/dev/null || : >promised
        begins "${TO[@]}" --io="$2" "$1" "$DISK/copy"
        ((cuts < CUTS)) || break
        holds until_true has_promised
        for ((i = RANDOM % 50; i > 0; i--)); do tick; done
        ! has_ended || break
        lights_out
        [[ -e $DISK/map ]] || wrong "the map is lost, which was there before the cut"
    done
    ends
    eq "$STATUS" 0 "$ERR"
    skipped=$(of_last skipped_bytes)
    power_off
    power_on
    echo "# $cuts cuts; $skipped bytes not done again in the end"
    ((skipped > 0)) || wrong "nothing was kept"
    same "$1" "$DISK/copy" || wrong "it differs after a cut at its end: $(cmp "$1" "$DISK/copy")"
    fails test -e "$DISK/map"
    rm "$DISK/copy"
    sync -f "$DISK"
}

RANDOM=${SEED:=$$}
echo "# SEED=$SEED"
proves "such a disk forgets what was not flushed, and nothing else"
cp source "$DISK/unflushed"
cp thin "$DISK/flushed"
sync "$DISK/flushed" "$DISK"
echo more >>"$DISK/flushed"
power_off
power_on
same thin "$DISK/flushed" || wrong "what was flushed is not there"
fails same source "$DISK/unflushed"
rm -f "$DISK/flushed" "$DISK/unflushed"
sync -f "$DISK"

for row in "source auto" "source threads" "thin auto"; do
    read -r from io <<<"$row"
    proves "a copy of $from by $io goes on after power cuts, and is whole when it has ended"
    cut_at_random "$from" "$io"
done
finish
