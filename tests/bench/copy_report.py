"""What tests/bench/copy found: medians, goals, the table and the chart."""
import dataclasses
import statistics
import subprocess

from copy_tools import OURS, TOOLS, VERIFIED
from copy_world import GIB, MIB, Failure
from copy_workloads import PEERS

MEMORY_MAX = 32 * MIB
CPU_MAX = 0.5
ALLOCATED_MAX = 1.001   # the filesystem's own blocks count too, and depend on where it found room
COLUMNS = "{:<20} {:>8} {:>17} {:>8} {:>8} {:>9} {:>8} {:>8} {:>10}  {}"
HEAD = ("", "wall s", "min - max", "of best", "CPU s", "CPU s/GiB", "server", "RSS MiB",
        "alloc. MiB", "")


def median_of(costs, member):
    return statistics.median(getattr(cost, member) for cost in costs)


def summary(tool, costs, remark, allocated, held):
    """The row of one tool: medians of its runs, or the remark why there are none.
    `held`: bytes on the disk that the source has."""
    row = {"tool": tool.name, "family": tool.family, "ours": tool.ours, "remark": remark,
           "rounds": len(costs)}
    if costs:
        walls = [cost.wall_s for cost in costs]
        row |= {
            "wall_s": statistics.median(walls), "wall_min_s": min(walls), "wall_max_s": max(walls),
            "cpu_s": median_of(costs, "cpu_s"), "server_cpu_s": median_of(costs, "server_cpu_s"),
            "cpu_s_per_gib": ratio(median_of(costs, "cpu_s"), held / GIB),
            "rss_bytes": max(cost.rss_bytes for cost in costs), "allocated_bytes": allocated,
            "runs": [dataclasses.asdict(cost) for cost in costs],
        }
    return row


def counts(row):
    """A copy that is right, as often as all others."""
    return row["rounds"] > 0 and not row["remark"]


def peers_of(result, family=None):
    return [row for row in result["tools"]
            if not row["ours"] and counts(row) and (family is None or row["family"] == family)]


def ours_of(result, name):
    return next((row for row in result["tools"] if row["tool"] == name and counts(row)), None)


def goal(tool, what, value, limit, unit=""):
    """A goal and how it stands; `tool`: who is to meet it."""
    return {"tool": tool, "what": what, "is": value, "goal": limit, "unit": unit,
            "met": value <= limit}


def ratio(a, b):
    return a / b if b else float("inf") if a else 0.0


def wall_goals(workload, result, mine):
    peers = peers_of(result, workload.against)
    if workload.goal is not None and peers:
        best = min(peers, key=lambda row: row["wall_s"])
        yield goal(OURS, f"wall time, of {best['tool']}'s", ratio(mine["wall_s"], best["wall_s"]),
                   workload.goal)
    verified = ours_of(result, VERIFIED)
    if workload.verified is None or not verified:
        return
    against, limit = workload.verified
    if against != PEERS:
        yield goal(VERIFIED, "wall time when verified, of the unverified",
                   ratio(verified["wall_s"], mine["wall_s"]), limit)
    elif peers:
        best = min(peers, key=lambda row: row["wall_s"])
        yield goal(VERIFIED, f"wall time when verified, of {best['tool']}'s unverified",
                   ratio(verified["wall_s"], best["wall_s"]), limit)


def cost_goals(workload, result, mine):
    peers = peers_of(result)
    if peers and workload.moves_data:
        thrifty = min(peers, key=lambda row: row["cpu_s"])
        yield goal(OURS, f"CPU per GiB, of {thrifty['tool']}'s",
                   ratio(mine["cpu_s"], thrifty["cpu_s"]), CPU_MAX)
    if peers:
        small = min(peers, key=lambda row: row["allocated_bytes"])
        yield goal(OURS, f"allocated, of {small['tool']}'s",
                   ratio(mine["allocated_bytes"], small["allocated_bytes"]), ALLOCATED_MAX)
    for row in (mine, ours_of(result, VERIFIED)):
        if row:
            yield goal(row["tool"], f"memory of {row['tool']}", row["rss_bytes"] / MIB,
                       MEMORY_MAX / MIB, " MiB")


def goals_of(workload, result):
    mine = ours_of(result, OURS)
    if not mine:
        return []
    return [*wall_goals(workload, result, mine), *cost_goals(workload, result, mine)]


# The table

def cells(row, best):
    if not row["rounds"]:
        return COLUMNS.format(row["tool"], "-", "", "", "", "", "", "", "", row["remark"])
    server = f"{row['server_cpu_s']:.2f}" if row["server_cpu_s"] else ""
    return COLUMNS.format(
        row["tool"], f"{row['wall_s']:.3f}", f"{row['wall_min_s']:.3f} - {row['wall_max_s']:.3f}",
        f"{ratio(row['wall_s'], best):.2f}" if best else "", f"{row['cpu_s']:.3f}",
        f"{row['cpu_s_per_gib']:.3f}", server, f"{row['rss_bytes'] / MIB:.1f}",
        f"{row['allocated_bytes'] / MIB:.1f}", row["remark"] or "right")


def goal_lines(goals):
    return [f"  {'met' if found['met'] else 'MISSED':<7} {found['what']}: "
            f"{found['is']:.2f}{found['unit']}, at most {found['goal']:g}" for found in goals]


def best_wall(result):
    return min((row["wall_s"] for row in peers_of(result)), default=None)


def limit_lines(result):
    limits = result["limits"]
    if not limits:
        return []
    text = ", ".join(f"{name} {limits[name]:.3f}" for name in limits)
    if "both" in limits and best_wall(result):
        text += f"; {ratio(limits['both'], best_wall(result)):.2f} of the best peer"
    return ["limit of the disk by fio, s: " + text]


def table(result):
    """A workload, as lines."""
    lines = ["", f"{result['workload']}: {result['what']}; {result['data_bytes'] / MIB:.0f} MiB of "
                 f"data in {result['size_bytes'] / MIB:.0f} MiB",
             COLUMNS.format(*HEAD).rstrip()]
    lines += [cells(row, best_wall(result)).rstrip() for row in result["tools"]]
    return lines + limit_lines(result) + goal_lines(result["goals"])


def verdict(found):
    missed = [f"{name}: {one['what']}" for name, goals in found for one in goals if not one["met"]]
    n_goals = sum(len(goals) for _, goals in found)
    lines = ["", f"{n_goals - len(missed)} of {n_goals} goals met"]
    return lines + [f"  missed: {name}" for name in missed]


# The chart

DISK = "limit of the disk"
COLOURS = {"ferrycopy": "#0b5fa5", "ferrycopy, verified": "#7db4dd", "nbdcopy": "#e08214",
           "qemu-img": "#b2abd2", "dd": "#4d9221", "cp": "#a1d76a", "rsync": "#bababa",
           DISK: "#444444"}
CHART_MAX = 3.0
CHART = """
set terminal svg size {width},420 font 'sans-serif,12' background rgb 'white'
set output '{path}'
set title 'Time of a durable copy, the fastest other tool = 1; less is better, cut at {top:.0f}'
set style data histograms
set style histogram clustered gap 2
set style fill solid noborder
set boxwidth 0.95
set yrange [0:{top}]
set ytics 0.5
set grid ytics lc rgb '#dddddd'
set border 3 lc rgb '#888888'
set xtics nomirror scale 0
set ytics nomirror
set key outside below horizontal
set datafile missing '-'
set arrow from graph 0, first 1 to graph 1, first 1 nohead lc rgb '#444444' dt 2
$data << END
{data}
END
plot {plots}
"""


def bar(wall_s, best):
    return f"{min(ratio(wall_s, best), CHART_MAX):.3f}"


def members(result, family):
    return [row for row in result["tools"] if row["family"] == family and counts(row)]


def chart_row(result, families):
    """The fastest of every family, in parts of the fastest peer."""
    best = best_wall(result)
    fields = [f'"{result["workload"]}"']
    for family in families:
        walls = [row["wall_s"] for row in members(result, family)]
        fields.append(bar(min(walls), best) if walls else "-")
    fields.append(bar(result["limits"]["both"], best) if "both" in result["limits"] else "-")
    return " ".join(fields)


def chart_script(results, path):
    families = [family for family in dict.fromkeys(tool.family for tool in TOOLS)
                if any(members(result, family) for result in results)]
    plots = ", ".join(f"$data using {i + 2}:xtic(1) title '{name}' lc rgb '{COLOURS[name]}'"
                      for i, name in enumerate([*families, DISK]))
    return CHART.format(path=path, top=CHART_MAX, width=max(720, 110 * len(results) + 80),
                        data="\n".join(chart_row(r, families) for r in results), plots=plots)


def draw(results, path):
    results = [result for result in results if best_wall(result)]
    if not results:
        return
    done = subprocess.run(["gnuplot"], input=chart_script(results, path), text=True,
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise Failure(f"gnuplot: {done.stderr.strip()}")
