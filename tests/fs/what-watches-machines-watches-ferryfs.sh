#!/bin/bash
# What watches machines watches ferryfs, with the examples of contrib/monitoring: node_exporter, Prometheus, Grafana's
# queries, check_ferryfs, Monit, Zabbix and collectd; each is the real program, but for Grafana.
. "$(dirname "$0")/lib.sh"
needs promtool prometheus prometheus-node-exporter monit zabbix_agentd collectd python3
MONITORING=$WORLD/monitoring
cp -r "$HERE/../../contrib/monitoring" "$MONITORING"
chmod -R go+rX "$MONITORING"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 128M dense
volume ssd db2 4M sparse
V=$MNT/db1

# An example as a user would have it in /etc, with this mount in place of /run/ferryfs
example() {
    sed -e "s:/usr/share/ferryfs/monitoring/check_ferryfs:& -m $MNT:" \
        -e "s:/usr/share/ferryfs/monitoring/collectd_ferryfs\":& \"$MNT\":" \
        -e "s:/run/ferryfs:$MNT:g; s:/usr/share/ferryfs/monitoring:$MONITORING:g" "$MONITORING/$1"
}
# Start a program that watches: NAME COMMAND...; its pid is in PROGRAM, and what it says in $WORLD/NAME.log
watch() {
    local log=$WORLD/$1.log
    shift
    "$@" </dev/null >"$log" 2>&1 {TICK}>&- {SAYS}>&- &
    PROGRAM=$!
}
end_watch() {
    kill "$PROGRAM"
    wait "$PROGRAM"
} 2>/dev/null
# A port that is free at this moment
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

proves "every alert fires when it should, and none when all is well"
holds promtool check rules "$MONITORING/prometheus-rules.yml" >"$WORLD/promtool.log"
holds promtool test rules "$MONITORING/prometheus-rules-test.yml" >"$WORLD/promtool.log"
while read -r alert; do
    grep -q "alertname[=:] *\"*$alert" "$MONITORING/prometheus-rules-test.yml" || wrong "nothing tests $alert"
done < <(sed -n 's/.*- alert: //p' "$MONITORING/prometheus-rules.yml")

proves "node_exporter's textfile collector reads a link to the metrics, as anybody"
hold_copies
start_ferryfs
mkdir "$WORLD/textfiles"
ln -s "$MNT/.control/metrics" "$WORLD/textfiles/ferryfs.prom"
exporter=127.0.0.1:$(port)
watch exporter setpriv --reuid=65534 --regid=65534 --clear-groups prometheus-node-exporter \
    --web.listen-address="$exporter" --collector.disable-defaults --collector.textfile \
    --collector.textfile.directory="$WORLD/textfiles"
exporter_pid=$PROGRAM
scrape() { python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())' "http://$exporter/metrics"; }
scraped() { scrape 2>/dev/null | grep -qx "$1"; }
holds until_true scraped "node_textfile_scrape_error 0"
# Names and labels, in whatever order
series() { sed -n 's/^\(ferryfs_[^ ]*\) .*/\1/p' | tr '{},' '\n' | sort; }
eq "$(scrape | series)" "$(series <"$MNT/.control/metrics")"
put 1 "$MNT/.control/max_jobs"
says ok op write "$V/migrate/target" hdd
held
says ok op write "$MNT/db2/migrate/target" hdd
holds scraped 'ferryfs_migration_info{phase="copying",target="hdd",volume="db1"} 1'
holds scraped 'ferryfs_jobs_queued 1'

proves "Prometheus has no fault to find with the rules, and an answer to every query of the dashboard"
server=127.0.0.1:$(port)
cat >"$WORLD/prometheus.yml" <<END
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [monitoring/prometheus-rules.yml]
scrape_configs:
  - job_name: node
    static_configs: [targets: ["$exporter"]]
END
watch prometheus prometheus --config.file="$WORLD/prometheus.yml" --storage.tsdb.path="$WORLD/tsdb" \
    --web.listen-address="$server"
cat >"$WORLD/ask" <<'END'
import json
import sys
import urllib.parse
import urllib.request

api, dashboard = sys.argv[1:]


def get(path):
    return json.load(urllib.request.urlopen(api + path, timeout=20))["data"]


rules = [rule for group in get("rules")["groups"] for rule in group["rules"]]
faults = [f"{rule['name']} is {rule['health']}" for rule in rules if rule["health"] != "ok"]
with open(dashboard, encoding="utf-8") as file:
    panels = json.load(file)["panels"]
for query in [target["expr"] for panel in panels for target in panel["targets"]]:
    expanded = query.replace("$__rate_interval", "15s").replace("$instance", ".*")  # as Grafana does
    if not get("query?" + urllib.parse.urlencode({"query": expanded}))["result"]:
        faults.append("no answer to " + query)
print(*faults, sep="\n", end="")
sys.exit(bool(faults or not rules or len(panels) < 10))
END
# A job that stands still has no time left to tell
all_answered() {
    ctl pass 1
    python3 "$WORLD/ask" "http://$server/api/v1/" "$MONITORING/grafana-dashboard.json" >"$WORLD/asked" 2>&1
}
holds until_true all_answered || wrong "$(tail -n 5 "$WORLD/asked")"
end_watch

proves "the agent of Zabbix reads every item that the manual has, and the check"
example zabbix_agentd.conf >"$WORLD/zabbix.conf"
printf 'Server=127.0.0.1\nLogType=console\n' >>"$WORLD/zabbix.conf"
# KEY: its value
item() { zabbix_agentd -c "$WORLD/zabbix.conf" -t "$1" | sed 's/^.* \[[a-z]|\(.*\)\]$/\1/'; }
example README.md | sed -n 's/^    \(vfs\.[a-z]*\..*\)/\1/p' >"$WORLD/keys"
mapfile -t keys <"$WORLD/keys"
eq "$(for key in "${keys[@]::2}"; do item "$key"; done)" $'ok\nmigrating'
like "$(item "${keys[2]}")" "@([0-9]|[1-9][0-9])"
for ((i = 3; i < 7; i++)); do like "$(item "${keys[i]}")" "+([0-9])" "${keys[i]}"; done
eq "$(item "${keys[4]}")" 1
eq "$(item "${keys[7]}" | python3 -c 'import json, sys; print(*sorted(v["basename"] for v in json.load(sys.stdin)))')" "db1 db2"
eq "${#keys[@]}" 8
like "$(item ferryfs.check)" "FERRYFS OK - ok, 2 volumes, 1 jobs run, 1 wait | *"

proves "collectd takes the metrics through its exec plugin, and stat through its table plugin"
mkdir "$WORLD/collectd"
{
    cat <<END
Hostname "here"
BaseDir "$WORLD/collectd"
PIDFile "$WORLD/collectd/pid"
Interval 1
LoadPlugin logfile
<Plugin logfile>
  LogLevel warning
  File "$WORLD/collectd/log"
</Plugin>
LoadPlugin csv
<Plugin csv>
  DataDir "$WORLD/collectd"
</Plugin>
END
    example collectd.conf
} >"$WORLD/collectd.conf"
watch collectd collectd -f -C "$WORLD/collectd.conf"
# PLUGIN NAME: the last value it was told
collected() { tail -q -n 1 "$WORLD/collectd/here/$1/$2-20"* 2>/dev/null | cut -d, -f2 | sed 's/\..*//'; }
has_collected() { [[ $(collected "$1" "$2") == "$3" ]]; }
holds until_true has_collected ferryfs gauge-jobs_queued 1
holds until_true has_collected ferryfs gauge-volume_size_bytes-db2 $((4 << 20))
holds until_true has_collected ferryfs gauge-host_up-hdd 1
holds until_true has_collected ferryfs-db1 gauge-bytes_total $((128 << 20))
holds until_true test -e "$WORLD/collectd/here/ferryfs/"derive-migrations_total-error-20*
end_watch
eq "$(cat "$WORLD/collectd/log" 2>/dev/null)" ""

# WANTED PATTERN ARGUMENT...: the check's exit status, and the line that it says, with data that make sense
check() {
    local wanted=$1 pattern=$2 line
    shift 2
    line=$("$MONITORING/check_ferryfs" -m "$MNT" "$@")
    eq "$?" "$wanted" "$line"
    like "$line" "$pattern"
    [[ $line != *UNKNOWN* && $line != *"no answer"* ]] || return 0
    eq "$(tr ' ' '\n' <<<"${line#*| }" | grep -vxE '[a-z_]+=[0-9]+(B|c)?(;[0-9]*;[0-9]*(;0;[0-9]+)?)?')" ""
}
proves "check_ferryfs is OK where all is well"
check 0 "FERRYFS OK - ok, 2 volumes, 1 jobs run, 1 wait | running=1 queue=1;; *"
check 0 "FERRYFS OK - *queue=1;1;2 failed=0;0; *" -w queue=1 -c queue=2 -w failed=0 -w free=0
check 0 "FERRYFS OK - *" -t 100
like "$("$MONITORING/check_ferryfs" --help)" "usage: check_ferryfs *"

proves "it warns and calls critical what it was told to"
check 1 "FERRYFS WARNING - jobs wait: 1 | *" -w queue=0
check 2 "FERRYFS CRITICAL - jobs wait: 1 | *" -w queue=0 -c queue=0
check 1 "FERRYFS WARNING - free on ssd: *%; free on hdd: *% | *" -w free=100
check 2 "FERRYFS CRITICAL - free on ssd: *" -c free=100

proves "it does not know what it was asked"
check 3 "FERRYFS UNKNOWN - -w queue=x: not a number; try --help" -w queue=x
check 3 "FERRYFS UNKNOWN - -c speed=1: not queue=N, *" -c speed=1
check 3 "FERRYFS UNKNOWN - -t 0: *" -t 0
check 3 "FERRYFS UNKNOWN - *" -x
check 3 "FERRYFS UNKNOWN - 'now' is *" now

proves "a migration that failed is told where that was asked for"
ctl release
eq "$(result db1)" success
eq "$(result db2)" success
hold_copies
stop_ferryfs
start_ferryfs
says ok op write "$MNT/db1/migrate/target" ssd
held
: <>"$POOLS/hdd/db1"
eq "$(result db1)" error
check 0 "FERRYFS OK - * failed=1;; *errors=1c *"
check 1 "FERRYFS WARNING - volumes whose last migration failed: 1 | *" -w failed=0

proves "Monit runs the check, and tells of a host that is down and of one that is back"
{
    printf 'set daemon 1\nset log %s\nset pidfile %s\nset idfile %s\nset statefile %s\n' "$WORLD/monit.said" \
        "$WORLD/monit.pid" "$WORLD/monit.id" "$WORLD/monit.state"
    example monitrc
} >"$WORLD/monitrc"
chmod 0600 "$WORLD/monitrc"
watch monit monit -I -c "$WORLD/monitrc"
monit_says() { grep -q "$1" "$WORLD/monit.said" 2>/dev/null; }
holds until_true monit_says "'ferryfs' status failed (1) -- FERRYFS WARNING - volumes whose last migration failed: 1 |"
mkdir "$WORLD/away"
mount --move "$POOLS/hdd" "$WORLD/away"
put 1 "$MNT/.control/rescan"
holds until_true is .control/hosts/hdd/state down
check 2 "FERRYFS CRITICAL - degraded host hdd: *; down: hdd; volumes in error: 2 | *"
holds until_true monit_says "'ferryfs' status failed (2) -- FERRYFS CRITICAL - degraded host hdd"
mount --move "$WORLD/away" "$POOLS/hdd"
put 1 "$MNT/.control/rescan"
holds until_true is .control/health ok
: >"$WORLD/monit.said"
holds until_true monit_says "status failed (1)"
end_watch

proves "a host that is down is critical without any volume, too"
mount --move "$POOLS/ssd" "$WORLD/away"
put 1 "$MNT/.control/rescan"
holds until_true is .control/hosts/ssd/state down
check 2 "FERRYFS CRITICAL - degraded host ssd: *; down: ssd | *"
mount --move "$WORLD/away" "$POOLS/ssd"
put 1 "$MNT/.control/rescan"
holds until_true is .control/health ok

proves "a file that is no volume's is worth a warning"
ln "$POOLS/hdd/db2" "$POOLS/hdd/db2-again"
put 1 "$MNT/.control/rescan"
is_degraded() { [[ $(<"$MNT/.control/health") == degraded* ]]; }
if until_true is_degraded; then check 1 "FERRYFS WARNING - degraded *"; else wrong "it is not degraded"; fi
rm "$POOLS/hdd/db2-again"
put 1 "$MNT/.control/rescan"
holds until_true is .control/health ok

proves "a daemon that hangs, and one that is not there, do not answer"
kill -STOP "$DAEMON"
check 2 "FERRYFS CRITICAL - no answer of $MNT: not within 1 s" -t 1
kill -CONT "$DAEMON"
ctl release
# As one is who waits for a request that the daemon has taken before it hung
mkdir "$WORLD/stuck"
printf '%s\n' '#!/bin/sh' 'setsid tail -f /dev/null &' 'exec tail -f /dev/null' >"$WORLD/stuck/sed"
chmod 755 "$WORLD/stuck/sed"
line=$(PATH=$WORLD/stuck:$PATH within 20 "$MONITORING/check_ferryfs" -m "$MNT" -t 1)
eq "$? $line" "2 FERRYFS CRITICAL - no answer of $MNT: not within 1 s"
pkill -f '^tail -f /dev/null'
PROGRAM=$exporter_pid
stop_ferryfs
check 2 "FERRYFS CRITICAL - no answer of $MNT: *No such file*"
holds until_true scraped "node_textfile_scrape_error 1"
end_watch

proves "a job that waits for space is worth a warning"
fault "call=pwrite,program=copy-worker,from,do=ENOSPC"
start_ferryfs
says ok op write "$V/migrate/target" ssd
holds until_true phase_is db1 stopped
check 1 "FERRYFS WARNING - stopped: db1 | *stopped=1 *"
says ok op write "$V/migrate/abort" 1
eq "$(result db1)" aborted
finish
