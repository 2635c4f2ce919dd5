"""What ferryfs adds to a copy: a daemon, a journal, and the removal of the old volume."""
import contextlib
import os
import signal
import statistics
import time

import copy_sources as sources
from copy_report import goal, goal_lines, ratio
from copy_tools import TOOLS, VERIFIED
from copy_workloads import Stage, Workload, build
from copy_world import MIB, Failure, command, drop_caches, quiet_disk, read_through, until_true

WORKLOAD = Workload("migration", "a")
N_SMALL, N_JOBS = 100, 4
ADDED_MAX = 1.05
SMALL_MAX_S = 5.0       # 20 volumes per second
HOSTS = ("ssd", "hdd")


def write(path, text):
    with open(path, "w") as f:
        f.write(text + "\n")


def read(path):
    with open(path) as f:
        return f.read().strip()


class Service:
    """A daemon with two hosts, which are folders of one disk."""

    def __init__(self, world):
        self.world = world
        self.mount = world.path("mnt")

    def pool(self, host):
        return self.world.path(f"pool-{host}")

    @contextlib.contextmanager
    def running(self):
        os.mkdir(self.mount)
        self.world.at_exit("umount", "--lazy", self.mount)
        hosts = [word for host in HOSTS for word in ("--host", f"{host}={self.pool(host)}")]
        daemon = self.world.start([os.path.join(self.world.build, "fs/ferryfs"), "-f", "--state",
                                   self.world.path("state"), *hosts, self.mount], {}, "ferryfs")
        try:
            until_true("ferryfs is mounted", lambda: os.path.exists(f"{self.mount}/.control/health")
                       or daemon.poll() is not None)
            if daemon.returncode is not None:
                raise Failure(f"ferryfs ended: {self.world.log_of('ferryfs').strip()}")
            yield
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()

    def move(self, volumes, host):
        """Seconds until all have moved."""
        until_true("all volumes are there", lambda: all(
            os.path.exists(f"{self.mount}/{volume}/status") for volume in volumes))
        began = time.monotonic()
        for volume in volumes:
            write(f"{self.mount}/{volume}/migrate/target", host)
        for volume in volumes:
            if read(f"{self.mount}/{volume}/migrate/wait") != "success":
                raise Failure(f"{volume}: {read(f'{self.mount}/{volume}/migrate/error')}")
        return time.monotonic() - began


def rest(world):
    """As before a run of a tool, whose program is in the page cache too."""
    quiet_disk(world.root)
    drop_caches()
    for program in ("fs/ferryfs", "copy/copy-worker"):
        read_through(os.path.join(world.build, program))


def make_pools(service, source):
    for host in HOSTS:
        os.mkdir(service.pool(host), 0o755)
    pool = service.pool(HOSTS[0])
    command(["dd", f"if={source}", f"of={pool}/image", "bs=4M", "iflag=direct", "oflag=direct"])
    for i in range(N_SMALL):
        sources.build_dense(f"{pool}/small-{i:03}", 4 * MIB)


def one_round(service, stage, to):
    """Seconds of: our verified copy, its removal, the same as a migration, many small ones."""
    copy = next(tool for tool in TOOLS if tool.name == VERIFIED)
    copied_s = stage.run(copy.file, 600).wall_s
    removed_s = stage.removal()
    rest(service.world)
    moved_s = service.move(["image"], to)
    rest(service.world)
    return copied_s, removed_s, moved_s, service.move(
        [f"small-{i:03}" for i in range(N_SMALL)], to)


def measure_migrations(world, _, size, rounds):
    service, stage = Service(world), Stage(world, WORKLOAD, size)
    make_pools(service, build(world, WORKLOAD.source, size))
    times = []
    with service.running():
        write(f"{service.mount}/.control/max_jobs", str(N_JOBS))
        for number in range(rounds):
            to = HOSTS[(number + 1) % 2]
            times.append(one_round(service, stage, to))
    if not sources.is_right(stage.source, os.path.join(service.pool(to), "image")):
        raise Failure("A MIGRATED VOLUME IS DIFFERENT")
    copied_s, removed_s, moved_s, small_s = map(statistics.median, zip(*times))
    goals = [goal("ferryfs", f"a migration of a, of {VERIFIED}'s time", ratio(moved_s, copied_s),
                  ADDED_MAX),
             goal("ferryfs", f"{N_SMALL} migrations of 4 MiB, {N_JOBS} at a time", small_s,
                  SMALL_MAX_S, " s")]
    return {"copied_s": copied_s, "removed_s": removed_s, "moved_s": moved_s, "small_s": small_s,
            "n_small": N_SMALL, "runs_s": times, "goals": goals}


def table(found):
    many = f"ferryfs, {found['n_small']} of 4 MiB"
    return ["", "migration: a volume as a, cold, between two folders of one disk",
            f"{VERIFIED:<22} {found['copied_s']:8.3f} s",
            f"{'its removal':<22} {found['removed_s']:8.3f} s",
            f"{'ferryfs':<22} {found['moved_s']:8.3f} s",
            f"{many:<22} {found['small_s']:8.3f} s, "
            f"{found['n_small'] / found['small_s']:.1f} volumes per second",
            *goal_lines(found["goals"])]
