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

# In a line that was printed meanwhile: the first that has done so much
is_at() { jq -c "select(.event == \"progress\" and .done_bytes >= $1)" out 2>/dev/null | sed -n 1p; }
has_done() { [[ -n $(is_at "$1") ]]; }
# BYTES CLAIM...: then
at() {
    local line claim
    holds until_true has_done "$1"
    line=$(is_at "$1")
    for claim in "${@:2}"; do
        [[ $(jq "$claim" <<<"$line") == true ]] || wrong "not $claim: $line"
    done
    kill -KILL "$PID"
    ends
}

pace=".rate_bytes_per_s > 0 and .rate_bytes_per_s < $((3 << 20))"

proves "holes take no time: rate and time to go are those of the data"
truncate -s 1G wide
volume part 6M dense 2
for at in 0 1018; do dd if=part of=wide conv=notrunc bs=1M seek=$at status=none; done
begins --progress=json --speed=1M --verify=off wide copy3
at $((1 << 20)) "$pace" ".eta_s > 4 and .eta_s < 60"
begins --progress=json --speed=1M --verify=off --resume map wide copy3
holds until_true has_copied
at $((1018 << 20)) "$pace" ".eta_s > 0 and .eta_s < 30"

proves "so are those of a copy that goes on"
begins --progress=json --speed=1M --verify=off --resume map wide copy3
at $((1018 << 20)) ".skipped_bytes > 0" "$pace" ".eta_s > 0 and .eta_s < 30"
rm -f wide part copy3 map first
volume dense 48M dense 3
begins --progress=json --speed=6M --verify=off --resume map dense copy4
holds until_true has_copied
kill -KILL "$PID"
ends
begins --progress=json --speed=1M --verify=off --resume map dense copy4
at $((6 << 20)) ".skipped_bytes > 0" "$pace" ".eta_s > 5"
rm -f dense copy4 map first

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
