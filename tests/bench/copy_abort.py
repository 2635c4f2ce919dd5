"""How long a copy at full speed goes on after SIGINT.

Ours takes away what it has begun, the others leave it: beside theirs stands how long that takes.
"""
import contextlib
import dataclasses
import os
import select
import signal
import statistics
import time

import copy_sources as sources
from copy_report import goal, goal_lines
from copy_world import Failure, end_group, until_true
from copy_workloads import Stage, Workload

WORKLOAD = Workload("abort", "a")
WAYS = {
    "disk": (WORKLOAD, "to a new file"),
    "ext4": (dataclasses.replace(WORKLOAD, place="ext4"),
             "to a new file on ext4 with a journal and without discard"),
    "nbd": (dataclasses.replace(WORKLOAD, kind="nbd_to"), "to nbdkit file, over a unix socket"),
}
LIMIT_S = 60
LATENCY_MAX_MS = 100


def descendants(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as children:
        for child in map(int, children.read().split()):
            yield child
            yield from descendants(child)


def written(pid):
    """Bytes that the children of a process have written; the copy may have no name yet."""
    n_bytes = 0
    for child in descendants(pid):
        with contextlib.suppress(OSError), open(f"/proc/{child}/io") as counts:
            n_bytes += int(dict(line.split(": ") for line in counts)["write_bytes"])
    return n_bytes


def has_ended(process, limit_s):
    """Within that time, and known at once: Popen.wait(timeout) looks every 50 ms only."""
    with open(os.pidfd_open(process.pid), "rb", buffering=0) as pidfd:
        return bool(select.select([pidfd], [], [], limit_s)[0])


def done(stage, pid):
    """How much of the copy there is."""
    return sources.allocated(stage.backing) if stage.workload.kind == "nbd_to" else written(pid)


def time_of_abort(stage, tool, share):
    """Interrupt a copy once that share of it is done, as a terminal would. Returns seconds until it
    is gone, and for the removal of what it left."""
    stage.prepare()
    size = os.path.getsize(stage.source)
    text = tool.command(stage.workload.kind)
    with stage.serving():
        process = stage.world.start(["sh", "-ec", "IFS=; " + text], stage.variables(), "command")
        try:
            until_true(f"{tool.name} copies", lambda: process.poll() is not None
                       or done(stage, process.pid) > share * size)
            if process.poll() is not None:
                said = stage.world.log_of("command").strip()
                raise Failure(f"it ended before it was told to: {said}")
            began = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
            if not has_ended(process, LIMIT_S):
                raise Failure(f"it goes on for {LIMIT_S} s")
            ended = time.monotonic()
        finally:
            end_group(process)
    return ended - began, stage.removal()


def row_of(way, tool, times, remark):
    row = {"way": way, "tool": tool.name, "ours": tool.ours, "rounds": len(times), "remark": remark}
    if times:
        aborts, removals = zip(*times)
        row |= {"median_s": statistics.median(aborts), "max_s": max(aborts), "runs_s": aborts,
                "removal_s": statistics.median(removals)}
    return row


def goal_of(row):
    return goal(row["tool"], f"the slowest abort of {row['tool']} {WAYS[row['way']][1]}",
                row["max_s"] * 1000, LATENCY_MAX_MS, " ms")


def measure_way(world, way, tools, size, rounds):
    """Every tool, interrupted at several places."""
    workload, _ = WAYS[way]
    stage = Stage(world, workload, size)
    tools = [tool for tool in tools if tool.command(workload.kind)]
    times = {tool.name: [] for tool in tools}
    remarks = {tool.name: "" for tool in tools}
    for number in range(rounds):
        for tool in tools:
            if remarks[tool.name]:
                continue
            try:
                times[tool.name].append(time_of_abort(stage, tool, 0.1 + 0.6 * number / rounds))
            except Failure as e:
                remarks[tool.name] = f"failed: {' '.join(str(e).split())}"
    stage.close()
    return [row_of(way, tool, times[tool.name], remarks[tool.name]) for tool in tools]


def measure_aborts(world, tools, size, rounds):
    rows = [row for way in WAYS for row in measure_way(world, way, tools, size, rounds)]
    return {"tools": rows, "goals": [goal_of(row) for row in rows if row["ours"] and row["rounds"]]}


def line_of(row):
    if not row["rounds"]:
        return f"{row['tool']:<20} {row['remark']}"
    return (f"{row['tool']:<20} median {row['median_s'] * 1000:8.1f} ms, "
            f"slowest {row['max_s'] * 1000:8.1f} ms; removing what it left "
            f"{row['removal_s'] * 1000:8.1f} ms {row['remark']}".rstrip())


def table(found):
    lines = ["", "abort: SIGINT in the middle of a, cold, until the process is gone"]
    for way, (_, what) in WAYS.items():
        lines += [what, *(line_of(row) for row in found["tools"] if row["way"] == way)]
    return [*lines, *goal_lines(found["goals"])]
