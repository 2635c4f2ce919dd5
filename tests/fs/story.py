"""What .control/events tells: story.py FILE [FILTER] prints the names of the events that the filter, an expression of
their keys, is true of; a phase is told by its own name. Whatever is not as ferryfs(5) has it ends with an assertion."""
import datetime
import json
import sys
import unicodedata

KEYS = ["time", "seq", "event", "volume", "uuid", "job", "source", "destination", "phase", "percent", "bytes_done",
        "bytes_total", "host", "file", "uid", "pid", "errno", "text"]
NUMBERS = {"seq", "job", "percent", "bytes_done", "bytes_total", "uid", "pid"}


def read(name):
    seq, last = 0, ""
    with open(name, encoding="utf-8", errors="strict", newline="\n") as lines:
        for line in lines:
            assert line.endswith("}\n"), line
            event = json.loads(line)
            assert list(event) == KEYS, line
            for key, value in event.items():
                assert value is None or type(value) is (int if key in NUMBERS else str), line
            assert event["seq"] == seq + 1 or seq == 0, line
            assert datetime.datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S.%fZ") and event["time"] >= last, line
            assert not any(unicodedata.category(c) == "Cc" for c in event["text"]), line
            seq, last = event["seq"], event["time"]
            yield event


if __name__ == "__main__":
    wanted = compile("(" + (sys.argv[2] if len(sys.argv) > 2 else "True") + ")", "filter", "eval")
    told = [e for e in read(sys.argv[1]) if eval(wanted, {**e, "e": e})]
    print(*(e["phase"] if e["event"] == "phase" else e["event"] for e in told))
