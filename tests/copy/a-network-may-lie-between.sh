#!/bin/bash
# From and to an NBD server over TCP, and over an encrypted connection: equal, verified, and as sparse as it was.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/copy/places.sh
. "$HERE/places.sh"
filesystem tmpfs
mixed tmpfs/source $((4 * 1024 * 1024 + 3)) 7
echo alice:00112233445566778899aabbccddeeff >keys
echo alice:ffeeddccbbaa99887766554433221100 >other

# tcp or tls: nbdkit serves the copy in that way
offer() {
    local socket=$WORLD/socket.$((++N_PLACED))
    truncate -s "$(size_of tmpfs/source)" tmpfs/copy
    if [[ $1 == tcp ]]; then
        port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        nbdkit -f -i 127.0.0.1 -p "$port" file tmpfs/copy </dev/null >>servers.log 2>&1 {TICK}>&- &
        SERVERS+=($!)
        PLACE=nbd://127.0.0.1:$port
        answers() { copies --map "$PLACE" && ((STATUS == 0)); }
        until_true answers || die "no server: $(<servers.log)"
    else
        serve "$socket" nbdkit -f -U "$socket" --tls=require --tls-psk="$WORLD/keys" file tmpfs/copy
        PLACE="nbds+unix://alice@/?socket=$socket&tls-psk-file=$WORLD/keys"
    fi
}

for way in tcp tls; do
    proves "a volume goes to a server and comes back, by $way"
    offer $way
    exits 0 --force tmpfs/source "$PLACE"
    exits 0 --compare tmpfs/source "$PLACE"
    exits 0 "$PLACE" tmpfs/back
    leave
    holds same tmpfs/source tmpfs/copy
    holds same tmpfs/source tmpfs/back
    holds minimal tmpfs/copy
    rm tmpfs/copy tmpfs/back
done

proves "who has another key, or none, gets nothing"
offer tls
for place in "${PLACE/keys/other}" "nbd+unix:///?${PLACE#*\?}"; do
    exits 1 "$place" tmpfs/back
    like "$ERR" "ferrycopy: *"
    fails test -e tmpfs/back
done
exits 0 "$PLACE" tmpfs/back
leave
finish
