#!/bin/bash
# Where the kernel grants no lease nothing holds the source still: its time is looked at instead, block by block, and
# the copy is compared with it twice.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd ext4 256M
volume ssd db1 16M dense
S=$POOLS/ssd/db1 V=$MNT/db1
cp -p "$S" "$WORLD/as-new"

# Leases on the files of others are for who has CAP_LEASE
printf '#!/bin/sh\nexec setpriv --bounding-set=-lease -- "%s" "$@"\n' "$FERRYFS" >"$BIN/without-leases"
chmod 755 "$BIN/without-leases"
FERRYFS=$BIN/without-leases

proves "it moves, and is compared"
start_ferryfs
migrate db1 hdd
eq "$(number db1 claim_weak)" 1
eq "$(number db1 bytes_verified)" $((16 << 20))
check_world --mount "$MNT"
migrate db1 ssd
check_world --mount "$MNT"
stop_ferryfs

# A writer whom nobody holds up, while the job waits in a call
written_during() {
    proves "what is written while $1 ends the job, and is there"
    fault "$2"
    start_ferryfs
    says ok op write "$V/migrate/target" hdd
    held
    printf "%s" "$1" | dd of="$S" bs=1 seek=12345 conv=notrunc status=none
    sum=$(sum "$S")
    ctl release
    eq "$(result db1)" error
    like "$(<"$V/migrate/error")" "ETXTBSY $3 *"
    eq "$(value db1/host) $(value db1/status)" "ssd available"
    eq "$(sum "$S")" "$sum"
    dd if="$WORLD/as-new" of="$S" bs=1M conv=notrunc status=none
    touch -r "$WORLD/as-new" "$S"
    check_world --mount "$MNT" # nothing else has changed
    stop_ferryfs
}
written_during "it is copied" "call=pwrite,program=copy-worker,at=4,from,do=hold" copying
written_during "the copy is flushed" "call=fsync,program=copy-worker,from,do=hold" verifying
written_during "it is compared" "call=pread,program=copy-worker,at=70,from,do=hold" verifying
finish
