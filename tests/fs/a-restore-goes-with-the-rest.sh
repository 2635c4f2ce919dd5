#!/bin/bash
# A restore is a job like others: it is paused, slowed down, and gone on with while its host is emptied. It needs neither a
# lease of the volume nor a pool that keeps xattrs or times of birth.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # lib.sh looks at it
KEEP=1
pool ssd tmpfs
pool hdd tmpfs
mkdir "$POOLS/bare"
mount -t ramfs -o mode=0755 pool-bare "$POOLS/bare"
host bare
mkdir "$WORLD/behind" "$POOLS/server"
mount -t tmpfs -o mode=0755,size=1G behind "$WORLD/behind"
"$BUILD/tests/fs/passthrough" "$WORLD/behind" "$POOLS/server" {TICK}>&- {SAYS}>&- &
until_true mountpoint -q "$POOLS/server" || die "no FUSE server"
host server
volume ssd db 16M dense
volume bare plain 4M dense
volume server remote 4M dense

hidden_on() { find "$POOLS/$1" -name '.ferryfs-*.copy'; }
retained() { value "$1/migrate/retained"; }
restore() { says "$2" op write "$MNT/$1/migrate/retained" restore; }
# VOLUME HOST: it goes there, and its old source stays
leave() {
    put 3600 "$MNT/$1/migrate/keep"
    migrate "$1" "$2"
}
verified() { (($(number db bytes_verified) > 0)); }
compared() { eq "$(number "$1" bytes_copied) $(number "$1" bytes_verified)" "0 $2"; }

start_ferryfs
proves "a restore is as slow as it shall be, stands still while it is paused, and goes on where it was"
leave db hdd
put 2M "$MNT/db/migrate/speed"
restore db ok
holds until_true verified
eq "$(value db/migrate/phase)" verifying
put 1 "$MNT/db/migrate/pause"
eq "$(value db/migrate/phase)" paused
TICK_S=0.5 tick # what was asked for before has come
before=$(number db bytes_verified)
TICK_S=1 tick
eq "$(number db bytes_verified)" "$before"
under $((16 << 20)) "$before"
put max "$MNT/db/migrate/speed"
put 0 "$MNT/db/migrate/pause"
eq "$(result db) $(value db/host) $(number db resumes)" "success ssd 0"
compared db $((16 << 20))
like "$(retained db)" "hdd 16777216 *" # as keep has it

proves "the service's pause holds it too, and an abort ends it there"
put 1 "$MNT/.control/pause"
restore db ok
eq "$(value db/migrate/phase)" paused
put 1 "$MNT/db/migrate/abort"
eq "$(result db) $(value db/host)" "aborted ssd"
put 0 "$MNT/.control/pause"
like "$(retained db)" "hdd 16777216 *"
check_world --mount "$MNT"

proves "while its host is emptied it goes on, and counts for that"
put 2M "$MNT/db/migrate/speed"
restore db ok
holds until_true verified
says ok op write "$MNT/.control/hosts/ssd/evacuate" hdd
put max "$MNT/db/migrate/speed"
eq "$(result db) $(value db/host)" "success hdd"
holds until_true is .control/hosts/ssd/evacuate "1/1 0"
holds until_true is .control/hosts/ssd/drain 0

proves "nothing is restored to a host that drains, as one that is emptied does"
put 1 "$MNT/.control/hosts/ssd/drain"
restore db "write ECONNREFUSED"
like "$(retained db)" "ssd 16777216 *"
put 0 "$MNT/.control/hosts/ssd/drain"
check_world --mount "$MNT"

proves "a pool without leases: the copy is kept, compared twice and restored"
leave remote ssd
like "$(retained remote)" "server 4194304 *"
eq "$(number remote claim_weak)" 1
restore remote ok
eq "$(result remote) $(value remote/host)" "success server"
compared remote $((4 << 20))
eq "$(number remote claim_weak)" 0 # it left a pool with leases
restore remote ok
eq "$(result remote) $(value remote/host) $(number remote claim_weak)" "success ssd 1"
check_world --mount "$MNT"
proves "what was written there since is found"
restore remote ok
eq "$(result remote) $(value remote/host)" "success server"
cp -p "$POOLS/server/remote" "$WORLD/as-it-was"
printf new | dd of="$POOLS/server/remote" bs=1 seek=5000 conv=notrunc status=none
restore remote "write ESTALE"
touch -d @1600000000.123456789 "$POOLS/server/remote"
restore remote ok
eq "$(result remote)" error
like "$(value remote/migrate/error)" "ESTALE verifying * the volume was written since it moved"
like "$(retained remote)" "ssd 4194304 *"
eq "$(value remote/host) $(value remote/status)" "server available"
dd if="$WORLD/as-it-was" of="$POOLS/server/remote" bs=1M conv=notrunc status=none
touch -r "$WORLD/as-it-was" "$POOLS/server/remote"

proves "a pool that keeps neither xattrs nor times of birth: the copy is hidden there, and nobody else's"
setfattr -x user.note "$POOLS/bare/plain" 2>/dev/null
leave plain ssd
eq "$(stat -c '%a %u' "$(hidden_on bare)")" "600 0"
fails test -e "$POOLS/bare/plain"
eq "$(value .control/health)" ok
proves "it survives a kill, and is restored"
kill_ferryfs
start_ferryfs
put 3600 "$MNT/plain/migrate/keep"
restore plain ok
eq "$(result plain) $(value plain/host)" "success bare"
compared plain $((4 << 20))
eq "$(stat -c '%a %u %g' "$POOLS/bare/plain")" "640 1234 2345"
check_world --mount "$MNT"
proves "killed when its old source is hidden, it stays what it was adopted as"
put 3600 "$MNT/plain/migrate/keep"
restore plain ok
eq "$(result plain) $(value plain/host)" "success ssd"
stop_ferryfs
fault "call=fsync,program=pool-agent,at=2,from,do=hold,under=$POOLS/ssd" # the first one is of the folder
start_ferryfs
put 3600 "$MNT/plain/migrate/keep"
restore plain ok
held
eq "$(stat -c '%a %u' "$(hidden_on ssd | xargs ls -tc | head -n 1)")" "600 0"
fails test -e "$POOLS/ssd/plain"
kill_ferryfs
no_fault
start_ferryfs
holds until_true is plain/status available
eq "$(value plain/host) $(stat -c '%a %u %g' "$POOLS/bare/plain")" "bare 640 1234 2345"
like "$(retained plain)" "ssd 4194304 *"
put 3600 "$MNT/plain/migrate/keep"
proves "what has xattrs by then is not, and nothing has happened"
restore plain ok
eq "$(result plain) $(value plain/host)" "success ssd"
setfattr -n user.note -v later "$POOLS/ssd/plain"
restore plain ok
eq "$(result plain)" error
like "$(value plain/migrate/error)" "EOPNOTSUPP switching null the pool does not take the xattr user.note: ?*"
eq "$(value plain/host) $(value plain/status)" "ssd available"
eq "$(stat -c '%a %u' "$(hidden_on bare)")" "600 0"
setfattr -x user.note "$POOLS/ssd/plain"
proves "what is exchanged there is not restored"
copy=$(hidden_on bare)
mv "$copy" "$POOLS/bare/.aside"
cp -a "$POOLS/bare/.aside" "$copy"
restore plain "write ESTALE"
rm "$copy"
mv "$POOLS/bare/.aside" "$copy"
proves "drop removes it there as anywhere"
put drop "$MNT/plain/migrate/retained"
none_on() { [[ -z $(hidden_on "$1") ]]; }
holds until_true none_on bare
for name in db remote; do put drop "$MNT/$name/migrate/retained"; done
finish
