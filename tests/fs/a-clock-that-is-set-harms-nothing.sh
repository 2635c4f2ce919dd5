#!/bin/bash
# The clock of the day may be set, back and forth, at any moment: what has a time by it keeps to it, and nothing else does.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # lib.sh looks at it
KEEP=1
pool ssd tmpfs
pool hdd tmpfs
volume ssd db 4M dense
volume ssd web 16M dense
YEAR=$((365 * 86400))

set_clocks
retained() { value db/migrate/retained; }
expires() { date -d "$(retained | cut -d' ' -f3)" +%s; }
none_on() { [[ -z $(find "$POOLS/$1" -name '.ferryfs-*.copy') ]]; }
# The daemon has seen what time it is
seen() {
    local time
    refused EINVAL write db/migrate/verify maybe
    time=$(tail -n 1 "$MNT/.control/events" | jq -r .time)
    under 100 $(($(date -d "$time" +%s) - EPOCHSECONDS - $1)) "seconds from what was set"
    under 100 $((EPOCHSECONDS + $1 - $(date -d "$time" +%s))) "seconds from what was set"
}
# It goes to HOST, and its old source stays for an hour
leave() {
    put 3600 "$MNT/db/migrate/keep"
    migrate db "$1"
    expires=$(expires)
}

start_ferryfs --stall 5 --grace 5
proves "what is retained goes when the clock says so, whoever has set it"
leave hdd
ahead 3500
seen 3500
eq "$(expires)" "$expires"
ahead 3700
holds until_true is db/migrate/retained null
holds until_true none_on ssd
holds until_true is .control/hidden null

proves "where it is set back it stays until that time has come, and so after a restart"
leave ssd
like "$((expires - EPOCHSECONDS))" "7[23]??"
ahead $((-20 * YEAR))
seen $((-20 * YEAR))
eq "$(expires)" "$expires"
stop_ferryfs
ahead 7000
start_ferryfs --stall 5 --grace 5
seen 7000
eq "$(expires)" "$expires"
ahead 7400
holds until_true is db/migrate/retained null
holds until_true none_on hdd

proves "a machine that begins in 1970 and learns later what time it is loses nothing"
ahead 0
leave hdd
kill_ferryfs
ahead $((60 - EPOCHSECONDS))
start_ferryfs --stall 5 --grace 5
seen $((60 - EPOCHSECONDS))
eq "$(expires)" "$expires"
ahead 0
seen 0
eq "$(expires)" "$expires"
says ok op write "$MNT/db/migrate/retained" restore
eq "$(result db) $(value db/host)" "success ssd"

proves "a job goes on as if nothing was, however the clock is set meanwhile"
put 2M "$MNT/web/migrate/speed"
says ok op write "$MNT/web/migrate/target" hdd
has_moved() { (($(number web bytes_copied) > $1)); }
for years in 30 -30 10 -40; do
    holds until_true has_moved "$(number web bytes_copied)"
    ahead $((years * YEAR))
    seen $((years * YEAR))
    eq "$(value web/migrate/phase) $(value web/migrate/error)" "copying null"
    under 100 "$(value web/migrate/eta)" "seconds to go"
done
put max "$MNT/web/migrate/speed"
eq "$(result web) $(value web/host)" "success hdd"
proves "and what is told of it is short, not endless"
like "$(head -n 1 "$MNT/.control/history")" "* web 20* 19* ssd hdd success null 16777216 0 0"
under 100 "$(sed -n 's/^ferryfs_migration_duration_seconds_sum.* //p' "$MNT/.control/metrics")"
eq "$(jq -r 'select(.volume == "web" and .event != "progress") | .phase' "$MNT/.control/events" | uniq | tr '\n' ' ')" \
    "reserving copying verifying switching cleaning "
ahead 0
finish
