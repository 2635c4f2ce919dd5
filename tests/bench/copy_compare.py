"""How fast two volumes are compared, and one is digested: beside the others, and beside reading both."""
import os
import statistics

from copy_report import goal, goal_lines, ratio
from copy_tools import LIMITS, limit_seconds
from copy_workloads import Stage, Workload, build
from copy_world import command

WORKLOAD = Workload("compare", "a")
OF_LIMIT_MAX, OF_PEER_MAX = 1.1, 1.0
# NAME: (its command, what it reads, whether it is ours)
TOOLS = {
    "ferrycopy --compare": ("ferrycopy --compare $S $D", 2, True),
    "cmp": ("cmp $S $D", 2, False),
    "qemu-img compare": ("qemu-img compare -f raw -F raw -T none $S $D", 2, False),
    "ferrycopy --digest": ("ferrycopy --digest $S", 1, True),
    "sha256sum": ("sha256sum $S", 1, False),
}


def measure_comparisons(world, _, size, rounds):
    """Both volumes are on the disk and not in the page cache. Returns the medians."""
    stage = Stage(world, WORKLOAD, size)
    other = world.path("compared")
    command(["dd", f"if={build(world, 'a', size)}", f"of={other}", "bs=4M", "iflag=direct", "oflag=direct"])
    times = {name: [] for name in (*TOOLS, "limit")}
    for _ in range(rounds):
        for name, (text, _, _) in TOOLS.items():
            stage.rest()
            world.load_program(text)
            times[name].append(world.measure(text, {"S": stage.source, "D": other}, 600).wall_s)
        stage.rest()
        seconds = 0
        for path in (stage.source, other):
            world.measure(LIMITS["read"], {"S": path, "R": str(os.path.getsize(path))}, 600)
            seconds += limit_seconds(world.log_of("command"))
        times["limit"].append(seconds)
    os.unlink(other)
    stage.close()
    medians = {name: statistics.median(runs) for name, runs in times.items()}
    return {"tools": medians, "runs_s": times, "goals": list(goals_of(medians))}


def goals_of(medians):
    for name, (_, volumes, ours) in TOOLS.items():
        if not ours:
            continue
        limit = medians["limit"] * volumes / 2
        yield goal(name, f"{name}, of what fio takes to read that", ratio(medians[name], limit), OF_LIMIT_MAX)
        best = min((peer for peer in TOOLS if not TOOLS[peer][2] and TOOLS[peer][1] == volumes), key=medians.get)
        yield goal(name, f"{name}, of {best}", ratio(medians[name], medians[best]), OF_PEER_MAX)


def table(found):
    return ["", "compare: a with its copy, and the digest of a, cold, both on one disk",
            *(f"{name:<20} {seconds:8.3f} s" for name, seconds in found["tools"].items()),
            *goal_lines(found["goals"])]
