#!/bin/bash
# A copy that fails or is stopped leaves nothing that looks complete, and ends at once.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"

volume source 20M dense 1
mkdir folder
# The first request is let through, the next ones wait for minutes
slow=--speed=4K

# It has a file open that has no name
has_begun() { has_nameless "$WORLD/folder"; }
holds_bytes() { [[ -e $1 && $(size_of "$1") -gt 0 ]]; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

for signal in INT TERM HUP; do
    proves "SIG$signal ends it at once, as that signal does, and nothing is left"
    begins "$slow" source folder/new
    until_true has_begun || wrong "it has not begun: $(<err)"
    eq "$(ls -A folder)" '' "a new file has no name before it is complete"
    before=$(now_ms)
    kill -"$signal" "$PID"
    ends
    under $((2000 * SLOW)) $(($(now_ms) - before))
    eq "$STATUS" $((128 + $(kill -l $signal)))
    eq "$ERR" "ferrycopy: stopped
ferrycopy: folder/new: what was copied is removed"
    eq "$(ls -A folder)" ''
done

proves "SIGKILL leaves nothing either"
begins "$slow" source folder/new
until_true has_begun || wrong "it has not begun: $(<err)"
kill -KILL "$PID"
ends
eq "$STATUS" 137
eq "$(ls -A folder)" ''

proves "a signal that was ignored at the start stays so"
SIGNALS=--ignore-signal=INT begins "$slow" source folder/new
until_true has_begun || wrong "it has not begun: $(<err)"
kill -INT "$PID"
kill -USR1 "$PID"
says_where() { grep -q ' copied ' err; }
until_true says_where || wrong "it has ended: $(<err)"
kill -TERM "$PID"
ends
eq "$STATUS" 143 # and by the first signal, not the second: that one does not say anything
like "$ERR" "*ferrycopy: stopped*"

proves "where a file cannot be without a name it has one, and is removed"
mkdir folder/in
"$BUILD/tests/faultshim/faultctl" "$WORLD/shim" reset
FAULT="file=$WORLD/shim,call=openat,at=1,do=EOPNOTSUPP,under=$WORLD/folder"
begins "$slow" source "$WORLD/folder/in/new"
until_true holds_bytes folder/in/new || wrong "it has not begun: $(<err)"
kill -TERM "$PID"
ends
eq "$ERR" "ferrycopy: stopped
ferrycopy: $WORLD/folder/in/new: what was copied is removed"
eq "$(ls -A folder/in)" ''
"$BUILD/tests/faultshim/faultctl" "$WORLD/shim" reset
exits 0 source "$WORLD/folder/in/new"
FAULT=''
holds same source "$WORLD/folder/in/new"
rm -r folder/in

proves "of a file that was overwritten it is said that it is not what it was"
volume old 1M dense 2
begins "$slow" --force source old
written() { [[ $(size_of old) == 20971520 ]]; }
until_true written || wrong "it has not begun: $(<err)"
kill -TERM "$PID"
ends
eq "$ERR" "ferrycopy: stopped
ferrycopy: old is not complete and not what it was; do not use it"

proves "with a map both stay, and it is said how to go on"
begins "$slow" --resume map source kept
until_true holds_bytes kept || wrong "it has not begun: $(<err)"
kill -TERM "$PID"
ends
eq "$STATUS" 143
eq "$ERR" "ferrycopy: stopped
ferrycopy: kept is not complete; the same command goes on from map"
holds test -e map
holds test -e kept

proves "a name that was taken meanwhile is not overwritten"
begins "$slow" --control rate source folder/new
until_true has_begun || wrong "it has not begun: $(<err)"
echo theirs >folder/new
echo max >rate
ends
eq "$STATUS" 1
eq "$ERR" "ferrycopy: the copy is whole, but cannot be named folder/new: File exists
ferrycopy: folder/new: what was copied is removed"
eq "$(<folder/new)" theirs
rm folder/new rate

proves "a source that is written meanwhile fails the copy"
cp source changing
begins "$slow" --control rate changing folder/new
until_true has_begun || wrong "it has not begun: $(<err)"
touch changing
echo max >rate
ends
eq "$STATUS" 1
eq "$ERR" "ferrycopy: changing was written while it was copied; copy it again when nobody writes it
ferrycopy: folder/new: what was copied is removed"
eq "$(ls -A folder)" ''

if command -v nbdkit >/dev/null; then
    proves "nor does a second signal leave what has a name, and is not whole"
    nbdkit --foreground --unix slow.socket --filter=delay file source rdelay=60 2>/dev/null &
    server=$!
    until_true test -S slow.socket || wrong "nbdkit does not listen"
    mkdir folder/in
    "$BUILD/tests/faultshim/faultctl" "$WORLD/shim" reset
    FAULT="file=$WORLD/shim,call=openat,at=1,do=EOPNOTSUPP,under=$WORLD/folder"
    begins "nbd+unix:///?socket=$WORLD/slow.socket" "$WORLD/folder/in/new"
    FAULT=''
    until_true test -e folder/in/new || wrong "it has not begun: $(<err)"
    is_stopping() { ((0x$(sed -n 's/^ShdPnd:\t//p' "/proc/$PID/status") == 0)); }
    kill -TERM "$PID"
    holds until_true is_stopping
    tick && tick && tick
    kill -TERM "$PID"
    ends
    eq "$STATUS" 143
    eq "$(ls -A folder/in)" ''
    kill -KILL "$server"
    wait "$server" 2>/dev/null
    rm -r folder/in slow.socket
fi

if [[ $(id -u) == 0 ]] && command -v nbdkit >/dev/null; then
    proves "a source device can be written again, after a second signal too"
    truncate -s 20M disk disk2
    loop disk
    nbdkit --foreground --unix slow.socket --filter=delay file disk2 wdelay=60 2>/dev/null &
    server=$!
    until_true test -S slow.socket || wrong "nbdkit does not listen"
    cp source disk
    begins --force "$LOOP" "nbd+unix:///?socket=$WORLD/slow.socket"
    is_held() { [[ $(blockdev --getro "$LOOP") == 1 ]]; }
    until_true is_held || wrong "it has not begun: $(<err)"
    tick && tick && tick
    kill -TERM "$PID"
    is_stopping() { ((0x$(sed -n 's/^ShdPnd:\t//p' "/proc/$PID/status") == 0)); }
    holds until_true is_stopping
    tick && tick && tick
    kill -TERM "$PID"
    ends
    eq "$STATUS" 143
    eq "$(blockdev --getro "$LOOP")" 0
    kill -KILL "$server"
    wait "$server" 2>/dev/null
fi

if [[ $(id -u) == 0 ]]; then
    proves "a full disk fails the copy, which says so, and is left as empty as it was"
    truncate -s 16M image
    mkfs.ext4 -q -F -m 0 image
    mkdir mounted
    if mount -o loop image mounted; then
        before=$(df --output=avail mounted | tail -n 1)
        exits 1 source mounted/new
        like "$ERR" "ferrycopy: *No space left on device*make room, or use another destination
ferrycopy: mounted/new: what was copied is removed"
        fails test -e mounted/new
        sync -f mounted
        eq "$(df --output=avail mounted | tail -n 1)" "$before"
        feed source | ferrycopy - mounted/new 2>err
        eq $? 1
        like "$(<err)" "ferrycopy: *No space left on device*"
        fails test -e mounted/new
        proves "with a map it goes on where there is room again"
        exits 1 --resume map2 source mounted/new
        like "$ERR" "*mounted/new is not complete; the same command goes on from map2"
    fi
fi
finish
