#!/bin/bash
# A speed that is set holds, at once and smoothly: of a volume, of a host, of the service, whichever is least.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
pool big tmpfs
for i in 1 2; do volume ssd "db$i" 128M dense; done
MIB=$((1 << 20))

# VOLUME SPEED: that is what it may do
effective_is() { [[ $(number "$1" speed_effective) == "$2" ]]; }
# VOLUME MS: what it copies in that time, as bytes a second, into RATE; in how many steps, into STEPS. Of what is seen,
# which is as it was up to a tick of the daemon ago: from one change to another
measure() {
    local volume=$1 now first='' first_ms last last_ms until_ms seen
    STEPS=0
    last=$(number "$volume" bytes_copied)
    until_ms=$(($(now_ms) + $2 + 1000))
    while now=$(now_ms) && ((now < until_ms)); do
        seen=$(number "$volume" bytes_copied)
        if ((seen != last)); then
            if [[ -z $first ]]; then
                first=$seen first_ms=$now until_ms=$((now + $2))
            fi
            last=$seen last_ms=$now STEPS=$((STEPS + 1))
        fi
        tick
    done
    RATE=$(((last - first) * 1000 / (last_ms - first_ms)))
}
# SPEED: the rate was within 10 % of that
near() { ((RATE * 10 >= $1 * 9 && RATE * 10 <= $1 * 11)) || wrong "$RATE bytes/s, not $1"; }

start_ferryfs --max-jobs 4 --speed 1M
for host in ssd hdd big; do put 4 "$MNT/.control/hosts/$host/max_jobs"; done

proves "the command line says what holds at first, and it holds smoothly"
eq "$(<"$MNT/.control/speed") $(<"$MNT/db1/migrate/speed") $(<"$MNT/.control/hosts/hdd/speed")" "$MIB max max"
eq "$(number db1 speed_effective)" 0
says ok op write "$MNT/db1/migrate/target" hdd
until_true effective_is db1 "$MIB" || wrong "$(number db1 speed_effective)"
measure db1 5000
near "$MIB"
holds test "$STEPS" -ge 20

proves "what is read back meanwhile is not in the rate"
reads_back() { (($(number db1 bytes_verified) > 0)); }
holds until_true reads_back
before=$(<"$MNT/db1/migrate/rate")
is_seen() { [[ $(<"$MNT/db1/migrate/rate") != "$before" ]]; }
holds until_true is_seen
under $((MIB * 11 / 10)) "$(<"$MNT/db1/migrate/rate")"

proves "another one holds at once, of the volume as of the service"
put 4M "$MNT/db1/migrate/speed"
put max "$MNT/.control/speed"
eq "$(number db1 speed_effective)" $((4 * MIB))
measure db1 5000
near $((4 * MIB))

proves "the least of all is what holds"
put 3M "$MNT/.control/hosts/hdd/speed"
eq "$(number db1 speed_effective)" $((3 * MIB))
put 2M "$MNT/.control/hosts/ssd/speed"
eq "$(number db1 speed_effective)" $((2 * MIB))
put 1M "$MNT/.control/speed"
eq "$(number db1 speed_effective)" "$MIB"
put 512K "$MNT/db1/migrate/speed"
eq "$(number db1 speed_effective)" $((MIB / 2))

proves "a host's speed, and the service's, is shared equally by the jobs that run there"
put max "$MNT/db1/migrate/speed"
put max "$MNT/.control/speed"
put 40M "$MNT/.control/hosts/ssd/speed"
says ok op write "$MNT/db2/migrate/target" big
until_true effective_is db2 $((20 * MIB)) || wrong "$(number db2 speed_effective)"
eq "$(number db1 speed_effective)" $((3 * MIB))

proves "one that was fast before is as smooth"
put 2M "$MNT/.control/hosts/ssd/speed"
eq "$(number db1 speed_effective) $(number db2 speed_effective)" "$MIB $MIB"
measure db2 5000
near "$MIB"
holds test "$STEPS" -ge 20
put max "$MNT/.control/hosts/ssd/speed"
eq "$(number db1 speed_effective) $(number db2 speed_effective)" "$((3 * MIB)) 0"
put 5M "$MNT/.control/speed"
eq "$(number db1 speed_effective) $(number db2 speed_effective)" "$((5 * MIB / 2)) $((5 * MIB / 2))"
put 1 "$MNT/.control/speed"
eq "$(number db1 speed_effective) $(number db2 speed_effective)" "1 1"

proves "a job that goes leaves its share to the others"
put 5M "$MNT/.control/speed"
says ok op write "$MNT/db2/migrate/abort" 1
eq "$(result db2)" aborted
eq "$(number db1 speed_effective) $(number db2 speed_effective)" "$((3 * MIB)) 0"

proves "max lets it go"
put max "$MNT/.control/hosts/hdd/speed"
put max "$MNT/.control/speed"
eq "$(result db1)" success
eq "$(number db1 speed_effective)" 0

proves "help says how long what is written holds"
like "$(<"$MNT/.control/help")" "*holds until it is written again or ferryfs ends; then it is what the*configuration says*"

proves "after a restart what the configuration says holds"
put 1M "$MNT/.control/speed"
put 1M "$MNT/db1/migrate/speed"
stop_ferryfs
printf '[ferryfs]\nspeed = 7M\n[host hdd]\nspeed = 6K\ndrain = 1\n' >"$WORLD/conf"
start_ferryfs -c "$WORLD/conf"
eq "$(<"$MNT/.control/speed") $(<"$MNT/.control/hosts/hdd/speed") $(<"$MNT/.control/hosts/ssd/speed")" "$((7 * MIB)) 6144 max"
eq "$(<"$MNT/db1/migrate/speed") $(<"$MNT/.control/hosts/hdd/drain")" "max 1"
says "write ECONNREFUSED" op write "$MNT/db2/migrate/target" hdd
finish
