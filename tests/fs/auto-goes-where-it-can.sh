#!/bin/bash
# `auto` goes to a host that takes the volume if there is one, though only the host itself may know; `candidates`
# tells beforehand what can be known.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool wide ext4 3G
pool deep xfs 2G
volume ssd db1 4M dense
volume ssd huge 1M
truncate -s 100T "$POOLS/ssd/huge"
start_ferryfs
V=$MNT/db1

proves "a host whose filesystem has no files that big is no candidate, and auto takes the other"
eq "$(cut -d' ' -f1,2 "$MNT/huge/migrate/candidates")" $'deep ok\nwide EFBIG'
like "$(grep wide "$MNT/huge/migrate/candidates")" "wide EFBIG wide takes no file of more than 175921* bytes, huge has 109951162777600 *"
refused EFBIG write huge/migrate/target wide
says ok op write "$MNT/huge/migrate/target" auto
eq "$(<"$MNT/huge/migrate/target")" deep
says ok op write "$MNT/huge/migrate/abort" 1
eq "$(result huge)" aborted

proves "for a volume that fits on both it is the one with more room"
eq "$(cut -d' ' -f1,2 "$V/migrate/candidates")" $'wide ok\ndeep ok'

proves "one that does not answer leaves the others their time"
fsfreeze -f "$POOLS/wide"
began=$(now_ms)
says ok op write "$V/migrate/target" auto
under $((2500 * SLOW)) $(($(now_ms) - began)) "ms"
fsfreeze -u "$POOLS/wide"
eq "$(result db1)" success
eq "$(<"$V/host")" deep
migrate db1 ssd
stop_ferryfs

proves "where the best candidate refuses, the next one is asked"
fault "call=ftruncate,program=pool-agent,from,do=EDQUOT,under=$POOLS/wide"
start_ferryfs
refused EDQUOT write db1/migrate/target wide
says ok op write "$V/migrate/target" auto
like "$(<"$V/migrate/message")" "accepted [0-9]*: ssd -> deep, *"
eq "$(result db1)" success
eq "$(<"$V/host")" deep
migrate db1 ssd

proves "where all refuse, it is refused with the reason of the first"
echo 1 >"$MNT/.control/hosts/deep/drain"
refused EDQUOT write db1/migrate/target auto
echo 0 >"$MNT/.control/hosts/deep/drain"
finish
