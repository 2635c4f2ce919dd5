#!/bin/bash
# .control/metrics is what Prometheus takes, and its numbers are those of the other files, at rest and while jobs run.
. "$(dirname "$0")/lib.sh"
needs promtool
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 64M dense
volume ssd db2 16M sparse
volume hdd db3 4M dense
V=$MNT/db1

# NAME[{LABELS}]: its value now
metric() { awk -v name="$1" 'index($0, name " ") == 1 { print $2 }' "$MNT/.control/metrics"; }
# METRIC VALUE: comes to be so
shows() { until_true metric_is "$1" "$2" || wrong "$1 is \"$(metric "$1")\", not \"$2\""; }
metric_is() { [[ $(metric "$1") == "$2" ]]; }
is_sound() { says "" promtool check metrics <"$MNT/.control/metrics"; }

# METRIC FILE: one is the other's value
says_the_same() { eq "$(metric "$1")" "$(value "$2")" "$1"; }
hosts_agree() {
    local host
    for host in ssd hdd; do
        says_the_same "ferryfs_host_capacity_bytes{host=\"$host\"}" ".control/hosts/$host/capacity"
        says_the_same "ferryfs_host_reserved_bytes{host=\"$host\"}" ".control/hosts/$host/reserved"
        says_the_same "ferryfs_host_volumes{host=\"$host\"}" ".control/hosts/$host/volumes"
        says_the_same "ferryfs_host_jobs{host=\"$host\"}" ".control/hosts/$host/jobs"
        says_the_same "ferryfs_host_max_jobs{host=\"$host\"}" ".control/hosts/$host/max_jobs"
        says_the_same "ferryfs_host_draining{host=\"$host\"}" ".control/hosts/$host/drain"
    done
}
volumes_agree() {
    local name
    for name in db1 db2 db3; do
        says_the_same "ferryfs_volume_size_bytes{volume=\"$name\"}" "$name/size"
        says_the_same "ferryfs_volume_allocated_bytes{volume=\"$name\"}" "$name/allocated"
        eq "$(metric "ferryfs_volume_info{volume=\"$name\",host=\"$(value $name/host)\",status=\"$(value $name/status)\"}")" 1
    done
}
# As many ends as the history has lines of each kind (it has none of an earlier daemon yet), and as many seconds
history_agrees() {
    local result
    for result in success error aborted; do
        eq "$(metric "ferryfs_migrations_total{result=\"$result\"}")" \
            "$(awk -v result=$result '$7 == result { n++ } END { print n + 0 }' "$MNT/.control/history")" "$result"
    done
    eq "$(metric ferryfs_migration_duration_seconds_count)" "$(metric 'ferryfs_migrations_total{result="success"}')"
    eq "$(metric ferryfs_migration_duration_seconds_sum)" \
        "$(awk '$7 == "success" { n += $10 } END { print n + 0 }' "$MNT/.control/history")"
}
# KEY...: of the last jobs of both volumes
sum_of_stats() { cat "$MNT"/db[123]/migrate/stat | awk -v key="$1" '$1 == key { n += $2 } END { print n }'; }

proves "at rest it is sound, and every value is that of its file"
hold_copies
start_ferryfs
is_sound
eq "$(metric "ferryfs_build_info{version=\"$(value .control/version)\"}")" 1
like "$(($(metric ferryfs_start_time_seconds) - EPOCHSECONDS))" "@(0|-[1-9]|-[1-9][0-9])"
eq "$(metric ferryfs_healthy) $(metric ferryfs_jobs_recovering) $(metric ferryfs_volumes_left_out)" "1 0 0"
eq "$(metric 'ferryfs_volumes{status="available"}') $(metric 'ferryfs_host_up{host="hdd"}')" "3 1"
says_the_same ferryfs_max_jobs .control/max_jobs
says_the_same ferryfs_max_queue .control/max_queue
hosts_agree
volumes_agree
history_agrees
eq "$(grep -c '^[^#].* [1-9]' <(grep _total "$MNT/.control/metrics"))" 0

proves "while a job runs and another waits"
put 1 "$MNT/.control/max_jobs"
says ok op write "$V/migrate/target" hdd
held
says ok op write "$MNT/db2/migrate/target" hdd
is_sound
eq "$(metric ferryfs_jobs_running) $(metric ferryfs_jobs_queued) $(metric ferryfs_max_jobs)" "1 1 1"
eq "$(metric ferryfs_migrations_accepted_total)" 2
eq "$(metric 'ferryfs_volumes{status="migrating"}') $(metric 'ferryfs_volume_migrating{volume="db1"}')" "2 1"
eq "$(metric 'ferryfs_migration_info{volume="db1",target="hdd",phase="copying"}')" 1
eq "$(metric 'ferryfs_migration_info{volume="db2",target="hdd",phase="queued"}')" 1
hosts_agree
volumes_agree

proves "progress, rate and eta are those of the volume"
some_done() {
    ctl pass 2
    [[ $(value db1/migrate/progress) == [1-9]* && $(value db1/migrate/eta) != null ]]
}
holds until_true some_done
live_agrees() {
    local percent rate eta
    percent=$(value db1/migrate/progress) rate=$(value db1/migrate/rate) eta=$(value db1/migrate/eta)
    [[ $(metric 'ferryfs_migration_progress_ratio{volume="db1"}') == $(printf '0.%02d' "$percent") ]] &&
        [[ $(metric 'ferryfs_migration_rate_bytes_per_second{volume="db1"}') == "$rate" ]] &&
        [[ $(metric 'ferryfs_migration_eta_seconds{volume="db1"}') == "${eta/null/}" ]]
}
holds until_true live_agrees
bytes_agree() {
    [[ $(metric ferryfs_copied_bytes_total) == "$(sum_of_stats bytes_copied)" ]] &&
        [[ $(metric ferryfs_zero_bytes_total) == "$(sum_of_stats bytes_zero)" ]] &&
        [[ $(metric ferryfs_verified_bytes_total) == "$(sum_of_stats bytes_verified)" ]]
}
holds until_true bytes_agree
holds test "$(metric ferryfs_copied_bytes_total)" -gt 0

proves "what was read is sound at every moment of a job"
while [[ ! -e $WORLD/enough ]]; do
    promtool check metrics <"$MNT/.control/metrics" >>"$WORLD/said" 2>&1 || echo "exit status $?" >>"$WORLD/said"
    echo >>"$WORLD/looks"
done &
looking=$!
looked() { [[ -s $WORLD/looks ]]; }
holds until_true looked
ctl release
eq "$(result db1)" success
eq "$(result db2)" success
: >"$WORLD/enough"
wait "$looking"
eq "$(<"$WORLD/said")" ""

proves "what has ended is counted: bytes, successes, durations"
holds bytes_agree
history_agrees
eq "$(metric 'ferryfs_migrations_total{result="success"}')" 2
eq "$(metric 'ferryfs_migration_duration_seconds_bucket{le="86400"}')" 2
eq "$(grep -c '^ferryfs_migration_[ipre]' "$MNT/.control/metrics")" 0
hosts_agree
volumes_agree

proves "a job that is aborted, one that fails and a request that is refused are counted, each as what it is"
hold_copies
stop_ferryfs
start_ferryfs
eq "$(metric 'ferryfs_migrations_total{result="success"}') $(metric ferryfs_copied_bytes_total)" "0 0"
before=$(wc -l <"$MNT/.control/history")
lines_since() { head -n $(($(wc -l <"$MNT/.control/history") - before)) "$MNT/.control/history" | cut -d' ' -f7 | sort | uniq -c | tr -s ' \n' ' '; }
says ok op write "$V/migrate/target" ssd
held
says ok op write "$V/migrate/abort" 1
eq "$(result db1)" aborted
says ok op write "$V/migrate/target" ssd
: <>"$POOLS/hdd/db1" # whoever opens it for writing stops the job
eq "$(result db1)" error
eq "$(metric ferryfs_requests_refused_total)" 0
says "write ENXIO" op write "$V/migrate/target" nowhere
says "open ESRCH" op write "$V/migrate/abort" 1
eq "$(metric ferryfs_requests_refused_total)" 2
eq "$(metric 'ferryfs_migrations_total{result="aborted"}') $(metric 'ferryfs_migrations_total{result="error"}')" "1 1"
eq "$(lines_since)" " 1 aborted 1 error "
eq "$(metric ferryfs_migration_duration_seconds_count)" 0
is_sound

proves "a pool that is away"
mkdir "$WORLD/away"
mount --move "$POOLS/ssd" "$WORLD/away"
put 1 "$MNT/.control/rescan"
shows 'ferryfs_host_up{host="ssd"}' 0
shows ferryfs_healthy 0
is_sound
mount --move "$WORLD/away" "$POOLS/ssd"
put 1 "$MNT/.control/rescan"
shows 'ferryfs_host_up{host="ssd"}' 1
shows ferryfs_healthy 1

proves "a job that goes on after a kill is a resume, and its bytes are counted once"
says ok op write "$MNT/db3/migrate/target" ssd
held
kill_ferryfs
no_fault
start_ferryfs
eq "$(result db3)" success
eq "$(metric ferryfs_resumes_total) $(number db3 resumes)" "1 1"
eq "$(metric ferryfs_migrations_accepted_total) $(metric 'ferryfs_migrations_total{result="success"}')" "0 1"
eq "$(metric ferryfs_copied_bytes_total)" $((4 << 20))
is_sound
stop_ferryfs

proves "what a worker that dies has copied counts, and what the next one copies again"
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" ssd
held
ctl pass 8
has_copied() { (($(metric ferryfs_copied_bytes_total) >= 4 << 20)); }
holds until_true has_copied
kill -KILL "$(pgrep -f copy-worker)"
ctl release
eq "$(result db1)" success
eq "$(metric ferryfs_copied_bytes_total)" "$(number db1 bytes_copied)"
holds test "$(metric ferryfs_copied_bytes_total)" -ge $((68 << 20))
finish
