#!/bin/bash
# A start that needs a disk which hangs ends, and says why.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
volume ssd db 1M
start_ferryfs
stop_ferryfs

proves "where the disk of the state directory hangs a start ends, and says so"
fault "call=fdatasync,program=ferryfs,from,do=hold,under=$STATE"
pool hdd tmpfs # which is to be remembered
begin_ferryfs
until_true gone || die "it waits for ever"
wait "$DAEMON"
eq $? 1 "the exit status"
DAEMON=''
holds grep -q "^ferryfs: the disk of the state directory does not answer" "$LOG"
fails mountpoint -q "$MNT"
no_fault
proves "and the next one finds all as it was"
start_ferryfs
eq "$(<"$MNT/.control/hosts/hdd/state") $(<"$MNT/.control/hosts/ssd/state")" "up up"
finish
