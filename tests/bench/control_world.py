"""Who is compared in tests/bench/control: plain files, the least FUSE file system, and ferryfs."""
import contextlib
import os
import signal

from copy_world import BENCH, Failure, World, command, until_true

THREADS = 4             # that serve requests, of ours and of the minimal file system
EXAMPLE = "/usr/share/doc/libfuse3-dev/examples/hello_ll.c"  # as Debian brings it
SPARSE_BYTES = 1 << 20  # of a volume that is only looked at; nothing of it is allocated


class ControlWorld(World):
    """A folder in memory of its own."""
    prefix = "ferryfs-bench."

    def check_place(self):
        pass

    def __enter__(self):
        super().__enter__()
        self.mount_memory(self.root)
        return self

    def mount_memory(self, folder):
        """No limit of inodes: 100 000 volumes and their floor need them."""
        self.at_exit("umount", "--lazy", folder)
        command(["mount", "-t", "tmpfs", "-o", "mode=0755,size=80%,nr_inodes=0", "bench", folder])

    def build_helpers(self):
        self.build_helper()
        flags = command(["pkg-config", "--cflags", "--libs", "fuse3"]).split()
        for source in ("readers", "followers", "minimal"):
            self.compile(f"{BENCH}/{source}.c", source, flags)
        if os.path.exists(EXAMPLE):
            self.compile(EXAMPLE, "hello_ll", flags)

    def compile(self, source, name, flags):
        command(["cc", "-O2", "-D_GNU_SOURCE", "-o", self.path(name), source, *flags])


def cpu_seconds(pids):
    """CPU time of all threads that these processes have now."""
    total_ns = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError):
                with open(f"/proc/{pid}/task/{thread}/schedstat") as f:
                    total_ns += int(f.read().split()[0])
    return total_ns / 1e9


def children_of(pid):
    """Agents and workers."""
    children = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as f:
            children += [int(word) for word in f.read().split()]
    return children


def pss_bytes(pids):
    total_kib = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total_kib += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total_kib * 1024


class Plain:
    """The floor: a folder of folders with a file each, made by hand on tmpfs."""
    name = "tmpfs"

    def __init__(self, world, n):
        self.folder = world.path(f"plain-{n}")
        os.mkdir(self.folder)
        for i in range(n):
            os.mkdir(f"{self.folder}/v{i}")
            with open(f"{self.folder}/v{i}/status", "w") as f:
                f.write("available\n")

    def pids(self):
        return []

    def close(self):
        command(["rm", "-rf", self.folder])


class Mounted:
    """A process that serves a mount."""
    one_file = "v0/status"

    def __init__(self, world, folder, argv):
        self.world = world
        self.folder = folder
        self.log = f"{os.path.basename(argv[0])}-log"
        os.makedirs(folder, exist_ok=True)
        world.at_exit("umount", "--lazy", folder)
        self.process = world.start(argv, {}, self.log)

    def pids(self):
        return [self.process.pid]

    def until(self, what, condition):
        until_true(what, lambda: self.process.poll() is not None or condition(), limit_s=300)
        if self.process.returncode is not None:
            raise Failure(f"{self.name} ended: {self.world.log_of(self.log).strip()[-300:]}")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Example(Mounted):
    """libfuse's example of its low-level interface, which has one file."""
    name = "hello_ll"
    one_file = "hello"

    def __init__(self, world):
        super().__init__(world, world.path("hello-mnt"),
                         [world.path("hello_ll"), "-f", world.path("hello-mnt")])
        self.until("hello_ll is mounted", lambda: os.path.exists(f"{self.folder}/hello"))


class Minimal(Mounted):
    """tests/bench/minimal.c: what libfuse and the kernel cost."""
    name = "minimal"

    def __init__(self, world, n):
        super().__init__(world, world.path("minimal-mnt"),
                         [world.path("minimal"), world.path("minimal-mnt"), str(n), str(THREADS)])
        self.until("minimal is mounted", lambda: os.path.exists(f"{self.folder}/v{n - 1}/status"))


def make_pool(world, n):
    """A pool of volumes with nothing in them."""
    pool = world.path(f"pool-{n}")
    os.mkdir(pool, 0o755)
    for i in range(n):
        fd = os.open(f"{pool}/v{i}", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        os.ftruncate(fd, SPARSE_BYTES)
        os.close(fd)
    return pool


class Ferryfs(Mounted):
    """The daemon; hosts: a folder each, and how many volumes are in it."""
    name = "ferryfs"

    def __init__(self, world, state, hosts):
        folder = world.path("ferryfs-mnt")
        words = [word for host, (pool, _) in hosts.items() for word in ("--host", f"{host}={pool}")]
        super().__init__(world, folder, [os.path.join(world.build, "fs/ferryfs"), "-f", "--state",
                                         state, *words, folder])
        self.until("ferryfs is mounted", lambda: os.path.exists(self.file(".control/health")))
        for host, (_, n) in hosts.items():
            self.until("all volumes are listed",
                       lambda host=host, n=n: self.read(f".control/hosts/{host}/volumes") == str(n))

    def file(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.file(name)) as f:
            return f.read().strip()

    def write(self, name, word):
        with open(self.file(name), "w") as f:
            f.write(f"{word}\n")

    def family(self):
        return [self.process.pid, *children_of(self.process.pid)]
