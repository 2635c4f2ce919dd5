#!/bin/bash
# Where times have whole seconds, a write to the old source right after the switch does not show in them: it is kept.
. "$(dirname "$0")/lib.sh"
pool hdd tmpfs
pool ssd ext4-128 256M
volume ssd db 1M dense
at=$(($(date +%s) + 3))
touch -d "@$at" "$POOLS/ssd/db"
fault "call=renameat2,program=pool-agent,from,do=hold,under=$POOLS/ssd"
start_ferryfs

proves "what is written in the second of the last write, when the volume has moved, is kept in the old copy"
until (($(date +%s) >= at)); do :; done
put hdd "$MNT/db/migrate/target"
ctl hit $((20 * SLOW)) || die "the old copy is not put away"
sum=$(sum "$POOLS/ssd/db")
printf intruder | dd of="$POOLS/ssd/db" bs=1 seek=4096 conv=notrunc status=none
ctl release
eq "$(result db) $(value db/host)" "success hdd"
eq "$(sum "$POOLS/hdd/db")" "$sum"
like "$(value .control/hidden)" "* delete-pending db ssd *"
like "$(value .control/health)" "*a copy of it is left hidden on ssd*"
old=("$POOLS/ssd/.ferryfs-"*.copy)
eq "$(dd if="${old[0]}" bs=1 skip=4096 count=8 status=none)" intruder
stop_ferryfs
rm "${old[0]}" # a human has decided
no_fault
start_ferryfs
finish
