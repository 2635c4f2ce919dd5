#!/bin/bash
# `-` is standard input or output: a pipe is copied where that can be done, and refused where not.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"

volume source 20M sparse 1
truncate -s 20971777 source # no whole grain
truncate -s 20M hole

into() { feed "$1" | ferrycopy "${@:2}" 2>err; }
same_as_bytes() { cmp -s <(cat "$1") <(cat "$2"); }

proves "a pipe is copied to a new file, without its zeroes"
into source - new
eq $? 0
eq "$(<err)" ''
holds same source new
under $(($(allocated source) + 65536)) "$(allocated new)"
into hole - empty
eq $? 0
holds same hole empty
eq "$(allocated empty)" 0
true | ferrycopy - nothing
eq $? 0
eq "$(size_of nothing)" 0

proves "every byte is written where that was asked for"
into hole --sparse=never - dense
eq $? 0
holds same hole dense
holds test "$(allocated dense)" -ge $((20 << 20))

proves "sizes about a grain and a block come through"
for size in 1 511 4095 4096 4097 524287 524288 524289 1048577; do
    head -c "$size" source >small
    into small - "copy-$size"
    eq $? 0
    holds same small "copy-$size"
    into small --queue-depth=1 --io=threads --block-size=64K --force - "copy-$size"
    holds same small "copy-$size"
    ferrycopy small - | cmp -s - small || wrong "$size bytes to a pipe"
done

proves "standard input that is a file is that file: sizes, holes, progress"
ferrycopy --progress=json - from-file <source >out
eq $? 0
holds same source from-file
like "$(tail -n 1 out)" '*"event":"done"*"size_bytes":20971777,*'
like "$(tail -n 1 out)" '*"hole_bytes":1[0-9]*'

proves "but what was read of it already is not copied again"
{
    head -c 4096 >/dev/null
    ferrycopy - rest
} <source
if [[ $(size_of rest) -lt 20971777 ]]; then
    tail -c "$(size_of rest)" source | cmp -s - rest || wrong "the rest is another one"
fi

proves "a pipe is verified like a file"
into source --progress=json - verified >out
like "$(tail -n 1 out)" '*"event":"done","phase":"verifying",*"verified_bytes":20971777,*"digest":"*'
like "$(tail -n 1 out)" "*\"digest\":\"$(ferrycopy --digest source | cut -d' ' -f1)\"*"

proves "a volume is copied to a pipe, its holes as zeroes"
ferrycopy source - | cmp - source || wrong "it is not equal"
ferrycopy source - 2>err | cmp - source
eq "$(<err)" ''
ferrycopy hole - | cmp - hole || wrong "holes are not equal"
ferrycopy source - >to-file
holds same source to-file
ferrycopy --progress=json source - 2>err | cmp - source
like "$(tail -n 1 err)" '{"event":"done",*}'

proves "a file that the shell has opened is flushed like any other, which may fail"
"$BUILD/tests/faultshim/faultctl" "$WORLD/shim" reset
FAULT="file=$WORLD/shim,call=fsync,at=1,do=EIO,under=$WORLD"
ferrycopy source - >to-file 2>err
eq $? 1
FAULT=''
eq "$(<err)" "ferrycopy: cannot flush standard output: Input/output error"

proves "a reader that goes away is an error, and said once"
ferrycopy source - 2>err | head -c 1 >/dev/null
eq "${PIPESTATUS[0]}" 1
eq "$(<err)" "ferrycopy: cannot write standard output: Broken pipe"

proves "what cannot be is refused: reading a pipe twice, reading back what went into it"
refused() {
    eq "$(feed source | ferrycopy "${@:2}" 2>&1 >there | cat)" "ferrycopy: $1"
    feed source | ferrycopy "${@:2}" 2>/dev/null | cat >/dev/null
    eq "${PIPESTATUS[1]}" 3
}
refused "--resume: what came out of a pipe cannot be had again; copy from a file" --resume map - new2
refused "--map: a pipe can be read only once and in order; use a file" --map -
refused "--compare: a pipe can be read only once and in order; use a file" --compare - source
refused_out() {
    ferrycopy "${@:2}" 2>err | cat >/dev/null
    eq "${PIPESTATUS[0]}" 3
    eq "$(<err)" "ferrycopy: $1"
}
refused_out "--verify: - cannot be read back" --verify=full source -
refused_out "--resume: a pipe cannot be gone on with" --resume map source -
refused_out "a pipe holds nothing: no --force, no --create" --force source -
feed source | ferrycopy - - 2>err | cat >/dev/null
eq "${PIPESTATUS[1]}" 3
eq "$(<err)" "ferrycopy: - to -: that is cat(1)"
fails test -e new2
fails test -e map

proves "a terminal is no volume"
on_terminal 80 "$FERRYCOPY" source -
eq $? 3
like "$(<drawn)" "ferrycopy: -: a volume is neither typed nor shown; redirect it*"

proves "a closed standard input or output is told"
ferrycopy - there2 <&- 2>err
eq $? 1
like "$(<err)" "ferrycopy: cannot read standard input: Bad file descriptor*"
fails test -e there2
ferrycopy source - >&- 2>err
eq $? 1
eq "$(<err)" "ferrycopy: cannot write standard output: Bad file descriptor"

proves "a pipe that breaks off leaves nothing that looks complete"
mkfifo held
{
    head -c 1M source
    read -r _ <held
} | become_ferrycopy - broken >out 2>err {TICK}>&- &
PID=$!
exec {HELD}<>held
until_true has_nameless "$WORLD" || wrong "it has not begun"
kill -TERM "$PID"
until_true has_ended || wrong "it waits for the pipe"
echo >&"$HELD"
ends
eq "$STATUS" 143
eq "$ERR" "ferrycopy: stopped
ferrycopy: broken: what was copied is removed"
fails test -e broken

proves "a pipe that brings nothing overwrites nothing"
volume held-by-old 1M dense 3
before=$(sum held-by-old)
false | ferrycopy --force - held-by-old 2>err
eq $? 3
eq "$(<err)" "ferrycopy: nothing came from standard input; held-by-old stays as it is"
eq "$(sum held-by-old)" "$before"
ferrycopy --force - held-by-old <&- 2>err
eq $? 1
like "$(<err)" "ferrycopy: cannot read standard input: Bad file descriptor"
eq "$(sum held-by-old)" "$before"

if [[ $(id -u) == 0 ]]; then
    proves "a pipe is copied to a device, over what it held"
    volume disk 24M dense 3
    loop disk
    feed source | ferrycopy --force - "$LOOP" 2>err
    eq $? 0
    holds cmp -n 20971777 source "$LOOP"
    like "$(<err)" "*$LOOP is larger than the source: beyond 20.0 MiB it stays as it is"
    proves "one that brings more than it has room for is a failure"
    head -c 25M /dev/zero | ferrycopy --force - "$LOOP" 2>err
    eq $? 1
    like "$(<err)" "ferrycopy: $LOOP is too small: it has 24.0 MiB, and more has come*"
    proves "a device that is written while it goes into a pipe is no success"
    volume written 64M dense 5
    loop written
    rm held
    mkfifo held
    become_ferrycopy "$LOOP" - >held 2>err {TICK}>&- &
    PID=$!
    exec {HELD}<held
    head -c 1M <&"$HELD" >/dev/null
    blockdev --setrw "$LOOP"
    head -c 4096 /dev/zero | dd of="$LOOP" bs=4096 seek=15000 conv=notrunc,fsync status=none
    cat <&"$HELD" >/dev/null
    ends
    eq "$STATUS" 1
    like "$ERR" "ferrycopy: $LOOP was opened for writing while it was read"
fi
finish
