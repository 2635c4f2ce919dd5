#!/bin/bash
# A retained copy whose volume was removed from its pool may be the last one: it stays until a human has decided.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # lib.sh looks at it
KEEP=1
set_clocks
pool ssd tmpfs
pool hdd tmpfs
volume ssd db 4M dense
volume ssd web 1M dense

hidden_on() { find "$POOLS/$1" -name '.ferryfs-*.copy'; }
hour=0
is_gone() { [[ ! -e $MNT/$1 ]]; }
# VOLUME moves away and is removed there, before its old source expires
loses() {
    put 3600 "$MNT/$1/migrate/keep"
    migrate "$1" hdd
    rm "$POOLS/hdd/$1"
    holds until_true is_gone "$1"
}
is_told() { [[ $(value .control/health) == "degraded volume $1: it is gone; its retained copy on ssd is left" ]]; }
stays() {
    hour=$((hour + 1))
    ahead $((hour * 3700))
    put 1 "$MNT/.control/rescan"
    holds until_true is_told db
    like "$(value .control/hidden)" "* retained db ssd 4194304 *"
    eq "$(sum "$copy")" "$sum"
}

start_ferryfs
proves "it does not expire, and health and the log tell of it"
sum=$(sum "$POOLS/ssd/db")
VOLUMES=(web)
loses db
copy=$(hidden_on ssd)
stays
holds grep -q "volume db: its retained copy on ssd may be the last one, and does not expire" "$LOG"

proves "nor is it forgotten when its pool has been copied to another disk"
cp -a "$copy" "$POOLS/ssd/.aside"
mv "$POOLS/ssd/.aside" "$copy"
put 1 "$MNT/.control/rescan"
for host in hdd ssd; do migrate web "$host"; done # by then it has been looked for
stays

proves "nor after a kill, or with a new volume of that name"
kill_ferryfs
start_ferryfs
stays
volume hdd db 1M
holds until_true test -e "$MNT/db"
stays
rm "$POOLS/hdd/db"
VOLUMES=(web)
holds until_true is_gone db

proves "renamed it is a volume again, and moves like any"
mv "$copy" "$POOLS/ssd/db"
VOLUMES=(db web)
holds until_true test -e "$MNT/db"
holds until_true is .control/hidden null
holds until_true is .control/health ok
migrate db hdd
eq "$(sum "$POOLS/hdd/db")" "$sum"

proves "removed it is done with"
VOLUMES=(db)
loses web
holds until_true is_told web
rm "$(hidden_on ssd)"
put 1 "$MNT/.control/rescan"
holds until_true is .control/hidden null
holds until_true is .control/health ok
record_world

proves "an old source that could not be removed is a volume again too, by its old name"
stop_ferryfs
fault "call=unlinkat,program=pool-agent,from,do=EIO,under=$POOLS/hdd"
start_ferryfs
sum=$(sum "$POOLS/hdd/db")
migrate db ssd
VOLUMES=()
rm "$POOLS/ssd/db"
holds until_true is_gone db
stop_ferryfs
no_fault
start_ferryfs
copy=$(hidden_on hdd)
like "$(value .control/hidden)" "* delete-pending db hdd 4194304 *"
like "$(value .control/health)" "degraded volume db: it is gone; its delete-pending copy on hdd is left"
mv "$copy" "$POOLS/hdd/db"
VOLUMES=(db)
holds until_true test -e "$MNT/db"
holds until_true is .control/hidden null
eq "$(sum "$POOLS/hdd/db")" "$sum"
record_world
finish
