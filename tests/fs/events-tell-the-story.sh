#!/bin/bash
# .control/events tells all that happens, in its order, in JSON that is valid whatever the names are.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 64M dense
volume ssd db2 4M dense
hold_copies
start_ferryfs
EVENTS=$MNT/.control/events
# What was told before is no news: the number of the last event
mark() { MARK=$(tail -n 1 "$EVENTS" | sed 's/.*"seq":\([0-9]*\).*/\1/'); }
# WANTED [FILTER]: the events since the mark
story() { says "$1" python3 "$HERE/story.py" "$EVENTS" "seq > $MARK and (${2:-True})"; }
told() { [[ " $(python3 "$HERE/story.py" "$EVENTS" "seq > $MARK") " == *" $1 "* ]]; }
# Those of both pools
kill_agents() {
    local comm
    for comm in /proc/[0-9]*/comm; do
        [[ $(<"$comm") != ferryfs-pool ]] || kill -KILL "${comm//[^0-9]/}"
    done
}
MARK=0

proves "the first event is that the daemon begins, then its hosts are up"
story "started host-up host-up"
story "started" 'seq == 1 and volume is host is uid is None and "ferryfs" in text'
story "host-up" 'host == "ssd" and text == "host ssd: up"'
mark

proves "a migration is told from acceptance to success, phase by phase"
says ok op write "$MNT/db1/migrate/target" hdd
held
story "accepted copying"
story "accepted" 'phase == "reserving" and host == "ssd"'
ctl release
eq "$(result db1)" success
story "accepted copying verifying switching cleaning success" 'event != "progress"'
story "accepted copying verifying switching cleaning success" "event != 'progress' and
    (volume, uuid, job, source, destination, uid) == ('db1', '$(value db1/uuid)', 1, 'ssd', 'hdd', 0)"
story "success" 'event == "success" and percent == 100 and bytes_done == bytes_total == 64 << 20 and host == "hdd" and
    text == "volume db1: job 1 of uid 0 ended: success: ssd -> hdd, it is at hdd"'

proves "progress is told when 5 % more are done, and no sooner"
like "$(python3 -c '
import sys
sys.path.insert(0, sys.argv[1])
import story
steps = [e["percent"] // 5 for e in story.read(sys.argv[2]) if e["event"] == "progress"]
assert steps == sorted(set(steps)) and all(0 < step < 20 for step in steps), steps
print(len(steps))' "$HERE" "$EVENTS")" "[1-9]*"
mark

proves "a refusal is told with who was refused, why, and by which file"
says "write ENXIO" op write "$MNT/db1/migrate/target" nowhere
says "write EINVAL" op write "$MNT/db1/migrate/verify" maybe
says "write EINVAL" op write "$MNT/.control/max_jobs" 0
says "write EINVAL" op write "$MNT/.control/hosts/ssd/drain" maybe
says "open ESRCH" op write "$MNT/db1/migrate/abort" 1
story "refused refused refused refused refused" "uid == 0 and pid > 0"
story "refused" "(volume, host, file, errno, job) == ('db1', 'hdd', 'target', 'ENXIO', None) and 'nowhere' in text"
story "refused" "(volume, host, file, errno) == ('db1', 'hdd', 'verify', 'EINVAL')"
story "refused" "(volume, host, file, errno) == (None, None, 'max_jobs', 'EINVAL')"
story "refused" "(volume, host, file, errno) == (None, 'ssd', 'drain', 'EINVAL')"
story "refused" "(volume, host, file, errno) == ('db1', 'hdd', 'abort', 'ESRCH')"
mark

proves "whatever bytes are written, each line is valid JSON"
python3 - "$HERE" "$EVENTS" "$MNT/db1/migrate/target" <<'END' || wrong "see above"
import os, sys
sys.path.insert(0, sys.argv[1])
import story
words = [bytes([byte]) * 3 for byte in range(256)] + [os.urandom(60) for _ in range(200)] + [
    b'"', b"\\", b'\\"', b"\\u0000", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"a" * 4095, b"\xe2\x82" * 99,
    b"a" * 63 + "é".encode(), b"\xe2\x80\xa8\xe2\x80\xa9", b"</script>", b"x\ny", b"%s%n%d"]
shown = {b'"': '"', b"\\": "\\", b"\xed\xa0\x80": r"\xed\xa0\x80", b"\x1b" * 3: r"\x1b\x1b\x1b", b"\xff" * 3: r"\xff\xff\xff",
         b"a" * 63 + "é".encode(): "a" * 63 + r"\xc3", b"\xe2\x80\xa8\xe2\x80\xa9": "\u2028\u2029"}
for word in words:
    fd = os.open(sys.argv[3], os.O_WRONLY)
    try:
        os.write(fd, word)
        sys.exit(1)
    except OSError:
        os.close(fd)
texts = [e["text"] for e in story.read(sys.argv[2])]
for word in shown.values():
    assert any(f"target '{word}' by uid" in text for text in texts), word
END
eq "$(python3 "$HERE/story.py" "$EVENTS" "seq > $MARK" | wc -w)" $((256 + 200 + 14))
mark

proves "what is strange in a pool is told, whatever its name"
mkdir "$POOLS/ssd/"$'a\n"\e[2J\\\xff'
holds until_true told health
story "health" '"not listed" in text and errno is volume is None'
rmdir "$POOLS/ssd/"$'a\n"\e[2J\\\xff'
put 1 "$MNT/.control/rescan"
all_well() { [[ $(tail -n 1 "$EVENTS") == *'"text":"health: ok"}' ]]; }
holds until_true all_well
mark

proves "who aborts is told, and then that it is aborted"
stop_ferryfs
hold_copies
start_ferryfs
mark
says ok op write "$MNT/db2/migrate/target" hdd
held
says ok op write "$MNT/db2/migrate/abort" 1
eq "$(result db2)" aborted
story "accepted copying aborting rolling-back aborted"
story "aborting" 'file == "abort" and uid == 0 and pid > 0 and destination == "hdd"'
story "aborted" 'event == "aborted" and host == source == "ssd" and errno is None'
mark

proves "an error is told with errno, phase and reason"
says ok op write "$MNT/db2/migrate/target" hdd
holds until_true phase_is db2 copying
: >>"$POOLS/ssd/db2"
eq "$(result db2)" error
story "accepted copying rolling-back error"
story "error" 'event == "error" and (errno, phase, host) == ("ETXTBSY", "copying", "ssd") and "opened for writing" in text'
mark

proves "a job that waits for its turn says so"
put 1 "$MNT/.control/max_jobs"
says ok op write "$MNT/db2/migrate/target" hdd
says ok op write "$MNT/db1/migrate/target" ssd
story "accepted" 'volume == "db1" and phase == "queued"'
ctl release
eq "$(result db2) $(result db1)" "success success"
story "accepted reserving copying verifying switching cleaning success" 'volume == "db1" and event != "progress"'
mark

proves "a host that is lost is down, and up when it is back"
kill_agents
both_are_up() { [[ $(python3 "$HERE/story.py" "$EVENTS" "seq > $MARK") == *host-up*host-up* ]]; }
holds until_true both_are_up
story "host-down host-up" 'host == "ssd" and "host" in event'
story "host-down host-down" 'event == "host-down" and host in text and "its agent" in text'
holds until_true all_well

# The next daemon is one that FAULT befalls: FAULT [OPTION...]
restart() {
    stop_ferryfs
    fault "$1"
    start_ferryfs "${@:2}"
    mark
}

proves "that a copy lacks space is told once, however often it is tried, and that it goes on"
restart "call=pwrite,program=copy-worker,armed,from,at=3,do=ENOSPC" --grace 600
ctl arm
says ok op write "$MNT/db1/migrate/target" hdd
holds until_true phase_is db1 stopped
n_writes() { ctl counts | sed -n 's/^pwrite //p'; }
tried_again() { (($(n_writes) > $1)); }
holds until_true tried_again "$(n_writes)"
story "accepted copying stopped" 'event != "progress"'
story "stopped" "event == 'stopped' and (volume, errno, phase, source, destination, uid, file) ==
    ('db1', 'ENOSPC', 'stopped', 'ssd', 'hdd', 0, None) and 'ssd -> hdd: ENOSPC: ' in text"
ctl disarm
eq "$(result db1)" success
story "accepted copying stopped copying verifying switching cleaning success" 'event != "progress"'
migrate db1 ssd

proves "so is one that is given up when its time is over"
restart "call=pwrite,program=copy-worker,armed,from,do=EDQUOT" --grace 1
ctl arm
says ok op write "$MNT/db1/migrate/target" hdd
eq "$(result db1)" error
story "accepted copying stopped rolling-back error"
story "error" 'event == "error" and (errno, phase) == ("EDQUOT", "copying")'

proves "and so is a disk that does not answer, and answers again"
restart "call=pwrite,program=copy-worker,armed,from,at=3,do=hold" --stall 1 --grace 600
ctl arm
says ok op write "$MNT/db1/migrate/target" hdd
holds until_true phase_is db1 stopped
story "stopped" 'event == "stopped" and (errno, phase) == ("ETIMEDOUT", "stopped") and "no disk has answered for 1 s" in text'
ctl release
eq "$(result db1)" success
story "accepted copying stopped copying verifying switching cleaning success" 'event != "progress"'
migrate db1 ssd
migrate db2 ssd

proves "a pause is told with who paused, by which file, and so is its end"
restart "call=pwrite,program=copy-worker,from,do=hold"
says ok op write "$MNT/db1/migrate/target" hdd
held
for word in 1 1 0 0; do put $word "$MNT/db1/migrate/pause"; done
story "accepted copying paused resumed"
story "paused resumed" "(file, uid, volume, job) == ('pause', 0, 'db1', $(number db1 job)) and pid > 0"
mark
proves "of one whose host is lost meanwhile nothing is told until it goes on, and then that it is paused"
put 1 "$MNT/db1/migrate/pause"
mkdir "$WORLD/empty"
mount --bind "$WORLD/empty" "$POOLS/hdd"
kill_agents
holds until_true is .control/hosts/hdd/state down
put 1M "$MNT/db1/migrate/speed"
put max "$MNT/db1/migrate/speed"
umount "$POOLS/hdd"
holds until_true told recovered
put 0 "$MNT/db1/migrate/pause"
story "paused recovered resumed" 'volume == "db1"'
story "recovered" 'event == "recovered" and phase == "paused"'
mark
proves "a pause of the service is told of each job that it stops, and of no other"
put 1 "$MNT/db1/migrate/pause"
put 1 "$MNT/.control/pause"
says ok op write "$MNT/db2/migrate/target" hdd
put 0 "$MNT/db1/migrate/pause"
put 1M "$MNT/db1/migrate/speed"
story "paused accepted" 'file is None or volume == "db1"'
story "accepted" 'volume == "db2" and phase == "paused"'
put 0 "$MNT/.control/pause"
story "paused accepted resumed resumed" 'event != "phase"'
story "resumed resumed" 'event == "resumed" and (file, uid) == ("pause", 0) and pid > 0'
put max "$MNT/db1/migrate/speed"
holds until_true phase_is db2 copying
story "accepted resumed reserving copying" 'volume == "db2"'
ctl release
eq "$(result db1) $(result db2)" "success success"

proves "an evacuation that is refused is told like any other refusal"
mark
EVACUATE=$MNT/.control/hosts/hdd/evacuate
says "write ENXIO" op write "$EVACUATE" nowhere
exec {WRITER}<>"$POOLS/hdd/db2"
says "write EBUSY" op write "$EVACUATE" ssd
exec {WRITER}>&-
story "refused refused" "(volume, host, file, uid) == (None, 'hdd', 'evacuate', 0) and pid > 0"
story "refused" "errno == 'ENXIO' and 'nowhere' in text"
story "refused" "errno == 'EBUSY' and '1 of 2 volumes cannot go: db2 EBUSY' in text"
proves "and where it is cancelled, who aborts its jobs"
restart "call=pwrite,program=copy-worker,from,do=hold"
says ok op write "$EVACUATE" ssd
for name in db1 db2; do holds until_true phase_is $name copying; done
says ok op write "$EVACUATE" 0
eq "$(result db1) $(result db2)" "aborted aborted"
for name in db1 db2; do
    story "accepted copying aborting rolling-back aborted" "volume == '$name'"
    story "aborting" "volume == '$name' and event == 'aborting' and (file, uid, host) == ('evacuate', 0, 'hdd') and pid > 0"
done
story "accepted accepted aborting aborting aborted aborted" 'event != "phase"'
ctl release

proves "after a restart the file begins anew, and tells of the job that goes on"
stop_ferryfs
hold_copies
start_ferryfs
says ok op write "$MNT/db1/migrate/target" ssd
held
kill_ferryfs
no_fault
start_ferryfs
eq "$(result db1)" success
MARK=0
story "started" 'seq == 1'
like "$(python3 "$HERE/story.py" "$EVENTS" 'volume == "db1" and event != "progress"')" "recovered *success"
finish
