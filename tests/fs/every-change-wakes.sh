#!/bin/bash
# Of every file of the mount: where it reads otherwise than before, whoever polls it was woken, and its mtime is newer.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
volume ssd db2 4M sparse
hold_copies
start_ferryfs
V=$MNT/db1
mkfifo "$WORLD/go"

cat >"$WORLD/watch" <<'END'
import os, select, sys, time

mount, seconds = sys.argv[1], float(sys.argv[2])
PRI = select.EPOLLPRI | select.EPOLLERR


class Watched:
    def __init__(self, path):
        self.path, self.woken, self.fd = path, False, os.open(path, os.O_RDONLY)
        self.mtime = os.fstat(self.fd).st_mtime_ns  # first: what comes between may be told twice, but not missed
        self.text = os.pread(self.fd, 1 << 20, 0)

    def differs(self):
        with open(self.path, "rb") as file:
            return file.read() != self.text

    def told(self):
        return self.woken and os.stat(self.path).st_mtime_ns > self.mtime


watched = [Watched(os.path.join(folder, name)) for folder, _, names in os.walk(mount) for name in names]
by_fd = {w.fd: w for w in watched}
epoll = select.epoll()
for fd in by_fd:
    epoll.register(fd, select.EPOLLPRI | select.EPOLLONESHOT)
print("armed", flush=True)
sys.stdin.read()
deadline = time.monotonic() + seconds
while True:
    for fd, events in epoll.poll(0.05):
        by_fd[fd].woken |= events & PRI == PRI
    changed = [w for w in watched if w.differs()]
    untold = [w for w in changed if not w.told()]
    if not untold or time.monotonic() > deadline:
        break
for w in changed:
    print("changed", os.path.relpath(w.path, mount))
for w in untold:
    print("untold", os.path.relpath(w.path, mount), "" if w.woken else "nobody woken", w.text)
END

# What is done next is watched, until `told FILE...`: these have changed at least, and everything that has was told
watch() {
    rm -f "$WORLD/watched"
    python3 "$WORLD/watch" "$MNT" $((5 * SLOW)) <"$WORLD/go" >"$WORLD/watched" 2>&1 &
    watcher=$!
    exec {GO}>"$WORLD/go"
    until_true grep -qs armed "$WORLD/watched" || die "the mount cannot be watched: $(<"$WORLD/watched")"
}
told() {
    local file
    exec {GO}>&-
    wait "$watcher" || wrong "$(<"$WORLD/watched")"
    eq "$(grep ^untold "$WORLD/watched")" ""
    for file in "$@"; do
        grep -qx "changed $file" "$WORLD/watched" || wrong "$file has not changed"
    done
}
JOB=(db1/{status,previous_status} db1/migrate/{status,phase,stat,candidates} .control/jobs
    .control/hosts/{ssd,hdd}/jobs .control/hosts/hdd/reserved .control/hidden)

proves "a job that is accepted"
watch
says ok op write "$V/migrate/target" hdd
held
told "${JOB[@]}" db1/migrate/{target,progress,message}

proves "one that has to wait for its turn, and is aborted"
watch
put 1 "$MNT/.control/max_jobs"
says ok op write "$MNT/db2/migrate/target" hdd
told .control/max_jobs db2/{status,previous_status} db2/migrate/{status,phase,progress,stat,message,target,candidates}
watch
says ok op write "$MNT/db2/migrate/abort" 1
eq "$(result db2)" aborted
told db2/{status,previous_status} db2/migrate/{status,phase,stat,message,target,candidates}

proves "a job that fails"
watch
: <>"$POOLS/ssd/db1"
eq "$(result db1)" error
told "${JOB[@]}" db1/migrate/{error,target} .control/history

proves "a job that ends well"
says ok op write "$V/migrate/target" hdd
held
watch
ctl release
eq "$(result db1)" success
told db1/{host,path,status} db1/migrate/{status,phase,progress,stat,candidates} .control/{history,jobs} \
    .control/hosts/{ssd,hdd}/volumes

proves "a request that is refused"
watch
fails op write "$V/migrate/target" nowhere >/dev/null
told db1/migrate/message

proves "a host that is drained, and one that may run less"
watch
put 1 "$MNT/.control/hosts/ssd/drain"
told .control/hosts/ssd/drain db1/migrate/candidates
watch
put 1 "$MNT/.control/hosts/hdd/max_jobs"
put 0 "$MNT/.control/max_queue"
told .control/hosts/hdd/max_jobs .control/max_queue
put 0 "$MNT/.control/hosts/ssd/drain"

proves "a speed that is set"
watch
for file in db1/migrate .control .control/hosts/hdd; do put 1M "$MNT/$file/speed"; done
told {db1/migrate,.control,.control/hosts/hdd}/speed

proves "a pause"
watch
put 1 "$MNT/.control/pause"
put 1 "$V/migrate/pause"
told {db1/migrate,.control}/pause
put 0 "$MNT/.control/pause"
put 0 "$V/migrate/pause"

proves "a volume that grows"
watch
truncate -s 5M "$POOLS/ssd/db2"
holds until_true is db2/size $((5 << 20))
told db2/size
truncate -s 4M "$POOLS/ssd/db2"
touch -d @1600000000.123456789 "$POOLS/ssd/db2"

proves "a pool that goes away, and comes back"
watch
mkdir "$WORLD/away"
mount --move "$POOLS/hdd" "$WORLD/away"
put 1 "$MNT/.control/rescan"
holds until_true is .control/hosts/hdd/state down
holds until_true is db1/status error
told .control/hosts/hdd/{state,last_error} .control/health db1/status db2/migrate/candidates
watch
mount --move "$WORLD/away" "$POOLS/hdd"
put 1 "$MNT/.control/rescan"
holds until_true is db1/status available
told .control/hosts/hdd/state .control/health db1/status db2/migrate/candidates

proves "a host that is evacuated, and drains meanwhile"
put 1 "$MNT/.control/pause"
put 9 "$MNT/.control/max_queue"
watch
says ok op write "$MNT/.control/hosts/hdd/evacuate" auto
told .control/hosts/hdd/{evacuate,drain}
watch
says ok op write "$MNT/.control/hosts/hdd/evacuate" 0
holds until_true is .control/hosts/hdd/drain 0
told .control/hosts/hdd/drain
finish
