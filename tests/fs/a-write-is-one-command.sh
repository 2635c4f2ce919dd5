#!/bin/bash
# However a shell or a tool delivers a command, it is carried out once, or refused as a whole.
. "$(dirname "$0")/lib.sh"
needs dash busybox vim
pool ssd tmpfs
pool hdd tmpfs
pool third tmpfs
volume ssd db1 4M sparse
start_ferryfs
V=$MNT/db1
T=$V/migrate/target
jobs=0

# Where the volume is now, and where it shall go
here() { cat "$V/host"; }
there() { if [[ $(here) == ssd ]]; then echo hdd; else echo ssd; fi; }

# SENTENCE COMMAND: the shell command starts the move to $to, and one job only
starts() {
    local to
    to=$(there)
    proves "$1"
    to=$to T=$T $SHELL_UNDER_TEST -c "$2" >"$WORLD/said" 2>&1 || wrong "exit status $?: $(<"$WORLD/said")"
    eq "$(result db1)" success "$(<"$V/migrate/error")"
    eq "$(here)" "$to"
    jobs=$((jobs + 1))
    eq "$(grep -c ' db1 ' "$MNT/.control/history")" "$jobs" "jobs in the history"
}

# SENTENCE COMMAND: the command fails or not, and starts nothing
starts_nothing() {
    local before
    before=$(here)
    proves "$1"
    to=$(there) T=$T $SHELL_UNDER_TEST -c "$2" >"$WORLD/said" 2>&1
    eq "$(within 5 cat "$V/migrate/wait" >/dev/null; here)" "$before"
    eq "$(grep -c ' db1 ' "$MNT/.control/history")" "$jobs" "jobs in the history"
}

for SHELL_UNDER_TEST in bash dash "busybox sh"; do
    starts "$SHELL_UNDER_TEST: echo" 'echo $to >$T'
    starts "$SHELL_UNDER_TEST: printf without a newline" 'printf %s $to >$T'
    starts "$SHELL_UNDER_TEST: >>" 'echo $to >>$T'
    starts "$SHELL_UNDER_TEST: <> and a write" 'echo $to 1<>$T'
    starts "$SHELL_UNDER_TEST: two echoes of one host in one redirection" '{ echo $to; echo $to; } >$T'
done
SHELL_UNDER_TEST=bash
starts "blanks around the word do not matter" 'printf " \t$to \n" >$T'
starts "tee" 'echo $to | tee $T >/dev/null'
starts "tee -a" 'echo $to | tee -a $T >/dev/null'
starts "cp of a file" 'd=$(mktemp); echo $to >$d; cp $d $T; r=$?; rm $d; exit $r'
starts "dd in one block" 'echo $to | dd of=$T status=none'
starts "dd conv=notrunc with an offset" 'echo $to | dd of=$T bs=4k seek=1 conv=notrunc status=none'
starts "cat from a file" 'd=$(mktemp); echo $to >$d; cat $d >$T; r=$?; rm $d; exit $r'
starts "Python" 'python3 -c "import sys; open(sys.argv[1], \"w\").write(sys.argv[2])" $T $to'
starts "sed -n w" 'echo $to | sed -n "w $T"'

starts_nothing "dd bs=1 writes letters, each of which is no host" 'echo $to | dd of=$T bs=1 status=none'
starts_nothing "two hosts in one write are refused" 'printf "ssd\nhdd\n" | dd of=$T status=none'
starts_nothing "200 kB at once are refused" 'head -c 200000 /dev/zero | tr "\\0" h | dd of=$T bs=200000 iflag=fullblock status=none'
eq "$(head -n 1 "$WORLD/said")" "dd: error writing '$T': Invalid argument"
starts_nothing "an empty line is refused" 'echo >$T'
grep -q "Invalid argument" "$WORLD/said" || wrong "$(<"$WORLD/said")"
starts_nothing ": > opens and closes, and means nothing" ': >$T'
eq "$(<"$WORLD/said")" ""
starts_nothing "truncate means nothing, and succeeds" 'truncate -s 0 $T'
eq "$(<"$WORLD/said")" ""
starts_nothing "touch means nothing, and succeeds" 'touch $T'
eq "$(<"$WORLD/said")" ""
starts_nothing "touch -d means nothing, and succeeds" 'touch -d @1 $T'
eq "$(<"$WORLD/said")" ""
starts_nothing "sed -i cannot make its file, and says so" 'sed -i "s/.*/$to/" $T'
like "$(<"$WORLD/said")" "*Operation not permitted*"
starts_nothing "mv over it is not permitted" 'd=$(mktemp); echo $to >$d; mv -f $d $T </dev/null; rm -f $d'
like "$(<"$WORLD/said")" "*Operation not permitted*"
starts_nothing "a host that is none leaves the shell's own message" 'echo nowhere >$T'
like "$(<"$WORLD/said")" "*No such device or address*"

starts "vim" 'vim -es -u NONE --cmd "set nobackup nowritebackup noswapfile viminfo=" $T -c "%s/.*/$to/" -c "w!" -c "q!" </dev/null'

proves "a write at an offset, or to a file opened for appending, is the same command"
to=$(there)
says ok op pwrite "$T" 1000000 "$to"
eq "$(result db1)" success
eq "$(here)" "$to"

stop_ferryfs
hold_copies
start_ferryfs
two_echoes() {
    to=$to T=$T $SHELL_UNDER_TEST -c '{ echo $to; one=$?; echo third 2>/dev/null; two=$?; } >$T; echo $one $two'
}
for SHELL_UNDER_TEST in bash dash "busybox sh"; do
    proves "$SHELL_UNDER_TEST: two echoes of two hosts in one redirection: the first is accepted, the second refused"
    to=$(there)
    says "0 1" two_echoes
    eq "$(<"$V/migrate/message")" "refused EALREADY: already moving to $to; abort that first"
    eq "$(cut -d' ' -f1-3 "$MNT/.control/jobs")" "db1 $(here) $to"
    says ok op write "$V/migrate/abort" 1
    eq "$(result db1)" aborted
done
ctl release

proves "dash is told the true reason of what the state forbids"
says "dash: 1: cannot create $V/migrate/abort: No such process" dash -c "echo 1 >$V/migrate/abort"

proves "settings are read back as they were written"
echo off >"$V/migrate/verify"
eq "$(<"$V/migrate/verify")" off
echo full >"$V/migrate/verify"
eq "$(<"$V/migrate/verify")" full
echo 3 >"$MNT/.control/max_jobs"
eq "$(<"$MNT/.control/max_jobs")" 3
for file in "$V/migrate" "$MNT/.control" "$MNT/.control/hosts/hdd"; do
    for speed in 1 4096 9999999999999 max; do
        echo "$speed" >"$file/speed"
        eq "$(<"$file/speed")" "$speed"
    done
    echo 3K >"$file/speed"
    eq "$(<"$file/speed")" 3072
    echo max >"$file/speed"
done
echo 1 >"$MNT/.control/hosts/hdd/drain"
eq "$(<"$MNT/.control/hosts/hdd/drain")" 1
echo 0 >"$MNT/.control/hosts/hdd/drain"
finish
