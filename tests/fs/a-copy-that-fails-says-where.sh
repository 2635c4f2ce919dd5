#!/bin/bash
# A copy that fails is undone and says where; one that lacks space waits for it first, as long as the grace time.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 72M dense # the worker flushes every 64 MiB, and reads back what is behind that
V=$MNT/db1

# ERRNO: that is the error, with an offset
says_where() { [[ $(<"$V/migrate/error") =~ ^$1\ copying\ ([0-9]+)\ . ]] && ((BASH_REMATCH[1] % 4096 == 0 && BASH_REMATCH[1] < 72 << 20)); }

# The volume is where it was, and nothing is left of its copy
undone() {
    eq "$(<"$V/status") $(<"$V/host") $(<"$V/migrate/phase") $(<"$V/migrate/target")" "available ssd idle ssd"
    until_true idle || wrong "left: $(<"$MNT/.control/hidden")"
}

# FAULT [OPTION...]: a job meets that
meets() {
    fault "$1"
    shift
    start_ferryfs "$@"
    ctl arm
    says ok op write "$V/migrate/target" hdd
}

proves "a copy that finds no space is stopped, and says where"
meets "call=pwrite,program=copy-worker,armed,from,at=3,do=ENOSPC"
holds until_true phase_is db1 stopped
holds says_where ENOSPC
eq "$(<"$V/status") $(<"$V/migrate/status") $(<"$V/migrate/eta")" "migrating migrating null"
like "$(<"$MNT/.control/jobs")" "db1 ssd hdd stopped *"

proves "once there is space it goes on, to success"
ctl disarm
eq "$(result db1)" success
eq "$(<"$V/migrate/error") $(<"$V/host")" "null hdd"
migrate db1 ssd
stop_ferryfs

proves "one that is stopped can be aborted"
meets "call=pwrite,program=copy-worker,armed,from,do=ENOSPC"
holds until_true phase_is db1 stopped
says ok op write "$V/migrate/abort" 1
eq "$(result db1) $(<"$V/migrate/error")" "aborted null"
undone
stop_ferryfs

proves "when the grace time is over it is undone"
meets "call=pwrite,program=copy-worker,armed,from,do=ENOSPC" --grace 1
eq "$(result db1)" error
holds says_where ENOSPC
undone
stop_ferryfs

proves "a pool that somebody fills stops it, and it goes on when there is room"
no_fault
mount -o remount,size=100M "$POOLS/hdd"
start_ferryfs
put 20M "$V/migrate/speed"
says ok op write "$V/migrate/target" hdd
holds until_true phase_is db1 copying
fails dd if=/dev/zero of="$POOLS/hdd/other" bs=1M status=none
holds until_true phase_is db1 stopped
holds says_where ENOSPC
rm "$POOLS/hdd/other"
put max "$V/migrate/speed"
eq "$(result db1) $(<"$V/migrate/error")" "success null"
migrate db1 ssd
stop_ferryfs

proves "a copy whose disk does not answer is stopped, and goes on when it does"
meets "call=pwrite,program=copy-worker,armed,from,at=3,do=hold" --stall 1
holds until_true phase_is db1 stopped
eq "$(<"$V/migrate/error")" "ETIMEDOUT copying null no disk has answered for 1 s"
eq "$(<"$V/status") $(<"$V/migrate/status")" "migrating migrating"
ctl release
eq "$(result db1) $(<"$V/migrate/error") $(number db1 resumes)" "success null 0"
migrate db1 ssd
stop_ferryfs

proves "one whose disk never answers is undone after the grace time"
meets "call=pwrite,program=copy-worker,armed,from,do=hold" --stall 1 --grace 1
eq "$(result db1) $(<"$V/migrate/error")" "error ETIMEDOUT copying null no disk has answered for 1 s"
undone
stop_ferryfs

proves "a job that is slow because it shall be is not stopped"
no_fault
start_ferryfs --stall 1 --grace 1 --speed 1K
says ok op write "$V/migrate/target" hdd
holds until_true phase_is db1 copying
TICK_S=3 tick
eq "$(<"$V/migrate/phase")" copying
says ok op write "$V/migrate/abort" 1
eq "$(result db1)" aborted
undone
stop_ferryfs

proves "a source that cannot be read is no copy: the place is told"
meets "call=pread,program=copy-worker,armed,from,at=3,do=EIO,under=$POOLS/ssd"
eq "$(result db1)" error
holds says_where EIO
undone
stop_ferryfs

# Whenever the worker flushes what it has written, also what it has written anew, it is changed
spoil() {
    local flushes=1 copy
    while until_true flushes_or_over "$flushes" && ! phase_is db1 idle; do
        copy=("$POOLS"/hdd/.ferryfs-*.copy)
        printf spoilt | dd of="${copy[0]}" bs=1 seek=69632 conv=notrunc,nocreat status=none
        ctl pass 1
        flushes=$((flushes + 1))
    done
}
flushes_or_over() { (($(ctl counts | sed -n 's/^fdatasync //p') >= $1)) || phase_is db1 idle; }

proves "a copy that differs, and differs again when it was written anew, is undone"
meets "call=fdatasync,program=copy-worker,armed,from,do=hold"
spoil
eq "$(result db1)" error
like "$(<"$V/migrate/error")" "EILSEQ copying 69632 it differs ?*"
undone
finish
