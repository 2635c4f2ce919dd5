#!/bin/bash
# A destination that hangs, or a worker that stands still, holds up no reader, no abort and no other volume.
. "$(dirname "$0")/lib.sh"
needs fio
pool ssd tmpfs
pool hdd ext4 512M
pool third tmpfs
volume ssd db1 128M dense
volume ssd db2 1M
V=$MNT/db1
LIMIT_US=$((100000 * SLOW))
start_ferryfs

# Every file of the volume and the service, and the listing, in under 100 ms each
all_read_quickly() {
    local file
    while IFS= read -r file; do
        under $LIMIT_US "$(op slowest "$file" 5)" "us for $file"
    done < <(find "$MNT/db1" "$MNT/.control" -type f)
    under $LIMIT_US "$(op slowest "$V/status" 500)" "us for one of 500 reads of status"
    began=$(now_ms)
    find "$MNT" >"$WORLD/found"
    under $((100 * SLOW + 100)) $(($(now_ms) - began)) "ms for find"
}

abort_quickly() {
    under $((1000000 * SLOW)) "$(op write-us "$V/migrate/abort" 1)" "us for abort"
}

worker() { pgrep -f copy-worker | head -n 1; }
has_worker() { [[ -n $(worker) ]]; }

proves "with the destination frozen in the midst of a copy everything can be read in under 100 ms"
says ok op write "$V/migrate/target" hdd
holds until_true has_worker
fsfreeze -f "$POOLS/hdd"
if [[ $(<"$V/migrate/status") == success ]]; then
    fsfreeze -u "$POOLS/hdd"
    die "the copy was over before the freeze"
fi
all_read_quickly
proves "and abort is accepted within 1 s"
abort_quickly
eq "$(<"$V/migrate/abort")" 1
eq "$(<"$V/host")" ssd
all_read_quickly
proves "and whoever wants to write the volume need not wait for that disk"
began=$(now_ms)
holds op hold "$POOLS/ssd/db1" rw </dev/null >"$WORLD/held"
under $((5000 * SLOW)) $(($(now_ms) - began)) "ms for open"
proves "and another volume moves meanwhile"
migrate db2 third
proves "once it thaws the volume is back as it was"
fsfreeze -u "$POOLS/hdd"
eq "$(result db1)" aborted
eq "$(<"$V/status")" available
holds until_true idle
check_world --mount "$MNT"

proves "frozen, then SIGTERM: ferryfs ends in under 2 s, and recovers after the thaw"
says ok op write "$V/migrate/target" hdd
holds until_true has_worker
fsfreeze -f "$POOLS/hdd"
began=$(now_ms)
kill -TERM "$DAEMON"
until_true gone || wrong "it does not end"
under $((2000 * SLOW)) $(($(now_ms) - began)) "ms until it has ended"
wait "$DAEMON"
DAEMON=''
fsfreeze -u "$POOLS/hdd"
until_true no_family || wrong "left over: $(family)"
start_ferryfs
eq "$(result db1)" success
migrate db1 ssd

proves "with the worker stopped everything can be read in under 100 ms, and abort is accepted within 1 s"
stop_ferryfs
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" hdd
held
kill -STOP "$(worker)"
all_read_quickly
abort_quickly
eq "$(result db1)" aborted
no_worker() { ! has_worker; }
holds until_true no_worker
check_world --mount "$MNT"

proves "a worker that is killed: the job goes on with another, or ends in an error, and nothing is lost"
stop_ferryfs
fault "call=pwrite,program=copy-worker,at=30,do=kill"
start_ferryfs
says ok op write "$V/migrate/target" hdd
like "$(result db1)" "@(success|error)"
holds until_true idle
check_world --mount "$MNT"

proves "the source frozen: reads and abort go on as well"
stop_ferryfs
no_fault
start_ferryfs
[[ $(<"$V/host") == hdd ]] || migrate db1 hdd
says ok op write "$V/migrate/target" ssd
holds until_true has_worker
fsfreeze -f "$POOLS/hdd"
all_read_quickly
fsfreeze -u "$POOLS/hdd"
like "$(result db1)" success

proves "the disk of the state frozen: whoever asks for a job waits, and everything can be read in under 100 ms"
stop_ferryfs
fault "call=fdatasync,armed,from,do=hold,under=$STATE"
start_ferryfs
ctl arm
op write "$V/migrate/target" hdd >"$WORLD/asked" &
asker=$!
ctl hit $((20 * SLOW)) || die "no flush of the state was held"
all_read_quickly
eq "$(<"$V/host")" ssd
fails ended "$asker"
proves "SIGTERM then ends it in under 2 s"
began=$(now_ms)
kill -TERM "$DAEMON"
until_true gone || die "it does not end"
under $((2000 * SLOW)) $(($(now_ms) - began)) "ms until it has ended"
wait "$DAEMON"
eq "$?" 0
DAEMON=''
until_true ended "$asker" || wrong "who asked is stuck"
like "$(<"$WORLD/asked")" "write *"
eq "$(grep " $MNT " /proc/self/mountinfo)" ""
until_true no_family || wrong "left over: $(family)"
check_world --dead
proves "and the next start finds the volume whole, and moves it"
no_fault
start_ferryfs
like "$(result db1)" "@(null|success)"
[[ $(<"$V/host") == hdd ]] || migrate db1 hdd

proves "a disk that hangs under one volume's data holds up no reader, and nobody's other data"
n_threads() { sed -n 's/^Threads:[[:blank:]]*//p' "/proc/$DAEMON/status"; }
threads_are() { test "$(n_threads)" "$@"; }
before=$(n_threads)
fio --name=hangs --filename="$V/data" --allow_file_create=0 --rw=randwrite --bs=4k --size=64M --direct=1 \
    --ioengine=libaio --iodepth=60 --time_based --runtime=4 >"$WORLD/said" 2>&1 {TICK}>&- {SAYS}>&- &
writers=$!
holds until_true is db1/status in-use
fsfreeze -f "$POOLS/hdd"
holds until_true threads_are -ge 20
all_read_quickly
began=$(now_ms)
dd if=/dev/urandom of="$MNT/db2/data" bs=64k count=4 conv=notrunc,fsync status=none || wrong "db2 cannot be written"
cmp "$MNT/db2/data" "$MNT/db2/data" || wrong "db2 cannot be read"
under $((1000 * SLOW)) $(($(now_ms) - began)) "ms for another volume's data"
fails ended "$writers"
fsfreeze -u "$POOLS/hdd"
wait "$writers" || wrong "a write failed: $(tail -n 5 "$WORLD/said")"
holds until_true threads_are -le $((before + 16))
is_at_rest() { is db1/status available && is db2/status available; }
holds until_true is_at_rest
record_world

proves "SIGTERM while it hangs lets everybody go, users of other data too"
fio --name=hangs --filename="$V/data" --allow_file_create=0 --rw=randwrite --bs=4k --size=64M --direct=1 \
    --ioengine=libaio --iodepth=60 --time_based --runtime=60 >"$WORLD/said" 2>&1 {TICK}>&- {SAYS}>&- &
writers=$!
exec {OTHER}<"$MNT/db2/data"
holds until_true is db1/status in-use
fsfreeze -f "$POOLS/hdd"
holds until_true threads_are -ge 20
began=$(now_ms)
kill -TERM "$DAEMON"
lets_go() { ! cat <&"$OTHER" >/dev/null; } 2>/dev/null
holds until_true lets_go
under $((4000 * SLOW)) $(($(now_ms) - began)) "ms until it has let go"
exec {OTHER}<&-
proves "and another can begin meanwhile"
old=$DAEMON
start_ferryfs
fails ended "$old"
fsfreeze -u "$POOLS/hdd"
until_true ended "$old" || wrong "it does not end"
wait "$old"
eq "$?" 0
fails wait "$writers"
record_world
finish
