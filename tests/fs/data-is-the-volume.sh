#!/bin/bash
# VOLUME/data is the volume's file: its bytes, size, mode and owner, and while it is open the volume is in use.
. "$(dirname "$0")/lib.sh"
needs python3 inotifywait flock setfacl
pool ssd ext4 512M
pool hdd tmpfs
volume ssd db1 16M dense
volume ssd db2 24M
volume ssd empty 0
volume hdd other 4M dense
start_ferryfs
V=$MNT/db1
D=$V/data
P=$POOLS/ssd/db1

in_use() { is "$1/status" in-use; }
at_rest() { is "$1/status" available; }

proves "it has the volume's bytes, size, mode, owner and blocks, and is in no listing"
eq "$(sum "$D")" "$(sum "$P")"
eq "$(stat -c '%s %a %u %g %F' "$D")" "$(stat -c '%s %a %u %g %F' "$P")"
eq "$(stat -c %b "$MNT/db2/data")" "$(stat -c %b "$POOLS/ssd/db2")"
fails grep -qx data <(ls -a "$V")
eq "$(sum "$MNT/empty/data")" "$(sum /dev/null)"
holds as_nobody test -e "$D"
fails as_nobody cat "$D" 2>/dev/null
chmod 0644 "$P"
mode_is() { [[ $(stat -c %a "$D") == "$1" ]]; }
holds until_true mode_is 644
holds as_nobody cmp "$D" "$D"
says "open EACCES" as_nobody "$BIN/op" write "$D" x

proves "nobody may do with it what he may not do with the file"
chmod 0660 "$P"
holds until_true mode_is 660
setfacl -m u:65534:r "$P"
holds until_true mode_is 600
setfacl -b "$P"
chmod 0666 "$P"
holds until_true mode_is 666
chmod 0750 "$POOLS/ssd"
holds until_true mode_is 600 # of a group that the directory does not know either
fails as_nobody cat "$D" 2>/dev/null
chmod 0755 "$POOLS/ssd"
holds until_true mode_is 666
setfacl -m u:65534:x "$POOLS/ssd"
holds until_true mode_is 600
setfacl -b "$POOLS/ssd"
holds until_true mode_is 666
chmod 4755 "$P"
says ok op write "$MNT/.control/rescan" 1
holds until_true mode_is 755
says "open EPERM" op open "$D" rw
like "$(<"$V/migrate/message")" "refused EPERM: db1 is setuid or setgid*"
chmod 0644 "$P"
holds until_true mode_is 644

proves "from the first open to the last close the volume is in use, which wakes who watches it"
holds until_true at_rest db1
timeout $((20 * SLOW)) inotifywait -e modify "$V/status" >"$WORLD/watch" 2>&1 {TICK}>&- {SAYS}>&- &
watcher=$!
holds until_true grep -qs established "$WORLD/watch"
exec {ONE}<"$D"
eq "$(<"$V/status")" in-use
wait "$watcher" || wrong "inotifywait was not woken: $(<"$WORLD/watch")"
exec {TWO}<>"$D"
exec {ONE}<&-
eq "$(<"$V/status")" in-use
eq "$(<"$V/migrate/status")" null
at_rest db2 || wrong "db2 is in use too"
exec {TWO}<&-
holds until_true at_rest db1

proves "what is written is in the file when it is flushed, to the byte, and nothing else is"
cp "$P" "$WORLD/expected"
exec {ONE}<>"$D"
python3 - "$D" "$WORLD/expected" <<'END' || wrong "it does not behave like a file"
import fcntl, mmap, os, sys
expected = os.open(sys.argv[2], os.O_RDWR)
data = os.open(sys.argv[1], os.O_RDWR)
size = os.fstat(data).st_size
for fd in data, expected:
    os.pwrite(fd, b"one byte", 4097)
    os.pwrite(fd, b"x" * 3000000, 1234567)
    os.pwrite(fd, b"end", size - 3)
    with mmap.mmap(fd, size) as shared:
        shared[70000:70005] = b"store"
        shared.flush()
assert os.pread(data, 10, size - 3) == b"end"
assert os.pread(data, 10, size) == b""
direct = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
block = mmap.mmap(-1, 8192)
block.write(b"d" * 8192)
assert os.pwrite(direct, block, 65536) == 8192
os.pwrite(expected, b"d" * 8192, 65536)
assert os.preadv(direct, [block], 0) == 8192
assert block[:] == os.pread(expected, 8192, 0)
os.fsync(data)
os.fdatasync(direct)
END
holds cmp "$D" "$WORLD/expected"
exec {ONE}<&-
holds until_true at_rest db1
holds cmp "$P" "$WORLD/expected"
record_world

proves "its time is that of the file"
touch -d @1500000000 "$P"
time_is() { [[ $(stat -c %Y "$D") == "$1" ]]; }
holds until_true time_is 1500000000
says ok op pwrite "$D" x 5
time_is_new() { (($(stat -c %Y "$D") > 1500000000)); }
holds until_true time_is_new
holds until_true at_rest db1
record_world

proves "punched and zeroed ranges go through, stay sparse, and are found by who looks for holes"
blocks=$(stat -c %b "$P")
fallocate -p -o 1M -l 4M "$D" || wrong "it cannot be punched"
fallocate -z -o 8M -l 1M "$D" || wrong "it cannot be zeroed"
holds until_true at_rest db1
holds test "$(stat -c %b "$P")" -le $((blocks - 4 * 2048))
holds cmp <(head -c 5M "$P" | tail -c 4M) <(head -c 4M /dev/zero)
holds cmp <(head -c 9M "$P" | tail -c 1M) <(head -c 1M /dev/zero)
seek() { python3 -c 'import os, sys; print(os.lseek(os.open(sys.argv[1], 0), int(sys.argv[2]), getattr(os, sys.argv[3])))' "$@"; }
eq "$(seek "$D" 0 SEEK_HOLE)" 1048576
eq "$(seek "$D" 1048576 SEEK_DATA)" $((5 * 1048576))
cp --sparse=auto "$MNT/db2/data" "$WORLD/sparse"
holds test "$(stat -c %b "$WORLD/sparse")" -le $(($(stat -c %b "$POOLS/ssd/db2") + 64))
holds until_true at_rest db2
record_world

proves "its size is fixed, and it can be neither moved nor removed"
says "open EPERM" op open "$D" wt
errno_of() { python3 -c 'import errno, os, sys
try:
    exec(sys.argv[1])
    print("ok")
except OSError as e:
    print(errno.errorcode[e.errno])' "$1" "$D"; }
eq "$(errno_of 'os.truncate(sys.argv[2], 0)')" EPERM
eq "$(errno_of 'os.truncate(sys.argv[2], 1 << 30)')" EPERM
eq "$(errno_of 'os.truncate(sys.argv[2], os.stat(sys.argv[2]).st_size)')" ok
eq "$(errno_of 'os.posix_fallocate(os.open(sys.argv[2], 2), 0, 1 << 30)')" EPERM
eq "$(errno_of 'f = os.open(sys.argv[2], 2); os.pwrite(f, b"x", os.fstat(f).st_size)')" ENOSPC
eq "$(errno_of 'f = os.open(sys.argv[2], 2 | os.O_APPEND); os.write(f, b"x")')" ENOSPC
eq "$(errno_of 'f = os.open(sys.argv[2], 2); assert os.pwrite(f, b"x" * 9, os.fstat(f).st_size - 4) == 4')" ok
for call in 'os.rename(sys.argv[2], sys.argv[2] + "2")' 'os.unlink(sys.argv[2])' 'os.chmod(sys.argv[2], 0)' \
    'os.chown(sys.argv[2], 1, 1)'; do
    eq "$(errno_of "$call")" EPERM "$call"
done
holds until_true at_rest db1
record_world

proves "its users lock it among themselves"
exec {ONE}<>"$D"
exec {TWO}<>"$D"
holds flock -xn "$ONE"
fails flock -sn "$TWO"
holds flock -u "$ONE"
holds flock -sn "$TWO"
eq "$(errno_of 'import fcntl, subprocess
f = os.open(sys.argv[2], 2)
fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)
other = "import fcntl, os, sys; fcntl.lockf(os.open(sys.argv[1], 2), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, %d)"
tries = [subprocess.run([sys.executable, "-c", other % at, sys.argv[2]], stderr=subprocess.DEVNULL).returncode for at in (4, 5, 15)]
assert tries == [0, 1, 0], tries')" ok

proves "a migration of it is refused while it is open, and it cannot be opened while it moves"
refused EBUSY open db1/migrate/target hdd
like "$(<"$V/migrate/message")" "*its data is open*"
like "$(<"$V/migrate/candidates")" "hdd EBUSY *"
exec {ONE}<&- {TWO}<&-
holds until_true at_rest db1
says ok op write "$V/migrate/pause" 1
says ok op write "$V/migrate/target" hdd
eq "$(<"$V/status")" migrating
says "open EBUSY" op open "$D" r
like "$(<"$V/migrate/message")" "refused EBUSY: it is being moved*"
says ok op write "$V/migrate/pause" 0
eq "$(result db1)" success
eq "$(sum "$D")" "$(sum "$POOLS/hdd/db1")"
eq "$(stat -c '%a %u %g' "$D")" "$(stat -c '%a %u %g' "$POOLS/hdd/db1")"
holds until_true at_rest db1
migrate db1 ssd

proves "nobody gets past it unseen: who has the file open is named, who opens it waits, and health tells of him"
op hold "$P" r <&"$TICK" >"$WORLD/held" {SAYS}>&- {TICK}>&- &
holder=$!
holds until_true grep -qs held "$WORLD/held"
says "open EBUSY" op open "$D" r
like "$(<"$V/migrate/message")" "refused EBUSY: db1: process $holder (op) has it open"
{ kill "$holder" && wait "$holder"; } 2>/dev/null
holds until_true at_rest db1
exec {ONE}<>"$D"
says "open EAGAIN" op open "$P" rn
holds until_true grep -q "volume db1: somebody opens its file past data" "$MNT/.control/health"
rm "$WORLD/held"
op hold "$P" r <&"$TICK" >"$WORLD/held" {SAYS}>&- {TICK}>&- {ONE}>&- &
holder=$!
fails grep -qs held "$WORLD/held"
exec {ONE}<&-
holds until_true grep -qs held "$WORLD/held"
{ kill "$holder" && wait "$holder"; } 2>/dev/null
holds until_true is .control/health ok
holds until_true at_rest db1

proves "neither a scan nor a new agent takes the lease away"
exec {ONE}<>"$D"
says ok op write "$MNT/.control/rescan" 1
agents() { pgrep -f -- --pool-agent; }
mapfile -t before < <(agents)
kill -KILL "${before[@]}"
agents_are_new() { [[ $(agents | wc -l) == 2 && -z $(comm -12 <(printf '%s\n' "${before[@]}" | sort) <(agents | sort)) ]]; }
holds until_true agents_are_new
holds until_true is .control/hosts/ssd/state up
eq "$(<"$V/status")" in-use
says "open EAGAIN" op open "$P" rn
says ok op write "$D" abc
exec {ONE}<&-
holds until_true at_rest db1
holds until_true is .control/health ok
record_world

proves "who has it open goes on when the file gets a second name, another, or is removed; the name is not in use then"
volume ssd leaving 8M dense
holds until_true lists leaving
exec {ONE}<>"$MNT/leaving/data"
ln "$POOLS/ssd/leaving" "$POOLS/ssd/.second"
says ok op write "$MNT/.control/rescan" 1
eq "$(<"$MNT/leaving/status")" in-use
rm "$POOLS/ssd/.second"
expected=$(sum "$MNT/leaving/data")
size_of() { python3 -c 'import os; print(os.fstat(0).st_size)' <&"$1"; }
mv "$POOLS/ssd/leaving" "$POOLS/ssd/left"
is_gone() { [[ ! -e $MNT/leaving ]]; }
holds until_true is_gone
eq "$(size_of "$ONE")" 8388608
eq "$(cat <&"$ONE" | sha256sum | cut -d' ' -f1)" "$expected"
{ printf 'written' >&"$ONE"; } 2>/dev/null && wrong "it was written beyond its end"
volume ssd leaving 4M dense
holds until_true lists leaving
exec {TWO}<>"$MNT/leaving/data"
rm "$POOLS/ssd/left"
exec {ONE}<&-
says ok op write "$MNT/.control/rescan" 1
says "open EAGAIN" op open "$POOLS/ssd/leaving" rn
eq "$(<"$MNT/leaving/status")" in-use
exec {TWO}<&-
holds until_true at_rest leaving
says ok op open "$POOLS/ssd/leaving" rwn
holds until_true is .control/health ok
record_world

proves "who gets the file when its data is closed is seen at once"
exec {ONE}<>"$D"
rm "$WORLD/held"
op hold "$P" rw <&"$TICK" >"$WORLD/held" {SAYS}>&- {TICK}>&- {ONE}>&- &
holder=$!
holds until_true grep -q "volume db1: somebody opens its file past data" "$MNT/.control/health"
exec {ONE}<&-
holds until_true grep -qs held "$WORLD/held"
holds until_true in_use db1
says "open EBUSY" op open "$D" r
{ kill "$holder" && wait "$holder"; } 2>/dev/null
holds until_true at_rest db1

proves "who wants to open it while a migration is asked for harms neither"
for _ in {1..10}; do
    op write "$V/migrate/target" hdd >"$WORLD/asked" &
    asker=$!
    op open "$D" r >"$WORLD/opened"
    wait "$asker"
    like "$(<"$WORLD/asked") $(<"$WORLD/opened")" "@(ok open EBUSY|open EBUSY ok|write EBUSY ok|ok ok)"
    like "$(result db1)" "@(null|success)"
    holds until_true at_rest db1
    [[ $(<"$V/host") == ssd ]] || migrate db1 ssd
done

proves "a hundred openers, and opens and closes in a storm, end at rest"
storm() { for _ in {1..40}; do head -c 100 "$D" >/dev/null || return 1; done; }
pids=()
for _ in {1..6}; do
    storm {TICK}>&- {SAYS}>&- &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || wrong "an open was refused: $(<"$V/migrate/message")"; done
python3 - "$D" <<'END' || wrong "not a hundred can have it open"
import os, sys
fds = [os.open(sys.argv[1], os.O_RDWR) for _ in range(100)]
for i, fd in enumerate(fds):
    assert os.pread(fd, 4096, i * 4096) == os.pread(fds[0], 4096, i * 4096)
END
holds until_true at_rest db1

proves "random reads, writes, stores to a mapping, punched and zeroed ranges behave like memory"
holds churn "$D" $((4000 / (SLOW * SLOW))) 1
holds churn "$D" $((4000 / (SLOW * SLOW))) 2 direct
holds churn "$MNT/other/data" $((4000 / (SLOW * SLOW))) 3
holds until_true at_rest db1
holds until_true at_rest other
record_world

proves "when the daemon is killed its users get ENOTCONN, and the next start finds the volume at rest"
exec {ONE}<>"$D"
kill_ferryfs
like "$(cat <&"$ONE" 2>&1)" "*Transport endpoint is not connected"
exec {ONE}<&-
start_ferryfs
eq "$(<"$V/status")" available
migrate db1 hdd
finish
