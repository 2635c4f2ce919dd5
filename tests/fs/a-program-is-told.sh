#!/bin/bash
# The program of `notify` is run for events, and whatever it does, the daemon does not wait for it.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
TOLD=$WORLD/told
mkdir -m 1777 "$TOLD"

# Script from stdin, as the program: what it is told it leaves in $TOLD
program() {
    cat >"$WORLD/program.new" <(echo '#!/bin/sh') -
    chmod 755 "$WORLD/program.new"
    mv "$WORLD/program.new" "$WORLD/program" # it may be running
    rm -rf "${TOLD:?}"/*
}
logged() { tail -c "+$((log_bytes + 1))" "$LOG" | grep -c "$1"; }
is_logged() { (($(logged "$1"))); }
restart() {
    [[ -z $DAEMON ]] || stop_ferryfs
    log_bytes=$(stat -c %s "$LOG")
    start_ferryfs --notify "$WORLD/program $TOLD  two" "$@"
}
refuse_many() {
    python3 - "$MNT/db1/migrate/target" "$1" <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
for _ in range(int(sys.argv[2])):
    try:
        os.write(fd, b"nowhere")
        sys.exit("it was not refused")
    except OSError:
        pass
END
}
running() { pgrep -c -f "^/bin/sh $WORLD/program"; }
nothing_runs() { [[ $(running) == 0 ]]; }

proves "it gets the event on stdin, its keys in a clean environment, and its arguments"
program <<'END'
cat >"$1/$FERRYFS_EVENT.json.new"
{
    echo "$# $2 $(pwd)"
    id -u && id -g && id -G
    grep -E '^Cap(Prm|Eff|Inh|Amb)' /proc/self/status | grep -v 0000000000000000
} >"$1/$FERRYFS_EVENT.me"
tr '\0' '\n' </proc/$$/environ | sort >"$1/$FERRYFS_EVENT.env"
mv "$1/$FERRYFS_EVENT.json.new" "$1/$FERRYFS_EVENT.json"
END
SECRET=1 restart
migrate db1 hdd
holds until_true test -s "$TOLD/success.json"
grep '"event":"success"' "$MNT/.control/events" | cmp -s - "$TOLD/success.json" || wrong "$(<"$TOLD/success.json")"
eq "$(grep -vE '^(FERRYFS_|PATH=)' "$TOLD/success.env")" ""
for pair in EVENT=success VOLUME=db1 "UUID=$(value db1/uuid)" JOB=1 SOURCE=ssd DESTINATION=hdd HOST=hdd PERCENT=100 UID=0; do
    holds grep -qx "FERRYFS_$pair" "$TOLD/success.env"
done
fails grep -q FERRYFS_ERRNO "$TOLD/success.env"
eq "$(tr '\n' ' ' <"$TOLD/success.me")" "2 two / 65534 65534 65534 "
holds test -s "$TOLD/accepted.json"
eq "$(cd "$TOLD" && echo *.json)" "accepted.json host-up.json started.json success.json"

proves "another user may be named"
restart --notify-user root
migrate db1 ssd
has_success() { [[ $(sed -n 2p "$TOLD/success.me") == 0 ]]; }
holds until_true has_success

proves "one that fails is logged, and nothing hangs on it"
program <<<'exit 3'
restart
migrate db1 hdd
holds until_true is_logged "notify $WORLD/program: exit 3, of event success"

proves "one that is not there is logged, and nothing hangs on it"
rm "$WORLD/program"
restart
migrate db1 ssd
holds until_true is_logged "notify $WORLD/program: exit 127, of event success: it cannot be run"

proves "one that does not read, and leaves something behind, is waited for by nobody"
program <<<'tail -f /dev/null & echo $! >"$1/$FERRYFS_EVENT.pid"'
restart
migrate db1 hdd
holds until_true test -s "$TOLD/success.pid"
holds until_true nothing_runs
cat "$TOLD"/*.pid | xargs kill

proves "one that hangs is killed after its time, and what it started too"
program <<<'tail -f /dev/null & echo $! >"$1/$FERRYFS_EVENT.pid"; wait'
restart --notify-timeout 1
migrate db1 ssd
holds until_true is_logged "notify $WORLD/program: signal 9 (Killed), of event success: it took too long"
holds until_true ended "$(<"$TOLD/success.pid")"
holds until_true nothing_runs

proves "of 1000 events at once 4 are told at a time, and the daemon goes on"
mkfifo -m 0644 "$WORLD/gate"
exec {GATE}<>"$WORLD/gate"
program <<<"read -r _ <$WORLD/gate"
restart
four_run() { [[ $(running) == 4 ]]; }
refuse_many 1000
holds until_true four_run
migrate db1 hdd
holds four_run
under $((200000 * SLOW)) "$(op slowest "$MNT/db1/status" 100)" us

proves "what is too much is dropped, refusals first, and the log says how many"
eq "$(logged "notify $WORLD/program: too slow, events are dropped")" 1
program <<<': >"$1/$FERRYFS_EVENT"'
printf '\n\n\n\n' >&"$GATE"
holds until_true is_logged "notify $WORLD/program: it keeps up again, [1-9][0-9]* events were dropped"
holds until_true test -e "$TOLD/success"
eq "$(logged 'were dropped')" 1

proves "one that hangs does not hold up the end, and does not survive it"
program <<<'echo $$ >"$1/$FERRYFS_EVENT.pid"; tail -f /dev/null'
restart
holds until_true test -s "$TOLD/host-up.pid"
stop_ferryfs
holds until_true nothing_runs
start_ferryfs
finish
