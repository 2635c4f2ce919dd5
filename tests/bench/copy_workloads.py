"""The workloads of tests/bench/copy, and how a run of one begins and ends."""
import contextlib
import dataclasses
import os
import signal
import time

import copy_sources as sources
from copy_world import (GIB, Cost, Failure, command, detach, drop_caches, quiet_disk, read_through,
                        until_true)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A source, a state of the page cache, and a kind of destination. `goal`: at most that part of
    the time of the fastest peer; `verified`: our verified copy in parts of (who, how many)."""
    name: str
    source: str
    goal: float = None
    warm: bool = False
    kind: str = "file"
    verified: tuple = None
    place: str = "disk"     # disk, loop: a block device, or one of FILESYSTEMS
    against: str = None     # the family of peers that the goal is about; None: all
    stale: bool = False     # the destination is full of old data
    moves_data: bool = True # so much that CPU time per GiB says something
    note: str = ""


# Made in a file, and mounted without discard: with a journal, whatever the disk has.
FILESYSTEMS = {"xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"], "ext4": ["mkfs.ext4", "-q"]}

PEERS = "the best peer"
WORKLOADS = (
    Workload("a-cold", "a", 0.75, verified=("ferrycopy", 2.0)),
    Workload("a-warm", "a", 0.95, warm=True),
    Workload("b-cold", "b", 0.55, verified=(PEERS, 1.0)),
    Workload("b-warm", "b", 0.55, warm=True, verified=(PEERS, 1.0)),
    Workload("c-cold", "c", 0.55, verified=(PEERS, 1.0)),
    Workload("c-warm", "c", 0.9, warm=True),
    Workload("d-cold", "d", 0.65, verified=(PEERS, 1.0)),
    Workload("d-warm", "d", 0.65, warm=True, verified=(PEERS, 1.0)),
    Workload("empty-16G", "empty-16G", 0.5, moves_data=False),
    Workload("empty-1T", "empty-1T", 0.5, moves_data=False),
    Workload("small", "small", 0.8, note="a process for every volume, each durable when it ends"),
    Workload("reflink", "a", 1.0, place="xfs", against="cp", moves_data=False, note="on xfs"),
    Workload("stale-file", "b", stale=True, note="over a file that is full of old data"),
    Workload("stale-device", "b", kind="device", place="loop", stale=True,
             note="over a block device (loop) that is full of old data"),
    Workload("nbd-to", "a", 0.7, kind="nbd_to", note="to nbdkit file, over a unix socket"),
    Workload("nbd-sparse", "b", 0.7, kind="nbd_to", note="to nbdkit file, over a unix socket"),
    Workload("nbd-from", "a", 0.7, kind="nbd_from", note="from nbdkit file, over a unix socket"),
)


class Stage:
    """Where the runs of one workload take place."""

    def __init__(self, world, workload, size):
        self.world = world
        self.workload = workload
        self.source = build(world, workload.source, size)
        self.folder = world.path("to")
        os.makedirs(self.folder, exist_ok=True)
        if workload.place in FILESYSTEMS:
            self.move_to_filesystem(size)
        self.before = sources.marks(self.source)
        self.backing = os.path.join(self.folder, "copy")
        self.device = None
        if workload.place == "loop":
            sources.fill_old(self.backing, size)
            self.device = world.attach(self.backing)
        self.socket = world.path("socket")
        self.server = None

    def move_to_filesystem(self, size):
        image, root = self.world.path("filesystem.image"), self.world.path("filesystem")
        os.close(sources.new_volume(image, 2 * size + GIB))
        command([*FILESYSTEMS[self.workload.place], image])
        self.world.mount(image, root)
        command(["dd", f"if={self.source}", f"of={root}/source", "bs=4M", "iflag=direct",
                 "oflag=direct"])
        self.source, self.folder = os.path.join(root, "source"), root

    def close(self):
        """Detach and forget; the source stays for other workloads."""
        self.clear()
        if self.device:
            detach(self.device)
            os.unlink(self.backing)
        if self.workload.place in FILESYSTEMS:
            command(["umount", self.folder])
            os.unlink(self.world.path("filesystem.image"))
            os.rmdir(self.folder)

    def clear(self):
        if os.path.isdir(self.backing):
            command(["rm", "-r", self.backing])
        elif not self.device and os.path.exists(self.backing):
            os.unlink(self.backing)

    def removal(self):
        """Seconds that it takes to free what a run has left, of the system alone."""
        began = time.monotonic()
        self.clear()
        return time.monotonic() - began

    def variables(self):
        uri = f"nbd+unix:///?socket={self.socket}"
        kind = self.workload.kind
        return {"S": uri if kind == "nbd_from" else self.source,
                "D": uri if kind == "nbd_to" else self.device or self.backing,
                "F": self.device or self.backing}

    def prepare(self):
        """A destination as the workload says, an idle disk, the page cache empty or warm."""
        size = os.path.getsize(self.source)
        self.clear()
        if os.path.isdir(self.source):
            os.mkdir(self.backing)
        elif self.workload.stale:
            sources.fill_old(self.backing, size)
        elif self.workload.kind == "nbd_to":
            os.close(sources.new_volume(self.backing, size))
        self.rest()
        if self.workload.warm:
            for volume in sources.volumes_of(self.source):
                read_through(volume)

    def rest(self):
        quiet_disk(self.world.root)
        drop_caches()

    def script(self, text):
        """The command, once or for every volume of a folder."""
        if not os.path.isdir(self.source):
            return text
        return f'FROM=$S; TO=$D; for S in "$FROM"/*; do D=$TO/${{S##*/}}; F=$D; {text}; done'

    def run(self, text, patience_s):
        """One run, from nothing to durable. Returns its Cost."""
        self.prepare()
        self.world.load_program(text)
        with self.serving() as server:
            cost = self.world.measure(self.script(text), self.variables(), patience_s)
        return dataclasses.replace(cost, server_cpu_s=server.cpu_s)

    def profile(self, text, path):
        """One more run, with a profile of it."""
        self.run(f"perf record -q -g -F 2000 -o {path} -- {text}", 600)

    @contextlib.contextmanager
    def serving(self):
        """nbdkit, where the workload has a server. Its Cost is known afterwards."""
        cost = Cost(0, 0, 0)
        kind = self.workload.kind
        if not kind.startswith("nbd"):
            yield cost
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        served = ["-r", "file", self.source] if kind == "nbd_from" else ["file", self.backing]
        server = self.world.start(["nbdkit", "-f", "-U", self.socket, *served], {}, "server")
        try:
            until_true("nbdkit listens", lambda: os.path.exists(self.socket))
            yield cost
        finally:
            cost.cpu_s = end_server(server)

    def allocated(self):
        return sources.allocated(self.backing)

    def check_source(self):
        if sources.marks(self.source) != self.before:
            raise Failure(f"{self.source} has changed: somebody writes to what he copies")

    def is_right(self):
        """Is what is on the disk, not in the page cache, equal to the source?"""
        os.sync()
        drop_caches()
        return sources.is_right(self.source, self.backing)


def end_server(server):
    """Returns the CPU seconds that it took."""
    server.send_signal(signal.SIGTERM)
    try:
        _, status, usage = os.wait4(server.pid, 0)
    except ChildProcessError:
        return 0.0
    server.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def build(world, name, size):
    """The path of a source, which is built the first time."""
    path = world.path(f"source-{name}")
    if not os.path.exists(path):
        sources.SOURCES[name].build(world, path, size)
    return path


def space_needed(workloads, size):
    """Sources, the largest copy, and what a second filesystem takes."""
    names = {w.source for w in workloads} | {"a"}
    needed = sum(sources.SOURCES[name].space(size) for name in names) + size
    if any(w.place in FILESYSTEMS for w in workloads):
        needed += size
    return needed + GIB
