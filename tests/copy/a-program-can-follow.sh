#!/bin/bash
# --progress=json: lines that a program reads, with stable keys, and an end that says it all.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"

volume source 20M sparse 1
dd if=/dev/zero of=source bs=1M seek=2 count=1 conv=notrunc status=none

# Every line is an object with these keys, numbers only grow, and the last one is this event
check() {
    python3 - "$@" <<'END' || wrong "$(<out)"
import json
import sys

keys = ["event", "phase", "size_bytes", "done_bytes", "copied_bytes", "zero_bytes", "hole_bytes", "skipped_bytes",
        "verified_bytes", "cloned_bytes", "limit_bytes_per_s", "rate_bytes_per_s", "elapsed_s", "eta_s"]
growing = [key for key in keys if key.endswith("_bytes") and key != "size_bytes"] + ["elapsed_s"]
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
last = {key: 0 for key in growing}
for line in lines:
    assert list(line)[:len(keys)] == keys, line
    for key in growing:
        assert line[key] >= last[key], (key, line)
    last = line
assert [line["event"] for line in lines[:-1]] == ["progress"] * (len(lines) - 1)
assert len(lines) > 1 or sys.argv[2] == "failed"
assert last["event"] == sys.argv[2]
for claim in sys.argv[3:]:
    assert eval(claim, {}, last), (claim, last)
END
}

proves "a copy tells what was copied, left out and verified"
exits 0 --progress=json --reflink=never source copy
eq "$ERR" ''
check out "done" 'size_bytes == done_bytes == verified_bytes == 20 << 20' 'exit == 0' 'phase == "verifying"' \
    'copied_bytes + zero_bytes + hole_bytes == size_bytes' 'zero_bytes > 0' 'hole_bytes > 0' 'skipped_bytes == 0' \
    "digest == '$(ferrycopy --digest source | cut -d' ' -f1)'" 'limit_bytes_per_s is None'

proves "without verification nothing is verified, and there is no digest"
exits 0 --progress=json --verify=off --reflink=never --force source copy
check out "done" 'verified_bytes == 0' 'phase == "copying"' '"digest" not in dir()'

proves "a line comes every second, with rate and time to go"
rm copy
begins --progress=json --speed=512K --control rate source copy
several() { [[ $(wc -l <out) -ge 3 ]]; }
until_true several || wrong "$(<out)"
echo max >rate
ends
check out "done"
like "$(sed -n 2,3p out)" '*"limit_bytes_per_s":524288,"rate_bytes_per_s":[1-9]*"eta_s":[0-9]*'

proves "a failure has errno, place and message"
exits 3 --progress=json source copy
check out failed 'error == "EEXIST"' 'offset_bytes is None' '"--force" in message' 'exit == 3'
like "$ERR" "ferrycopy: copy exists *"
exits 1 --progress=json --control=no/folder/rate source copy2
check out failed 'error == "ENOENT"' 'exit == 1' "'no/folder' in message"
exits 1 --progress=json $'mis"s\\ing\n' copy2
check out failed 'error == "ENOENT"' 'exit == 1' "'mis\"s' in message"

proves "a comparison has the place"
printf x | dd of=copy bs=1 seek=7777777 conv=notrunc status=none
exits 1 --progress=json --compare source copy
check out different 'offset_bytes == 7777777' 'exit == 1' '"error" not in dir()'
eq "$ERR" ''
exits 4 --progress=json --compare source missing
check out failed 'error == "ENOENT"' 'exit == 4'
exits 0 --progress=json --compare source source
check out "done" 'phase == "comparing"' 'done_bytes == size_bytes'

proves "a digest is in the last line"
exits 0 --progress=json --digest source
check out "done" "digest == '$(ferrycopy --digest source | cut -d' ' -f1)'"

proves "where standard output is the copy the lines go to standard error"
ferrycopy --progress=json source - 2>err | cmp -s - source || wrong "the copy is not equal"
check err "done" 'done_bytes == 20 << 20'

proves "a program that goes away does not stop the copy"
rm -f copy
(become_ferrycopy --progress=json --speed=16M source copy 2>err) | head -n 1 >out
eq "${PIPESTATUS[0]}" 0
holds same source copy
finish
