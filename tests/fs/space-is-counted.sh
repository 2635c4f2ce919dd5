#!/bin/bash
# What a host has free is what it has now: a volume that was accepted arrives, and one that there is room for is
# accepted, however soon after another has come or gone.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool tight tmpfs 100M
pool narrow ext4 112M
pool slim xfs 300M
for i in 1 2; do volume ssd "db$i" 60M dense; done
for i in 1 2; do volume ssd "big$i" 140M dense; done
start_ferryfs
MIB=$((1024 * 1024))

# VOLUME HOST: what `candidates` says of it
judged() { sed -n "s/^$2 \([A-Za-z]*\) .*/\1/p" "$MNT/$1/migrate/candidates"; }
judged_ok() { [[ $(judged "$@") == ok ]]; }
# VOLUME HOST: the room it tells of
room() { sed -n "s/^$2 .* \([0-9]*\)$/\1/p" "$MNT/$1/migrate/candidates"; }
# MIB: `tight` has more for db2
has_room() { (($(room db2 tight) > $1 * MIB)); }

# HOST VOLUME OTHER: there is room for one of the two
take_turns() {
    local round
    for round in 1 2 3; do
        proves "$1, round $round: right after one came the other is refused"
        migrate "$2" "$1"
        eq "$(judged "$3" "$1")" ENOSPC
        says "write ENOSPC" op write "$MNT/$3/migrate/target" "$1"
        proves "$1, round $round: right after it went the other is accepted, and arrives"
        migrate "$2" ssd
        migrate "$3" "$1"
        migrate "$3" ssd
        # What was removed may be held open a moment longer, by a process that is ending
        until_true judged_ok "$2" "$1" || wrong "$1 is judged $(judged "$2" "$1") by now"
    done
}

take_turns tight db1 db2
take_turns narrow db1 db2
take_turns slim big1 big2

proves "what others remove makes room at once"
for round in 1 2 3 4 5; do
    head -c 60M /dev/zero >"$POOLS/tight/.other"
    says "write ENOSPC" op write "$MNT/db1/migrate/target" tight
    rm "$POOLS/tight/.other"
    migrate db1 tight
    migrate db1 ssd
done

proves "while a volume comes, its room is promised to nobody else"
stop_ferryfs
fault "call=pwrite,program=copy-worker,at=30,from,do=hold"
start_ferryfs
says ok op write "$MNT/db1/migrate/target" tight
held
most=0
for round in {1..40}; do
    tick
    told=$(room db2 tight)
    ((told > most)) && most=$told
done
under $((40 * MIB)) "$most" "bytes of room in 100 MiB"
says "write ENOSPC" op write "$MNT/db2/migrate/target" tight
holds until_true has_room 39 # or bytes that are still to come count twice
ctl release
eq "$(result db1)" success
finish
