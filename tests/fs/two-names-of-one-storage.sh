#!/bin/bash
# Two hosts over one storage: one of them has it, the same at every start, and the other says whose it is.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
for twin in twin1 twin2 twin3; do
    mkdir "$POOLS/$twin"
    mount --bind "$POOLS/ssd" "$POOLS/$twin"
done
volume ssd db1 1M
record_world
twins() { printf -- '--host\n%s\n' "twin1=$POOLS/twin1" "twin2=$POOLS/twin2" "twin3=$POOLS/twin3"; }
mapfile -t TWINS < <(twins)
SSD=("${HOST_ARGS[@]}")

# HOST: it has the volume, the others are its second names
has_it() {
    local host
    eq "$(value db1/host)" "$1"
    for host in ssd twin1 twin2 twin3; do
        [[ $host == "$1" ]] && continue
        holds until_true eval "[[ \$(<\"$MNT/.control/hosts/$host/last_error\") == *'the same storage as host $1'* ]]"
        eq "$(value ".control/hosts/$host/state")" down
    done
    eq "$(value ".control/hosts/$1/state")" up
}

proves "of names that are all new the first of the configuration has it"
HOST_ARGS=("${SSD[@]}" "${TWINS[@]}")
for _ in 1 2 3 4; do
    rm -rf "$STATE" "$POOLS/ssd/.ferryfs-pool"
    start_ferryfs
    has_it ssd
    stop_ferryfs
done

proves "and with a marker that an earlier state made"
rm -r "$STATE"
HOST_ARGS=("${TWINS[@]}" "${SSD[@]}")
start_ferryfs
has_it twin1
stop_ferryfs

proves "the name that had it keeps it, wherever the others stand"
HOST_ARGS=("${SSD[@]}" "${TWINS[@]:2}" "${TWINS[@]:0:2}")
for _ in 1 2 3; do
    start_ferryfs
    has_it twin1
    stop_ferryfs
done

proves "and after its agent died"
start_ferryfs
holds until_true pkill -KILL -P "$DAEMON" -f pool-agent
holds until_true grep -q 'host twin1: down' "$LOG"
holds until_true is .control/hosts/twin1/state up
has_it twin1
holds until_true is db1/status available
stop_ferryfs
finish
