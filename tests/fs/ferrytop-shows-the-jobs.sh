#!/bin/bash
# ferrytop shows all jobs: as text, and on terminals of several sizes, which it leaves as they were.
. "$(dirname "$0")/lib.sh"
needs tmux mandoc
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
volume ssd db2 4M dense
LONG=a-volume-$(printf 'very-%.0s' {1..20})long-name
volume ssd "$LONG" 1M
head -c $((40 * 4096)) /dev/urandom | split -b 4096 -d - "$POOLS/ssd/many"
export TZ=UTC
FERRYTOP=$HERE/../../contrib/ferrytop/ferrytop
top() { "$FERRYTOP" "$@"; }


# A terminal with a shell

tm() { TMUX_TMPDIR=$WORLD tmux -f /dev/null "$@"; }
screen() { tm capture-pane -p "$@"; }
# In the locale of what is looked at
utf8() { LC_ALL=C.UTF-8 "$@"; }
shown() { screen | utf8 grep -qE "$1"; }
not_shown() { ! shown "$1"; }
shows() { until_true shown "$1" || wrong "there is no $1 on the screen: $(screen)"; }
widest() { utf8 wc -L; }
types() { tm send-keys -l "$1" && tm send-keys Enter; }
begin_top() {
    types "clear; stty -g >before; rm -f after; echo here; $*"
    shows "^ferryfs .*running, "
}
on_screen() { begin_top "$FERRYTOP $MNT"; }
top_pid() { pgrep -f "^/usr/bin/python3 $FERRYTOP"; }
# The shell's: it has prompted
is_ours() { [[ $(tm display -p '#{alternate_on}') == 0 && $(screen | sed '/^ *$/d' | tail -n 1) == '$' ]]; }
# STATUS: it has ended with it, and the terminal is as before
is_restored() {
    until_true is_ours || wrong "it does not end"
    types 'echo status $?; stty -g >after'
    shows "^status $1\$"
    shows '^here$'
    until_true test -s after || wrong "the shell does not answer"
    eq "$(<after)" "$(<before)"
    eq "$(tm display -p '#{alternate_on} #{cursor_flag} #{wrap_flag}')" "0 1 1" "alternate screen, cursor, wrapping"
}

cd "$WORLD" || exit
hold_copies
start_ferryfs
TMUX_TMPDIR=$WORLD LC_ALL=C.UTF-8 TERM=xterm tmux -f /dev/null new-session -d -x 80 -y 24 "env PS1='$ ' sh" || die "no tmux"

proves "--version is that of ferryfs; wrong usage is 2; where no ferryfs is it says so and ends with 1"
eq "$(top --version)" "ferrytop $("$FERRYFS" --version | awk '{ print $2 }')"
top --what 2>/dev/null
eq "$?" 2
says "ferrytop: no ferryfs is mounted at $WORLD" top --once "$WORLD"
top --once "$WORLD" 2>/dev/null
eq "$?" 1

proves "with nothing to do it says so, and sleeps until something happens"
on_screen
shows "^no jobs"
shows "^health ok"
pid=$(top_pid)
slept() { awk '/ctxt_switches/ { n += $2 } END { print n }' "/proc/$pid/status"; }
asleep() { local n; n=$(slept); TICK_S=0.5 tick; [[ $(slept) == "$n" ]]; }
holds until_true asleep
put 1 "$MNT/.control/hosts/hdd/drain"
shows "^hdd .* drain 0\$"
put 0 "$MNT/.control/hosts/hdd/drain"
until_true not_shown drain || wrong "the screen is not drawn anew"

for v in db1 db2 "$LONG"; do put hdd "$MNT/$v/migrate/target"; done
held

proves "it shows two jobs that run and one that waits, with bars, rates and the free space of the hosts"
shows "^ferryfs .* 2 running, 1 queued"
shows "^db1 +ssd → hdd +copying +[━╸]*─+ +[0-9]+% +[0-9.-]+"
shows "^db2 +ssd → hdd +copying +[━╸]*─+ +[0-9]+% +[0-9.-]+"
shows "^a-volume-[a-z-]*… +ssd → hdd +queued +─+ +0%\$"
shows "^hdd +[━╸]*─+ +1.0 GiB +1.0 GiB +0 +2\$"
eq "$(screen | widest)" 80

proves "colours are there, and are not with NO_COLOR"
holds grep -q $'\e\\[3[1-6]m' <(screen -e)
tm send-keys q
is_restored 0
begin_top "NO_COLOR=1 $FERRYTOP $MNT"
shows "^db1 +ssd → hdd +copying"
fails grep -q $'\e\\[3[1-6]m' <(screen -e)
tm send-keys q
is_restored 0

proves "--once is text without escapes, for a pipe with whole names, ASCII unless the locale is UTF-8"
text=$(top --once "$MNT")
fails grep -q $'[^ -~]' <<<"$text"
like "$text" "ferryfs $("$FERRYFS" --version | awk '{ print $2 }') at $MNT: 2 running, 1 queued*
health ok
*
hdd *\[---*\] * 1.0 GiB * 1.0 GiB * 0 * 2
*
db1 * ssd > hdd *copying *\[*-\] * *%*
db2 * ssd > hdd *copying *\[*-\] * *%*
$LONG ssd > hdd *queued *\[---*\] * 0%"
like "$(LC_ALL=C.UTF-8 top --once "$MNT")" "*db1 * ssd → hdd *copying *─* *%*"
eq "$(env -u LC_ALL -u LC_CTYPE LANG=C "$FERRYTOP" --once "$MNT" | grep -c →)" 0
eq "$(COLUMNS=40 top --once "$MNT" | widest)" 40
like "$(TERM=dumb script -qec "$FERRYTOP $MNT" /dev/null </dev/null)" "ferryfs *db1 *copying*"
top --once "$MNT" | head -n 1 >"$WORLD/cut"
eq "${PIPESTATUS[0]}" 0

proves "progress is drawn as it comes"
on_screen
further() { screen | grep -qE '^db[12] .* [1-9][0-9]*%'; }
fails further
ctl pass 4
holds until_true further

proves "a terminal of 40 columns and 10 lines has names, bars and percents, and another size is drawn at once"
tm resize-window -x 40 -y 10
shows "^db1 +[━╸]*─+ +[0-9]+% "
until_true shown "^a-volume-[a-z-]*… " || wrong "$(screen)"
under 41 "$(screen | widest)"
fails shown "ssd → hdd"
tm resize-window -x 120 -y 30
shows "^db1 +ssd → hdd +copying"
tm resize-window -x 80 -y 24

proves "Ctrl-Z gives the terminal back, and fg goes on"
tm send-keys C-z
shows "^here"
eq "$(tm display -p '#{alternate_on} #{cursor_flag}')" "0 1"
types fg
shows "^db1 +ssd → hdd +copying"
tm send-keys q
is_restored 0

proves "SIGINT and SIGTERM end it, and the terminal is as before"
on_screen
tm send-keys C-c
is_restored 130
on_screen
kill -TERM "$(top_pid)"
is_restored 143

proves "results are shown when jobs have ended, with what went wrong"
on_screen
put 1 "$MNT/db2/migrate/abort"
ctl release
shows "^[0-9:]{8} db1 +ssd → hdd +success +4.0 MiB +[0-9:]+\$"
shows "^[0-9:]{8} db2 +ssd → hdd +aborted"
tm send-keys q
is_restored 0
for v in db1 "$LONG"; do eq "$(result "$v")" success; done

stop_ferryfs
hold_copies
start_ferryfs

proves "of more jobs than a screen has lines it shows those that run, and says how many more there are"
for v in "$MNT"/many*; do echo hdd >"$v/migrate/target"; done || wrong "not all are accepted"
held
on_screen
shows "^ferryfs .* 2 running, 38 queued"
more() { screen | sed -nE 's/^… ([0-9]+) more jobs$/\1/p'; }
eq "$(($(more) + $(screen | grep -c ^many)))" 40
eq "$(screen | grep -cE '^many.* (copying|reserving) ')" 2
eq "$(screen | widest)" 80
eq "$(top --once "$MNT" | grep -c ^many)" 40
for v in "$MNT"/many*; do echo 1 >"$v/migrate/abort"; done || wrong "not all are aborted"
ctl release
shows "^no jobs"
tm send-keys q
is_restored 0

proves "what a mount never says can do nothing to a terminal"
made=$WORLD/made/.control
mkdir -p "$made/hosts/h"
echo 9 >"$made/version"
printf 'degraded host \e]0;title\a \xe2\x80\xae\n' >"$made/health"
printf 'x\e[2J\e[31m a b copying 50 1 1 copy\n\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd a b %s 777 -1 9999999999999999999999 copy\n\xff\xfe a b c null null null copy\nshort line\n' \
    phase-with-a-very-long-name >"$made/jobs"
echo null >"$made/history"
for f in state driver capacity free volumes jobs drain last_error; do echo up >"$made/hosts/h/$f"; done
text=$(LC_ALL=C.UTF-8 COLUMNS=60 top --once "$WORLD/made")
fails grep -q $'[\x01-\x1f\x7f]' <<<"$text"
fails grep -qF $'\xe2\x80\xae' <<<"$text"
eq "$(widest <<<"$text")" 60
like "$text" "*"$'health degraded host ?]0;title? ?\n'*
like "$text" "*"$'\nx?[2J?[31m '*" 50% "*
like "$text" "*"$'\n\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0'*…*

proves "1000 jobs are no more than 24 lines"
for i in {1..1000}; do echo "v$i a b queued 0 null 0 copy"; done >"$made/jobs"
sed -i "999,\$ s/queued/copying/" "$made/jobs"
begin_top "$FERRYTOP $WORLD/made"
shows "2 running, 998 queued"
shows "^v999 .* copying"
eq "$(($(more) + $(screen | grep -c "^v[0-9]")))" 1000
shows "^q quits"
tm send-keys q
is_restored 0

proves "when the mount ends so does ferrytop, with a message, and the terminal is as before"
stop_ferryfs
no_fault
start_ferryfs
on_screen
stop_ferryfs
shows "^ferrytop: (cannot read|no ferryfs is mounted at) $MNT"
is_restored 1
printf '[host %s]\npath = %s\n' ssd "$POOLS/ssd" hdd "$POOLS/hdd" >"$WORLD/conf"
args=("${HOST_ARGS[@]}")
HOST_ARGS=()
start_ferryfs -c "$WORLD/conf"
on_screen

proves "a host that the configuration has no more stays until a restart, and so does ferrytop"
sed -i '/hdd/d' "$WORLD/conf"
kill -HUP "$DAEMON"
until_true grep -q "nothing changes: the number of hosts has changed; that takes a restart" "$LOG" || wrong "it is not refused"
put 1 "$MNT/.control/hosts/hdd/drain"
shows "^hdd .* drain 0\$"

proves "when the daemon is killed ferrytop ends, with a message, and the terminal is as before"
HOST_ARGS=("${args[@]}")
kill_ferryfs
shows "^ferrytop: cannot read $MNT: "
is_restored 1
start_ferryfs
finish
