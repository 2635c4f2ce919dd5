#!/bin/bash
# Whatever is done by hand to a retained copy or its pool: it is listed, or told of, as long as it is there.
. "$(dirname "$0")/lib.sh"
KEEP=1 REST=settled
pool ssd tmpfs
pool hdd tmpfs
volume ssd db 1M dense
start_ferryfs
hidden() { find "$POOLS/ssd" -name '.ferryfs-*.copy'; }
retain() {
    put 3600 "$MNT/db/migrate/keep"
    migrate db hdd
    like "$(value .control/hidden)" "* retained db ssd *"
}

proves "while one is there no other pool is taken for its pool"
retain
stop_ferryfs
mkdir "$POOLS/another"
mount -t tmpfs -o mode=0755 another "$POOLS/another"
cat /proc/sys/kernel/random/uuid >"$POOLS/another/.ferryfs-pool"
mount --bind "$POOLS/another" "$POOLS/ssd"
start_ferryfs
like "$(value .control/health)" "*bears another marker*"
like "$(value .control/hidden)" "* retained db ssd *"
stop_ferryfs
umount "$POOLS/ssd"
umount "$POOLS/another"
rmdir "$POOLS/another"
start_ferryfs

proves "one that is another file now is not forgotten when it is dropped"
copy=$(hidden)
cp -p "$copy" "$POOLS/ssd/.ferryfs-other"
mv "$POOLS/ssd/.ferryfs-other" "$copy"
put drop "$MNT/db/migrate/retained"
holds until_true eval 'value .control/health | grep -q "a copy of it is left hidden on ssd"'
like "$(value .control/hidden)" "* delete-pending db ssd *"
holds test -e "$copy"
put 1 "$MNT/.control/rescan"
holds until_true eval 'value .control/health | grep -q "a copy of it is left hidden on ssd"'
proves "until a human has seen to it"
rm "$copy"
put 1 "$MNT/.control/rescan"
holds until_true is .control/hidden null
holds until_true is .control/health ok

proves "one that was given another name is a volume at once"
migrate db ssd
retain
mv "$(hidden)" "$POOLS/ssd/db.old"
holds until_true is db.old/status available
eq "$(value db.old/host)" ssd
stop_ferryfs
rm "$POOLS/ssd/db.old"
start_ferryfs
put drop "$MNT/db/migrate/retained"
holds until_true is .control/hidden null
finish
