#!/bin/bash
# A host is emptied by one write: checked first, told of each volume, ended by 0, and not by a restart.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
pool big tmpfs 2G
pool tiny tmpfs 8M
for i in 1 2 3 4 5 6 7 8 9; do volume ssd "db$i" 2M dense; done
volume hdd other 1M dense
SSD=$MNT/.control/hosts/ssd

evacuated() { is .control/hosts/ssd/evacuate "$1"; }
# The first number of it: how many have gone
n_gone() { cut -d/ -f1 "$SSD/evacuate"; }
some_have_gone() { (($(n_gone) >= $1)); }
at() { cat "$MNT"/db*/host | grep -cx "$1"; }
back() {
    local host
    put 9 "$MNT/.control/max_jobs"
    for host in ssd hdd big; do put 9 "$MNT/.control/hosts/$host/max_jobs"; done
    for i in 1 2 3 4 5 6 7 8 9; do put ssd "$MNT/db$i/migrate/target"; done
    until_true all_back || wrong "not back: $(cat "$MNT"/db*/migrate/error)"
    put 2 "$MNT/.control/max_jobs"
}
all_back() { (($(at ssd) == 9)) && is .control/jobs null; }
n_fds() { find "/proc/$DAEMON/fd" -mindepth 1 | wc -l; }

start_ferryfs
printf taken >"$POOLS/hdd/db7"

proves "what is no host is refused"
eq "$(<"$SSD/evacuate")" null
for word in 'h d' .. ssd; do says "write EINVAL" op write "$SSD/evacuate" "$word"; done
says "write ENXIO" op write "$SSD/evacuate" nowhere

proves "where a volume could not go nothing goes, and each is told"
says "write EEXIST" op write "$SSD/evacuate" hdd
eq "$(<"$SSD/last_error")" "1 of 9 volumes cannot go: db7 EEXIST"
rm "$POOLS/hdd/db7"
holds until_true grep -q '^hdd ok ' "$MNT/db7/migrate/candidates"
exec {WRITER}<>"$POOLS/ssd/db3" {OTHER}<>"$POOLS/ssd/db5"
says "write EBUSY" op write "$SSD/evacuate" auto
like "$(<"$SSD/last_error")" "2 of 9 volumes cannot go: db[35] EBUSY, db[35] EBUSY"
for name in db7 db3 db5; do holds grep -q "host ssd: evacuate: volume $name cannot go: E[A-Z]*: ." "$LOG"; done
exec {WRITER}>&- {OTHER}>&-
says "write ENOSPC" op write "$SSD/evacuate" tiny
like "$(<"$SSD/last_error")" "6 of 9 volumes cannot go: * ENOSPC*"
eq "$(<"$SSD/evacuate") $(<"$SSD/drain") $(<"$MNT/.control/jobs") $(<"$MNT/.control/history")" "null 0 null null"

proves "all volumes go, to one host"
says ok op write "$SSD/evacuate" hdd
holds until_true evacuated "9/9 0"
eq "$(at hdd) $(<"$SSD/volumes") $(<"$SSD/last_error")" "9 0 null"
holds until_true is .control/hosts/ssd/drain 0
back

proves "or to the best of them, while nothing comes in; saying it again changes nothing"
put 4M "$MNT/.control/speed"
fds=$(n_fds)
says ok op write "$SSD/evacuate" auto
eq "$(<"$SSD/drain")" 1
holds until_true some_have_gone 1
says "write ECONNREFUSED" op write "$MNT/other/migrate/target" ssd
says ok op write "$SSD/evacuate" auto
says "write EALREADY" op write "$SSD/evacuate" hdd
under $((fds + 16)) "$(n_fds)" "descriptors"

proves "a kill: it goes on where it was"
kill_ferryfs
check_world --dead
gone=$(find "$POOLS"/{hdd,big} -name 'db?' | wc -l)
start_ferryfs --speed 4M
like "$(<"$SSD/evacuate")" "*/9 0"
holds some_have_gone $((gone > 2 ? gone - 2 : 0)) # what was switched is counted when its old copy is gone
eq "$(<"$SSD/drain")" 1
put max "$MNT/.control/speed"
holds until_true evacuated "9/9 0"
eq "$(<"$SSD/volumes") $(at big)" "0 9"
back

proves "one that fails, and one that is refused at its turn, are told and do not stop the others"
put 1 "$MNT/.control/max_jobs"
put 1M "$MNT/.control/speed"
says ok op write "$SSD/evacuate" big
exec {WRITER}<>"$POOLS/ssd/db9" # before its turn
runs() { [[ $(cut -d' ' -f1,4 "$MNT/.control/jobs" | head -n 1) == "$1 copying" ]]; }
until_true runs db1 || wrong "$(<"$MNT/.control/jobs")"
within 5 sh -c ": <>'$POOLS/ssd/db1'" # while it runs
put max "$MNT/.control/speed"
holds until_true evacuated "7/9 2"
exec {WRITER}>&-
eq "$(at ssd) $(<"$MNT/db1/host") $(<"$MNT/db9/host")" "2 ssd ssd"
holds grep -qE '^[0-9]+ db1 .* ssd big error ETXTBSY ' "$MNT/.control/history"
holds grep -qE '^[0-9]+ db9 .* ssd big error EBUSY ' "$MNT/.control/history"
like "$(<"$MNT/db9/migrate/status") $(<"$MNT/db9/migrate/error")" "error EBUSY queued null ?*"
holds until_true is db9/status available
eq "$(<"$MNT/db9/migrate/phase")" idle
proves "and not tried again, until it is said again"
holds until_true is .control/hosts/ssd/drain 0
kill_ferryfs
start_ferryfs --max-queue 0
eq "$(<"$SSD/evacuate") $(<"$MNT/.control/jobs") $(<"$SSD/drain")" "7/9 2 null 0"
says ok op write "$SSD/evacuate" big
proves "a queue in which nobody may wait holds it up, and refuses it nothing"
holds until_true evacuated "2/2 0"
put 1000 "$MNT/.control/max_queue"
back

proves "0 ends it: what runs is aborted, and the rest never begins"
put 256K "$MNT/.control/speed"
says ok op write "$SSD/evacuate" hdd
until_true runs db1 || wrong "$(<"$MNT/.control/jobs")"
says ok op write "$SSD/evacuate" 0
until_true is .control/jobs null || wrong "$(<"$MNT/.control/jobs")"
eq "$(at ssd) $(<"$SSD/evacuate") $(<"$SSD/drain") $(<"$MNT/db1/migrate/status")" "9 0/9 0 0 aborted"
says ok op write "$SSD/evacuate" 0
kill_ferryfs
start_ferryfs
eq "$(<"$SSD/evacuate") $(<"$MNT/.control/jobs")" "0/9 0 null"

proves "a host without volumes is evacuated at once"
says ok op write "$MNT/.control/hosts/tiny/evacuate" auto
holds until_true is .control/hosts/tiny/evacuate "0/0 0"
holds until_true is .control/hosts/tiny/drain 0
finish
