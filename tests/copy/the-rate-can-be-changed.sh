#!/bin/bash
# --speed and --control: a limit that holds, and that a file changes while the copy runs.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"

volume source 8M dense 1
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
limit_is() { [[ $(tail -n 1 out) == *"\"limit_bytes_per_s\":$1,"* ]]; }
says_of() { grep -q "$1" err; }

proves "a limit holds"
before=$(now_ms)
exits 0 --speed=4M source copy
took=$(($(now_ms) - before))
holds same source copy
holds test "$took" -ge 1500
rm copy

proves "so it does for what is only read, and for pipes"
before=$(now_ms)
exits 0 --speed=4M --digest source
exits 0 --speed=4M --compare source source
ferrycopy --speed=4M source - >/dev/null
feed source | ferrycopy --speed=4M --verify=off - null:
took=$(($(now_ms) - before))
holds test "$took" -ge 6000
before=$(now_ms)
feed source | ferrycopy --speed=4M --digest - >/dev/null
took=$(($(now_ms) - before))
holds test "$took" -ge 1500

proves "the control file tells the rate from the start"
echo 4K >rate
begins --control rate --progress=json source copy
until_true limit_is 4096 || wrong "$(<out)"
proves "and whenever it is written"
echo 8K >rate
until_true limit_is 8192 || wrong "$(tail -n 1 out)"
printf 16K >rate
until_true limit_is 16384 || wrong "$(tail -n 1 out)"
proves "and when another file takes its name"
echo 5K >new
mv new rate
until_true limit_is 5120 || wrong "$(tail -n 1 out)"
proves "what is no rate is said, and changes nothing"
echo fast >rate
until_true says_of '^ferrycopy: rate: "fast" is no rate: ' || wrong "$(<err)"
printf '1K\n2K\n' >rate
until_true says_of '^ferrycopy: cannot read rate: not one line with a rate; the speed stays as it is' || wrong "$(<err)"
holds limit_is 5120
: >rate
rm rate
mkdir rate
rmdir rate
proves "SIGUSR1 reads it again, and tells how far it is"
ln -s elsewhere rate # which no watch of this folder tells of
mkdir far
ln -sf far/rate rate
echo 6K >far/rate
lines=$(wc -l <out)
kill -USR1 "$PID"
until_true limit_is 6144 || wrong "$(tail -n 1 out)"
holds test "$(wc -l <out)" -gt "$lines"
proves "max lets it go"
echo max >far/rate
kill -USR1 "$PID"
ends
eq "$STATUS" 0
like "$(<out)" '*"limit_bytes_per_s":null,*"event":"done"*'
holds same source copy
rm -f copy rate

proves "a control file that is not there yet is no error; its directory has to be"
exits 0 --control rate source copy
exits 1 --control no/folder/rate source copy2
eq "$ERR" "ferrycopy: cannot watch the directory of no/folder/rate: No such file or directory"
fails test -e copy2
rm copy

proves "what was said by --speed holds where the control file does not"
begins --speed 4K --control rate --progress=json source copy
until_true limit_is 4096 || wrong "$(<out)"
echo max >rate
ends
eq "$STATUS" 0

proves "a descriptor tells the rate too, a line a rate, and the last one to speak is heeded"
rm -f copy rate
mkfifo told
exec {SAYS_RATE}<>told
begins --control rate --control-fd="$SAYS_RATE" --speed=4K --progress=json source copy
until_true limit_is 4096 || wrong "$(<out)"
echo 5K >told
until_true limit_is 5120 || wrong "$(tail -n 1 out)"
printf '6' >told
printf 'K\n7K\n' >told
until_true limit_is 7168 || wrong "$(tail -n 1 out)"
echo 8K >rate
until_true limit_is 8192 || wrong "$(tail -n 1 out)"
echo 9K >told
until_true limit_is 9216 || wrong "$(tail -n 1 out)"
echo fast >told
until_true says_of '^ferrycopy: --control-fd: "fast" is no rate: ' || wrong "$(<err)"
printf '%0100d\n' 0 >told
until_true says_of '^ferrycopy: --control-fd: a line too long for a rate; ' || wrong "$(<err)"
eq "$(grep -c 'too long' err)" 1
holds limit_is 9216
echo max >told
ends
eq "$STATUS" 0
holds same source copy
exec {SAYS_RATE}>&-

proves "at its end the speed stays"
rm -f copy rate
(exec {FROM}< <(printf 5K) && become_ferrycopy --control-fd=$FROM --control rate --progress=json source copy) >out 2>err &
PID=$!
until_true limit_is 5120 || wrong "$(<out)"
lines=$(wc -l <out)
more_lines() { (($(wc -l <out) > lines)); }
holds until_true more_lines
holds limit_is 5120
echo max >rate
ends
eq "$STATUS" 0
for n in 0 2 99 x -1 ''; do
    copies --control-fd="$n" source copy2
    eq "$STATUS" 2
done
like "$ERR" 'ferrycopy: --control-fd: "" is no number of a descriptor above 2*'
exits 2 --control-fd=99 source copy2
like "$ERR" 'ferrycopy: --control-fd: descriptor 99 is not open*'
fails test -e copy2

proves "without any progress asked for SIGUSR1 prints one line of it"
rm -f copy rate
begins --speed 4K --control rate source copy
until_true has_nameless "$WORLD" || wrong "it has not begun: $(<err)"
kill -USR1 "$PID"
until_true says_of ' of 8.0 MiB copied ' || wrong "$(<err)"
echo max >rate
ends
eq "$STATUS" 0
finish
