#!/bin/bash
# Every row of the table of errors: the errno, at open or at write, in `message` and in the log, and no change.
# The rows about other machines (EHOSTUNREACH EKEYREJECTED EPROTONOSUPPORT) have no host to come from yet.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd ext4 1G
pool third tmpfs
pool small tmpfs 8M
pool locked ext4 64M
pool lost plain
pool frozen ext4 256M
volume ssd db1 16M dense
volume ssd db2 16M sparse
volume ssd huge 1M
volume ssd taken 1M
volume lost stray 1M
truncate -s 100T "$POOLS/ssd/huge"
mkdir "$POOLS/hdd/taken"
mkdir "$POOLS/twin"
mount --bind "$POOLS/hdd" "$POOLS/twin"
start_ferryfs
stop_ferryfs
HOST_ARGS+=(--host "twin=$POOLS/twin")
mount -o remount,ro "$POOLS/locked"
fault "call=pwrite,from,armed,do=EIO,under=$STATE"
start_ferryfs
V=$MNT/db1

# ERRNO CALL WORD: of the first volume's target
target() { refused "$1" "$2" db1/migrate/target "$3"; }
# VOLUME HOSTS: those its candidates have something against, each with the errno that a write of it answers
foretells() {
    local host errno rest hosts=''
    while read -r host errno rest; do
        [[ $errno != ok ]] || continue
        hosts+="$host $errno "
        like "$rest" "?* [0-9]*" "a reason and bytes"
        refused "$errno" write "$1/migrate/target" "$host"
    done < <(sort "$MNT/$1/migrate/candidates")
    eq "$hosts" "$2"
}

proves "EACCES: who may not write the controls learns it at open"
says "open EACCES" as_nobody op write "$V/migrate/target" hdd
says "open EACCES" as_nobody op write "$V/migrate/abort" 1
says "open EACCES" as_nobody op open "$V/path" r
says "open EACCES" as_nobody op open "$MNT/.control/hidden" r

proves "EACCES: a file without a store cannot be opened for writing by root either"
for file in uuid size host status migrate/status migrate/progress migrate/wait migrate/candidates; do
    says "open EACCES" op open "$V/$file" w
    says "open EACCES" op open "$V/$file" rw
done

proves "EINVAL: a word that can name no host"
for word in $'\n' " " "hdd third" $'hdd\nthird' "../hdd" "/hdd" "-hdd" "." "h*" $'h\e[31m' $'\xff\xfe'; do
    says "write EINVAL" op write "$V/migrate/target" "$word"
done
printf 'hd\0d' >"$WORLD/word"
says "write EINVAL" op write-stdin "$V/migrate/target" w <"$WORLD/word"
printf 'hdd\0' >"$WORLD/word"
says "write EINVAL" op write-stdin "$V/migrate/target" w <"$WORLD/word"
says "write EINVAL" op write-count "$V/migrate/target" 4096
says "write EINVAL" op write-count "$V/migrate/target" 200000
target EINVAL write "hdd third"

proves "ENAMETOOLONG: a name longer than any host's"
target ENAMETOOLONG write "$(printf 'h%.0s' {1..65})"
says "write ENAMETOOLONG" op write-count "$V/migrate/target" 4095

proves "ENXIO: there is no such host"
target ENXIO write nowhere
target ENXIO write HDD

proves "EEXIST: another name of the same storage"
migrate db2 hdd
foretells db2 "locked EROFS twin EEXIST "
migrate db2 ssd

proves "EEXIST: something of that name is there, and is left alone"
foretells taken "hdd EEXIST locked EROFS twin EEXIST "

proves "EHOSTDOWN: the host is down"
mv "$POOLS/lost" "$WORLD/lost"
until_true is .control/hosts/lost/state down || wrong "a pool that went is not noticed"
foretells db1 "locked EROFS lost EHOSTDOWN small ENOSPC twin EEXIST "
like "$(<"$MNT/.control/health")" "degraded *lost*"
proves "EBUSY: the volume is in error, told at open"
eq "$(<"$MNT/stray/status")" error
refused EBUSY open stray/migrate/target hdd
eq "$(<"$MNT/stray/migrate/message")" "refused EBUSY: the volume is in error: see .control/health"
mv "$WORLD/lost" "$POOLS/lost"
until_true is .control/hosts/lost/state up || wrong "a pool that came back is not noticed"
eq "$(<"$MNT/stray/status")" available

proves "ECONNREFUSED: the host is draining"
says ok op write "$MNT/.control/hosts/third/drain" 1
foretells db1 "locked EROFS small ENOSPC third ECONNREFUSED twin EEXIST "
says ok op write "$MNT/.control/hosts/third/drain" 0

proves "ENOSPC: with the numbers"
target ENOSPC write small
like "$(<"$V/migrate/message")" "refused ENOSPC: small has [0-9]* bytes free, needs 16777216"

proves "EFBIG: the host's filesystem has no files that big"
foretells huge "frozen EFBIG hdd EFBIG locked EROFS twin EEXIST "

proves "EROFS: the host is read-only"
target EROFS write locked

proves "ETIMEDOUT: the host gives no answer in 2 s"
fsfreeze -f "$POOLS/frozen"
began=$(now_ms)
target ETIMEDOUT write frozen
under $((3000 * SLOW)) $(($(now_ms) - began)) "ms"
fsfreeze -u "$POOLS/frozen"
eq "$(<"$V/status")" available

proves "EBUSY: the volume is open for writing elsewhere, told at open"
mkfifo "$WORLD/hold"
op hold "$POOLS/ssd/db1" rw <"$WORLD/hold" >"$WORLD/held" &
holder=$!
exec 9>"$WORLD/hold"
holds until_true grep -qs held "$WORLD/held"
holds until_true is db1/status in-use
target EBUSY open hdd
exec 9>&-
wait "$holder"
holds until_true is db1/status available
eq "$(<"$V/migrate/status")" null
eq "$(cut -d' ' -f1,2 "$V/migrate/candidates" | sort | tr '\n' ' ')" \
    "frozen ok hdd ok locked EROFS lost ok small ENOSPC third ok twin EEXIST "

proves "EBUSY: a mapping that can be written counts as open"
rm "$WORLD/held"
python3 -c '
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
mapped = mmap.mmap(fd, 4096)
os.close(fd)
print("held", flush=True)
sys.stdin.read()' "$POOLS/ssd/db1" <"$WORLD/hold" >"$WORLD/held" &
holder=$!
exec 9>"$WORLD/hold"
holds until_true grep -qs held "$WORLD/held"
holds until_true is db1/status in-use
target EBUSY open hdd
exec 9>&-
wait "$holder"
holds until_true is db1/status available

proves "ESRCH: there is nothing to abort"
refused ESRCH open db1/migrate/abort 1

proves "EIO: the catalogue cannot be written, and nothing is started"
ctl arm
target EIO write hdd
ctl disarm
like "$(<"$MNT/.control/health")" "degraded catalogue $STATE: in doubt: nothing is changed until a restart*"
target EIO write hdd
check_world --mount "$MNT"

proves "EINVAL: settings that are none"
says "write EINVAL" op write "$V/migrate/verify" maybe
for speed in 0 -1 fast 1.5M 1KB; do
    for file in "$V/migrate" "$MNT/.control" "$MNT/.control/hosts/hdd"; do says "write EINVAL" op write "$file/speed" "$speed"; done
done
for file in "$V/migrate" "$MNT/.control"; do says "write EINVAL" op write "$file/pause" yes; done
says "write EINVAL" op write "$MNT/.control/max_jobs" -1
says "write EINVAL" op write "$MNT/.control/max_jobs" many
says "write EINVAL" op write "$MNT/.control/hosts/hdd/drain" 2
says "write EINVAL" op write "$MNT/.control/rescan" yes
stop_ferryfs

# With jobs under way
hold_copies
start_ferryfs
says ok op write "$MNT/.control/max_jobs" 1
says ok op write "$MNT/.control/max_queue" 1
says ok op write "$V/migrate/target" hdd
held

proves "EALREADY: a job to another host exists"
target EALREADY write third
proves "asking for the same host again succeeds and does nothing"
says ok op write "$V/migrate/target" hdd
eq "$(<"$V/migrate/message")" "already moving to hdd"
eq "$(wc -l <"$MNT/.control/jobs")" 1

proves "EBUSY: verify is settled before the start"
refused EBUSY write db1/migrate/verify off
proves "EINVAL: only 1 aborts"
refused EINVAL write db1/migrate/abort 0
refused EINVAL write db1/migrate/abort yes

proves "ENOBUFS: the queue is full"
says ok op write "$MNT/db2/migrate/target" hdd
eq "$(<"$MNT/db2/migrate/phase")" queued
refused ENOBUFS write taken/migrate/target third
says ok op write "$MNT/db2/migrate/abort" 1
eq "$(result db2)" aborted

proves "EBUSY: a job that rolls back, told at open"
kill_ferryfs
hold_copies
start_ferryfs
takes() { [[ $(op write "$V/migrate/target" hdd) == ok ]]; }
holds until_true takes # what the kill left is recovered first
held
fsfreeze -f "$POOLS/hdd" # what was made there cannot be removed
says ok op write "$V/migrate/abort" 1
eq "$(<"$V/migrate/phase")" rolling-back
eq "$(<"$V/migrate/abort")" 1
refused EBUSY open db1/migrate/target third
proves "abort twice is fine"
says ok op write "$V/migrate/abort" 1
fsfreeze -u "$POOLS/hdd"
eq "$(result db1)" aborted
stop_ferryfs

proves "EBUSY: it is too late to abort once the volume is at its new host, told at open"
from=ssd to=hdd
for call in renameat2 unlinkat; do
    fault "call=$call,program=pool-agent,from,do=hold,under=$POOLS/$from"
    start_ferryfs
    says ok op write "$V/migrate/target" "$to"
    held
    eq "$(<"$V/migrate/phase") $(<"$V/host")" "cleaning $to"
    refused EBUSY open db1/migrate/abort 1
    eq "$(<"$V/migrate/message")" "refused EBUSY: too late: the volume is at $to already"
    ctl release
    eq "$(result db1)" success
    holds until_true idle
    stop_ferryfs
    from=hdd to=ssd
done

proves "EDQUOT: the storage says that the quota is used up"
fault "call=ftruncate,program=pool-agent,from,do=EDQUOT,under=$POOLS/hdd"
start_ferryfs
target EDQUOT write hdd
stop_ferryfs

proves "ESHUTDOWN: the daemon stops while a request is checked"
fault "call=ftruncate,program=pool-agent,from,do=hold,under=$POOLS/hdd"
start_ferryfs
op write "$V/migrate/target" hdd >"$WORLD/said" &
writer=$!
held
stop_ferryfs
wait "$writer"
eq "$(<"$WORLD/said")" "write ESHUTDOWN"
ctl release

proves "EAGAIN: the volume is still being recovered"
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" hdd
held
kill_ferryfs
no_fault
mkdir "$WORLD/away"
umount "$POOLS/twin"
mount --move "$POOLS/hdd" "$WORLD/away" && rmdir "$POOLS/hdd"
begin_ferryfs
holds until_true answers
holds until_true lists db1
refused EAGAIN open db1/migrate/target third
like "$(<"$MNT/.control/health")" "degraded *hdd*"
stop_ferryfs
mkdir "$POOLS/hdd"
mount --move "$WORLD/away" "$POOLS/hdd"
start_ferryfs
eq "$(result db1)" success
finish
