"""Whether the journal has what .control/events tells: `ferryfs --list-events | journal.py EVENTS JOURNAL`, JOURNAL being
what `journalctl -o json` says. Prints the names of the events that are in both; what is not as ferryfs(5) has it ends with
an assertion."""
import json
import sys

import story

UNLOGGED = {"started", "phase", "progress"}


def text(value):
    """What is no printable UTF-8 is a list of bytes there."""
    return bytes(value).decode() if isinstance(value, list) else value


ids = {row[1]: row[2] for row in (line.rstrip("\n").split("\t") for line in sys.stdin) if row[0] == "event"}
with open(sys.argv[2], encoding="utf-8") as lines:
    entries = [entry for entry in map(json.loads, lines) if entry.get("MESSAGE_ID") in ids.values()]
events = [event for event in story.read(sys.argv[1]) if event["event"] not in UNLOGGED]
assert len(entries) == len(events), (len(entries), len(events))
for event, entry in zip(events, sorted(entries, key=lambda entry: int(entry["FERRYFS_SEQ"]))):
    assert entry["MESSAGE_ID"] == ids[event["event"]], entry
    fields = {key: text(value) for key, value in entry.items() if key.startswith("FERRYFS_")}
    wanted = {f"FERRYFS_{key.upper()}": str(value) for key, value in event.items() if value is not None}
    assert fields == wanted, (fields, wanted)
    assert text(entry["MESSAGE"]) == event["text"], entry
    assert entry["SYSLOG_IDENTIFIER"] == "ferryfs" and entry["_SYSTEMD_UNIT"] == "ferryfs.service", entry
    assert entry["PRIORITY"] in ("4", "5"), entry
print(*sorted({event["event"] for event in events}))
