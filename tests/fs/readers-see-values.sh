#!/bin/bash
# Whatever reads the tree gets each value whole, ends at once, and says success.
. "$(dirname "$0")/lib.sh"
needs busybox rsync
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M sparse
volume ssd db2 4M dense
volume hdd db3 64M dense
start_ferryfs
migrate db2 hdd
V=$MNT/db1

proves "a program that opens and reads gets values"
# What every file holds, learnt with plain reads. `free` is not of one moment, and neither are those two that tell of
# it: room comes and goes with whatever else happens in memory
TRUE=$WORLD/true
python3 - "$MNT" "$TRUE" <<'END' || die "the tree cannot be learnt"
import os, sys
for folder, _, files in os.walk(sys.argv[1]):
    copy = sys.argv[2] + folder[len(sys.argv[1]):]
    os.mkdir(copy)
    for name in files:
        if name not in ("free", "candidates", "metrics"):
            with open(os.path.join(folder, name), "rb") as f, open(os.path.join(copy, name), "wb") as out:
                out.write(f.read())
END
eq "$(<"$TRUE/db1/status") $(<"$TRUE/db1/host") $(<"$TRUE/db2/host")" "available ssd hdd"

# SENTENCE COMMAND...: succeeds within seconds
reads() {
    proves "$1"
    shift
    within 10 "$@" >"$WORLD/out" 2>"$WORLD/errors" || wrong "exit status $?: $* $(head -n 3 "$WORLD/errors")"
    eq "$(<"$WORLD/errors")" ""
}
# The same of every file in turn, which is @ in the command and comes out of it whole
EACH='copy=$1
cd "$2" && shift 2 && find . -type f ! -name free ! -name candidates ! -name metrics | while IFS= read -r path; do
    "${@/@/$path}" >"$copy/$path" || exit
done'
reads_each() {
    [[ -e $WORLD/each ]] || cp -r "$TRUE" "$WORLD/each"
    reads "$1 of every file" bash -c "$EACH" each "$WORLD/each" "$MNT" "${@:2}"
    same_tree "$WORLD/each"
}
same_tree() { diff -r -x free -x candidates -x metrics "$TRUE" "$1" >&"$SAYS" || wrong "$1 is another tree"; }

reads_each "cat" cat @
reads_each "busybox cat" busybox cat @
reads_each "head -c" head -c 1M @
reads_each "tail -c" tail -c 1M @
reads_each "dd" dd if=@ bs=1 status=none
reads "head" head -n 1 "$V/status"
eq "$(<"$WORLD/out")" available
reads "head -c 3" head -c 3 "$V/status"
eq "$(<"$WORLD/out")" ava
reads "tail" tail -n 1 "$V/host"
eq "$(<"$WORLD/out")" ssd
reads "dd with an offset" dd if="$V/host" bs=1 skip=1 status=none
eq "$(<"$WORLD/out")" sd
reads "busybox cp of a file" busybox cp "$V/uuid" "$WORLD/copied"
holds cmp "$WORLD/copied" "$TRUE/db1/uuid"
reads "grep -r over the whole mount" grep -r . "$MNT"
eq "$(grep -c . "$WORLD/out")" "$(find "$MNT" -type f -exec cat {} + | grep -c .)"
reads "find over the whole mount" find "$MNT" -ls
reads "ls -lR over the whole mount" ls -lR "$MNT"
reads "du" du -a "$MNT"
reads "wc -c says the true size" wc -c "$V/status"
eq "$(<"$WORLD/out")" "10 $V/status"
reads "stat says the true size" stat -c %s "$V/status"
eq "$(<"$WORLD/out")" 10
mkdir "$WORLD/cp" "$WORLD/rsync" "$WORLD/tar"
reads "cp -r of the whole mount" cp -r "$MNT/." "$WORLD/cp"
same_tree "$WORLD/cp"
reads "cp -a of the whole mount" cp -a "$MNT" "$WORLD/cp-a"
same_tree "$WORLD/cp-a"
reads "rsync -a of the whole mount" rsync -a "$MNT/" "$WORLD/rsync"
same_tree "$WORLD/rsync"
reads "tar of the whole mount" tar -C "$MNT" -cf "$WORLD/all.tar" .
tar -C "$WORLD/tar" -xf "$WORLD/all.tar"
same_tree "$WORLD/tar"
grep -q -P '\x00' -r "$WORLD/tar" && wrong "tar padded with NUL"
reads "Python open and read" python3 -c 'import sys; print(open(sys.argv[1]).read(), end="")' "$V/status"
eq "$(<"$WORLD/out")" available
reads "Python copyfile" python3 -c 'import shutil, sys; shutil.copyfile(*sys.argv[1:])' "$V/status" "$WORLD/copied"
eq "$(<"$WORLD/copied")" available
reads "a shared mapping" op mmap "$V/status"
eq "$(<"$WORLD/out")" available
reads "Python mmap of every file" python3 -c '
import mmap, os, sys
for folder, _, files in os.walk(sys.argv[1]):
    for name in files:
        if name in ("free", "candidates", "metrics"):
            continue
        with open(os.path.join(folder, name), "rb") as f:
            value = f.read()
            with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
                assert m[:] == value, (folder, name, value, m[:])
' "$MNT"
reads "Python poll says that every file is readable" python3 -c '
import os, select, sys
for folder, _, files in os.walk(sys.argv[1]):
    for name in files:
        fd = os.open(os.path.join(folder, name), os.O_RDONLY)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(1000), (folder, name)
        os.close(fd)
' "$MNT"
reads "a directory is read with its types" python3 -c '
import os, sys
for entry in os.scandir(sys.argv[1]):
    assert entry.is_dir(follow_symlinks=False), entry
' "$MNT"

proves "tail -f shows a value and can be interrupted"
tail -f "$V/status" >"$WORLD/out" 2>"$WORLD/errors" &
tail=$!
holds until_true cmp -s "$WORLD/out" "$TRUE/db1/status"
kill "$tail"
holds until_true ended "$tail"

proves "an open file is a snapshot, and a read at offset 0 takes a new one"
exec 8<"$V/host"
read -r -u 8 host
eq "$host" ssd
migrate db1 hdd
eq "$(cat <&8)" ""
python3 -c '
import os, subprocess, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
assert os.pread(fd, 100, 0) == b"hdd\n"
subprocess.run(["op", "write", sys.argv[2], "ssd"], check=True, stdout=subprocess.DEVNULL)
open(sys.argv[3]).read()
assert os.pread(fd, 100, 1) == b"dd\n", os.pread(fd, 100, 1)
assert os.pread(fd, 100, 0) == b"ssd\n", os.pread(fd, 100, 0)
assert os.pread(fd, 100, 1) == b"sd\n"
' "$V/host" "$V/migrate/target" "$V/migrate/wait" || wrong "see above"
exec 8<&-

proves "modes and owners are as the contract says"
eq "$(stat -c %a "$V/status" "$V/path" "$V/migrate/target" "$MNT/.control/hidden" "$V" | tr '\n' ' ')" "444 400 664 400 555 "
eq "$(stat -c %U "$V/migrate/target")" root
eq "$(stat -f -c %b "$MNT")" 0
findmnt -n -o OPTIONS "$MNT" | grep -q nosuid,nodev,noexec || wrong "options: $(findmnt -n -o OPTIONS "$MNT")"
findmnt -n -o OPTIONS "$MNT" | grep -q default_permissions || wrong "options: $(findmnt -n -o OPTIONS "$MNT")"

proves "nobody can read what is for everybody, over the whole mount"
as_nobody grep -rs . "$MNT" >"$WORLD/out"
eq "$(grep -c '/status:' "$WORLD/out")" "$(find "$MNT" -name status | wc -l)"
eq "$(grep -cE '/(path|hidden|address):' "$WORLD/out")" 0

proves "100 readers during a migration see that it migrates, and none has to wait"
stop_ferryfs
hold_copies
start_ferryfs
says ok op write "$MNT/db3/migrate/target" ssd
held
for ((i = 0; i < 100; i++)); do
    for ((k = 0; k < 10; k++)); do cat "$MNT"/db*/status "$MNT"/db*/migrate/status; done >"$WORLD/seen.$i" &
    readers[i]=$!
done 2>"$WORLD/errors"
all_ended() {
    local reader
    for reader in "${readers[@]}"; do ended "$reader" || return 1; done
}
holds until_true all_ended # the copy is held all the while
phase_is db3 copying || wrong "it went on: $(<"$MNT/db3/migrate/phase")"
for ((i = 0; i < 100; i++)); do
    eq "$(sort "$WORLD/seen.$i" | uniq -c | tr -s ' \n' ' ')" " 20 available 20 migrating 20 success " "reader $i"
done
eq "$(<"$WORLD/errors")" ""
proves "and others that look on till its end see nothing but legal words"
for ((i = 0; i < 100; i++)); do
    for ((k = 0; k < 10; k++)); do cat "$MNT"/db*/status "$MNT"/db*/migrate/status; done &
    readers[i]=$!
done >"$WORLD/out" 2>"$WORLD/errors"
ctl release
eq "$(result db3)" success
wait "${readers[@]}"
eq "$(sort -u "$WORLD/out" | grep -vxE 'available|migrating|null|starting|completing|success')" ""
eq "$(<"$WORLD/errors")" ""
eq "$(wc -l <"$WORLD/out")" 6000
no_fault
stop_ferryfs
start_ferryfs

proves "values are as they were"
migrate db3 hdd
for path in db{1,2,3}/{uuid,size,path}; do holds cmp "$MNT/$path" "$TRUE/$path"; done
finish
