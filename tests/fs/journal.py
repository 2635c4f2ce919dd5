"""Whether the journal has what .control/events tells: `ferryfs --list-events | journal.py EVENTS JOURNAL`, JOURNAL being
what `journalctl -o json` says. Prints the names of the events that are in both; what is not as ferryfs(5) has it ends with
an assertion."""
import json
import sys

import story

UNLOGGED = {"started", "phase", "progress"}
# Others search for them: they never change
IDS = {
    "started": "fa1af99c940940b184bc0dec332183b8",
    "accepted": "cb6095821856451f8f86dc0fb7225be5",
    "refused": "14bd96773a864e3cbe8af9c7e86071bc",
    "phase": "884dc91f64f64db2a2419e8af6109c60",
    "progress": "f7dbdf94be3747d2b16e3905111ad9d3",
    "stopped": "c18c58b9b34f471c8c7c114c395dedd0",
    "paused": "761f15d5d6464f2abea3f4cff4bf4e60",
    "resumed": "d567454b1f864f55817106335872a15a",
    "aborting": "09b6d0f29d554affb7d3cecf2f640f90",
    "recovered": "5168862999dc463b8ab04741e46476dd",
    "success": "bd4fc075d09d47c0b83f0cbceece7c47",
    "error": "a0541738bef944a5a09a5c0775d0c2bf",
    "aborted": "7bc8312042e54e2eb36ee3607ca3d27a",
    "host-up": "9f1c80fe7c9e41b38a6c0b7e6d803116",
    "host-down": "50bd0ac8188f4f2591a75a6e509ee9ff",
    "health": "6275f620049847488bcda6a6c435d380",
}


def text(value):
    """What is no printable UTF-8 is a list of bytes there."""
    return bytes(value).decode() if isinstance(value, list) else value


ids = {row[1]: row[2] for row in (line.rstrip("\n").split("\t") for line in sys.stdin) if row[0] == "event"}
assert ids == IDS, ids
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
