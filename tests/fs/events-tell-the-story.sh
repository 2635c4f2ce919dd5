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
until_true phase_is db2 copying
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
for comm in /proc/[0-9]*/comm; do
    [[ $(<"$comm") != ferryfs-pool ]] || agent=${comm//[^0-9]/}
done
kill -KILL "$agent"
holds until_true told host-up
story "host-down host-up" '"host" in event'
story "host-down" 'event == "host-down" and host in text and "its agent" in text'
holds until_true all_well

proves "after a restart the file begins anew, and tells of the job that goes on"
stop_ferryfs
hold_copies
start_ferryfs
says ok op write "$MNT/db1/migrate/target" hdd
held
kill_ferryfs
no_fault
start_ferryfs
eq "$(result db1)" success
MARK=0
story "started" 'seq == 1'
like "$(python3 "$HERE/story.py" "$EVENTS" 'volume == "db1" and event != "progress"')" "recovered *success"
finish
