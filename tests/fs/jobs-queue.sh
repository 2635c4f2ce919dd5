#!/bin/bash
# More jobs than may run wait, in order, and never fail for that; `auto` takes the first candidate.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
pool big tmpfs 3G
for i in 1 2 3 4 5 6; do volume ssd "db$i" 4M dense; done
hold_copies
start_ferryfs
n_phase() { cut -d' ' -f4 "$MNT/.control/jobs" | grep -cx "$1"; }

proves "max_jobs is 2, max_queue 1000"
eq "$(<"$MNT/.control/max_jobs")" 2
eq "$(<"$MNT/.control/max_queue")" 1000

for host in ssd hdd; do says ok op write "$MNT/.control/hosts/$host/max_jobs" 6; done

proves "six jobs: two run, four are queued"
for i in 1 2 3 4 5 6; do says ok op write "$MNT/db$i/migrate/target" hdd; done
held
two_run() { (($(n_phase copying) == 2)); }
holds until_true two_run
eq "$(n_phase queued)" 4
eq "$(wc -l <"$MNT/.control/jobs")" 6
eq "$(<"$MNT/db6/status") $(<"$MNT/db6/migrate/phase") $(<"$MNT/db6/migrate/status")" "migrating queued starting"
eq "$(<"$MNT/.control/hosts/hdd/jobs")" 2

proves "a queued job can be aborted"
says ok op write "$MNT/db6/migrate/abort" 1
eq "$(result db6)" aborted
eq "$(<"$MNT/db6/status")" available

proves "a higher max_jobs takes effect at once"
says ok op write "$MNT/.control/max_jobs" 3
three_run() { (($(n_phase copying) == 3)); }
holds until_true three_run

proves "a host's max_jobs holds too"
says ok op write "$MNT/.control/hosts/hdd/max_jobs" 4
says ok op write "$MNT/.control/max_jobs" 6
four_run() { (($(n_phase copying) == 4)); }
holds until_true four_run
eq "$(n_phase queued)" 1

proves "a queue survives a kill, in its order"
put 1 "$MNT/.control/max_jobs"
says ok op write "$MNT/db6/migrate/target" hdd
queue=$(cut -d' ' -f1-3 "$MNT/.control/jobs")
eq "$(cut -d' ' -f1 <<<"$queue" | tr '\n' ' ')" "db1 db2 db3 db4 db5 db6 "
kill_ferryfs
check_world --dead
no_fault
start_ferryfs --pause 1 --max-jobs 1
eq "$(cut -d' ' -f1-3 "$MNT/.control/jobs")" "$queue"
put 0 "$MNT/.control/pause"
for i in 1 2 3 4 5 6; do eq "$(result "db$i")" success; done
for i in 1 2 3 4 5 6; do eq "$(<"$MNT/db$i/host")" hdd; done
eq "$(cut -d' ' -f2 "$MNT/.control/history" | head -n 2 | tr '\n' ' ')" "db6 db5 " # those that had waited, the last first
put 2 "$MNT/.control/max_jobs"
migrate db6 ssd

proves "candidates are all other hosts, those that can first, the one with most room before the others"
eq "$(cut -d' ' -f1,2 "$MNT/db1/migrate/candidates")" $'big ok\nssd ok'
eq "$(cut -d' ' -f1,2 "$MNT/db6/migrate/candidates")" $'big ok\nhdd ok'
echo 1 >"$MNT/.control/hosts/big/drain"
like "$(<"$MNT/db1/migrate/candidates")" $'ssd ok [0-9]*\nbig ECONNREFUSED ?* [0-9]*'

proves "auto goes to the first candidate"
says ok op write "$MNT/db1/migrate/target" auto
eq "$(result db1)" success
eq "$(<"$MNT/db1/host")" ssd
echo 0 >"$MNT/.control/hosts/big/drain"
says ok op write "$MNT/db1/migrate/target" auto
eq "$(result db1)" success
eq "$(<"$MNT/db1/host")" big

proves "auto is refused with the first candidate's reason where none can take it"
for h in ssd hdd big; do echo 1 >"$MNT/.control/hosts/$h/drain"; done
like "$(op write "$MNT/db2/migrate/target" auto)" "write ECONNREFUSED"
like "$(<"$MNT/db2/migrate/message")" "refused ECONNREFUSED: ?*"
for h in ssd hdd big; do echo 0 >"$MNT/.control/hosts/$h/drain"; done

proves "five volumes moved at once all arrive"
for i in 1 2 3 4 5; do op write "$MNT/db$i/migrate/target" ssd >/dev/null & done
wait_all() {
    for i in 1 2 3 4 5; do [[ $(result "db$i") == success && $(<"$MNT/db$i/host") == ssd ]] || return 1; done
}
holds until_true wait_all
finish
