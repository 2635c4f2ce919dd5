#!/bin/bash
# `keep`: after a success the old source stays for a while, hidden; it is the service's until it is dropped or expires.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # lib.sh looks at it
KEEP=1
pool ssd tmpfs
pool hdd tmpfs
pool tiny tmpfs 1M
volume ssd db 4M dense
volume ssd web 2M dense

retained() { value "$1/migrate/retained"; }
# The hidden copies in the pool of HOST
hidden_on() { find "$POOLS/$1" -name '.ferryfs-*.copy'; }
none_on() { [[ -z $(hidden_on "$1") ]]; }
elsewhere() { if [[ -e $POOLS/ssd/$1 ]]; then echo hdd; else echo ssd; fi; }
keeps() { put "$2" "$MNT/$1/migrate/keep"; }

start_ferryfs
proves "keep takes seconds, and nothing else"
eq "$(value db/migrate/keep)" 0
eq "$(retained db)" null
for word in -1 1s now 315576001; do refused EINVAL write db/migrate/keep "$word"; done
holds keeps db 3600
eq "$(value db/migrate/keep)" 3600

proves "a migration with keep leaves its old source hidden, and says until when"
before=$(date +%s)
sum=$(sum "$POOLS/ssd/db")
migrate db hdd
like "$(retained db)" "ssd 4194304 20??-??-??T??:??:??Z"
expires=$(date -d "$(retained db | cut -d' ' -f3)" +%s)
holds test "$expires" -ge $((before + 3600)) -a "$expires" -le $(($(date +%s) + 3600))
copy=$(hidden_on ssd)
eq "$(stat -c '%a %u %g' "$copy")" "600 0 0"
eq "$(sum "$copy")" "$sum"
eq "$(stat -c %Y "$copy")" 1600000000
cid=${copy##*/.ferryfs-}
like "$(value .control/hidden)" "${cid%.copy} retained db ssd 4194304 20??-??-??T??:??:??Z"
fails test -e "$MNT/${copy##*/}"
fails test -e "$POOLS/ssd/db"
eq "$(value .control/hosts/ssd/volumes)" 1

proves "it survives a restart and a kill"
stop_ferryfs
start_ferryfs
like "$(retained db)" "ssd 4194304 *"
kill_ferryfs
start_ferryfs
like "$(retained db)" "ssd 4194304 *"
eq "$(date -d "$(retained db | cut -d' ' -f3)" +%s)" "$expires"
eq "$(hidden_on ssd)" "$copy"
check_world --mount "$MNT"

proves "drop removes it at once, and twice is fine"
holds put drop "$MNT/db/migrate/retained"
eq "$(retained db)" null
holds until_true none_on ssd
eq "$(value db/migrate/message)" "dropped: the copy on ssd"
holds put drop "$MNT/db/migrate/retained"
holds until_true is .control/hidden null
refused EINVAL write db/migrate/retained dorp

proves "a migration back to where a retained copy lies keeps only its own old source"
holds keeps db 3600
migrate db ssd
first=$(hidden_on hdd)
migrate db hdd
second=$(hidden_on ssd)
holds until_true none_on hdd
holds test -n "$first" -a -n "$second"
like "$(retained db)" "ssd *"
check_world --mount "$MNT"

proves "what has no room elsewhere does not cost it"
refused ENOSPC write db/migrate/target tiny
eq "$(hidden_on ssd)" "$second"

proves "a migration without keep leaves nothing behind"
holds keeps db 0
migrate db ssd
holds until_true is .control/hidden null
eq "$(hidden_on ssd)$(hidden_on hdd)" "" "left over"

proves "it expires by itself"
holds keeps web 1
migrate web hdd
holds until_true is web/migrate/retained null
holds until_true none_on ssd
holds until_true is .control/hidden null

proves "what expires while nobody runs goes with the next start"
holds keeps web 1
migrate web ssd
kill_ferryfs
holds until_true eval '(( $(date +%s) >= $(stat -c %Z "$(hidden_on hdd)") + 2 ))'
start_ferryfs
holds until_true none_on hdd
eq "$(value web/migrate/retained)" null

proves "what expires while its host is not there goes when the host is back"
holds keeps web 2
migrate web hdd
stop_ferryfs
args=("${HOST_ARGS[@]}")
HOST_ARGS=(--host "hdd=$POOLS/hdd" --host "tiny=$POOLS/tiny")
VOLUMES=(web)
start_ferryfs
holds until_true is web/migrate/retained null
like "$(value .control/hidden)" "* delete-pending web ssd *"
holds test -n "$(hidden_on ssd)"
stop_ferryfs
HOST_ARGS=("${args[@]}")
VOLUMES=(db web)
start_ferryfs
holds until_true none_on ssd

proves "a stranger in its place is left alone"
holds keeps web 3600
migrate web ssd
copy=$(hidden_on hdd)
rm "$copy"
echo mine >"$copy"
holds put drop "$MNT/web/migrate/retained"
holds until_true is .control/hidden null
eq "$(<"$copy")" mine
rm "$copy"

proves "one that was written since is kept for a human"
holds keeps web 3600
migrate web hdd
copy=$(hidden_on ssd)
printf x | dd of="$copy" bs=1 conv=notrunc status=none
holds put drop "$MNT/web/migrate/retained"
holds until_true eval '[[ $(value .control/health) == *"a copy of it is left hidden on ssd"* ]]'
holds test -e "$copy"
stop_ferryfs
rm "$copy"
start_ferryfs

proves "many that are dropped at a time go, whatever the order"
for i in {1..8}; do
    volume ssd "many$i" 64K dense
    until_true test -e "$MNT/many$i" || wrong "many$i is not listed"
    holds keeps "many$i" 3600
    migrate "many$i" hdd
done
mapfile -t last_first < <(sort -r "$MNT/.control/hidden" | cut -d' ' -f3)
python3 - "$MNT" "${last_first[@]}" <<'END'
import os, sys
files = [os.open(f"{sys.argv[1]}/{name}/migrate/retained", os.O_WRONLY) for name in sys.argv[2:]]
for file in files:
    os.write(file, b"drop")
END
holds until_true none_on ssd
holds until_true is .control/hidden null
record_world

proves "of a volume that grew since it was found, all is retained and restored"
: >"$POOLS/ssd/grown"
holds until_true is grown/size 0
head -c 1M /dev/urandom >>"$POOLS/ssd/grown"
holds until_true is grown/size 1048576
sum=$(sum "$POOLS/ssd/grown")
holds keeps grown 3600
migrate grown hdd
like "$(value grown/migrate/retained)" "ssd 1048576 *"
says ok op write "$MNT/grown/migrate/retained" restore
eq "$(result grown) $(value grown/host) $(sum "$POOLS/ssd/grown")" "success ssd $sum"
put drop "$MNT/grown/migrate/retained"
holds until_true none_on hdd
VOLUMES+=(grown)
record_world

proves "keep cannot change while a job runs, and neither can what is retained"
stop_ferryfs
hold_copies
start_ferryfs
put ssd "$MNT/web/migrate/target"
held
refused EBUSY write web/migrate/keep 7
refused EBUSY open web/migrate/retained drop
ctl release
eq "$(result web)" success
finish
